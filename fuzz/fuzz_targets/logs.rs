//! Decodes arbitrary bytes with `formats::fuzz::logs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| formats::fuzz::logs(bytes));
