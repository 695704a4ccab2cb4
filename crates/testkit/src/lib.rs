//! Generators for tests: realistic profiles with several kinds, times, threads and links.

pub mod profiles;
