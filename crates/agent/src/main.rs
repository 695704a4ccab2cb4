//! The vesta-agent binary: profiles a host and sends OTLP profiles.
fn main() {}
