//! Bodies of webhooks, events as JSON, and times.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pubsubhelper::fuzzing::webhook(data));
