//! Decodes arbitrary bytes with `formats::fuzz::jfr`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| formats::fuzz::jfr(bytes));
