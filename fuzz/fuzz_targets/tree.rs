//! Decodes arbitrary bytes with `formats::fuzz::tree`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| formats::fuzz::tree(bytes));
