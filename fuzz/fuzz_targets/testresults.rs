//! What a test runner prints.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| testresults::fuzzing::output(data));
