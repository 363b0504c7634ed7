//! Messages of the commits in which a Gerrit keeps changes, and files with comments.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| maintner::fuzzing::meta(data));
