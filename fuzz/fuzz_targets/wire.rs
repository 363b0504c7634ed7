//! The JSON of the `/bw1` protocol.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| buildlet::fuzzing::wire(data));
