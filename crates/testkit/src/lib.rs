//! Generators for tests: realistic profiles with several kinds, times, threads and links, and real
//! captures repeated.

pub mod amplify;
pub mod events;
pub mod load;
pub mod profiles;
pub mod spans;
