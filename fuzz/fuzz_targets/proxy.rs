//! The proxy on the way to a coordinator: what names it, and what it answers.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| buildlet::fuzzing::proxy(data));
