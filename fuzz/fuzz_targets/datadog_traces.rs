//! Decodes arbitrary bytes with `formats::fuzz::datadog_traces`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| formats::fuzz::datadog_traces(bytes));
