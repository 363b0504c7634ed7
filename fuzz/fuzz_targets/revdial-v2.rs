//! Heads and lines of revdial's version 2, in both roles.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| revdial::fuzzing::v2(data));
