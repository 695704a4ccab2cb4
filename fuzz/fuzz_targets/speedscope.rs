//! Decodes arbitrary bytes with `formats::fuzz::speedscope`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| formats::fuzz::speedscope(bytes));
