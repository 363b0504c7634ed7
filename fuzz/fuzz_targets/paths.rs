//! Paths and patterns from the wire, in a tree full of links.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| buildlet::fuzzing::paths(data));
