//! Decodes arbitrary bytes with `formats::fuzz::otlp`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| formats::fuzz::otlp(bytes));
