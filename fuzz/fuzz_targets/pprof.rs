//! Decodes arbitrary bytes with `formats::fuzz::pprof`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| formats::fuzz::pprof(bytes));
