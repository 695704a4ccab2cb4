//! A small demo shop with endpoints that are slow for different reasons.
fn main() {}
