//! Records of a log.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| maintner::fuzzing::protobuf(data));
