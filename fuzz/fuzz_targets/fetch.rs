//! URLs that somebody else names, and whom the operator lets us fetch from.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| buildlet::fuzzing::fetch(data));
