//! The first request's head, into which the agent puts a header.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| buildlet::fuzzing::heads(data));
