//! Decodes arbitrary bytes with `formats::fuzz::traces`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| formats::fuzz::traces(bytes));
