//! Frames of revdial's version 1, in both roles.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| revdial::fuzzing::v1(data));
