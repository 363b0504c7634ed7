//! Archives into a work directory in which a job has been.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| buildlet::fuzzing::untar(data));
