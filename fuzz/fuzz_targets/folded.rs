//! Decodes arbitrary bytes with `formats::fuzz::folded`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| formats::fuzz::folded(bytes));
