//! Decodes arbitrary bytes with `formats::fuzz::trie`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| formats::fuzz::trie(bytes));
