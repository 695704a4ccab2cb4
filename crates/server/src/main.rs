//! The vesta binary: server, page and command line.
fn main() {}
