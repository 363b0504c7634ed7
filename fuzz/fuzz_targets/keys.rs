//! Keys of people who are to be let in, and the homes that those are written to.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| buildlet::fuzzing::keys(data));
