//! Decodes arbitrary bytes with `formats::fuzz::nettrace`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| formats::fuzz::nettrace(bytes));
