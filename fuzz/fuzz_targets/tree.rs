//! A tree that is packed comes back.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| buildlet::fuzzing::tree(data));
