//! Generates the message types from `proto/` with a pure Rust compiler, so that no `protoc` is
//! needed on the machine that builds.

use std::{error::Error, path::Path};

const PROTO_ROOT: &str = "../../proto";
const PROTO_FILES: [&str; 2] = [
    "opentelemetry/proto/collector/profiles/v1development/profiles_service.proto",
    "google/pprof/profile.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={PROTO_ROOT}");
    let descriptors = protox::compile(PROTO_FILES, [Path::new(PROTO_ROOT)])?;
    prost_build::Config::new()
        .disable_comments(["."])
        .include_file("packages.rs")
        .compile_fds(descriptors)?;
    Ok(())
}
