//! Reads arbitrary bytes with `symbols::fuzz::names`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| symbols::fuzz::names(bytes));
