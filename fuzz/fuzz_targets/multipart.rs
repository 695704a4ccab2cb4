//! Takes arbitrary bytes apart with `ingest::fuzz::multipart`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ingest::fuzz::multipart(bytes));
