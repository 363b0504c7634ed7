//! Signed orders, and the key that comes after another.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| buildlet::fuzzing::orders(data));
