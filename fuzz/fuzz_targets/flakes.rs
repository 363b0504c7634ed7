//! Rules of issues, issues' texts, and logs.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gopherbot::fuzzing::flakes(data));
