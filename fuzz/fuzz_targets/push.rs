//! Decodes arbitrary bytes with `formats::fuzz::push`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| formats::fuzz::push(bytes));
