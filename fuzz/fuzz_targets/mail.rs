//! A connection for mail, and the mails in it.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pubsubhelper::fuzzing::mail(data));
