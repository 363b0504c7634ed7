//! What a buildlet answers.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| buildlet_client::fuzzing::answers(data));
