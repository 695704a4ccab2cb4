//! Protobuf messages (pprof, OTLP profiles, Pyroscope) and [`scan`], a lenient protobuf field reader.
//!
//! The messages are generated from the sources under `proto/`, each folder of which names its
//! origin and licence. They serve writing and tests; reading what came from outside goes through
//! [`scan`], which survives damage that a generated decoder answers with an error for the whole.

mod json;
pub mod scan;

/// OTLP messages (opentelemetry-proto v1.11.0).
pub mod otlp {
    pub use crate::generated::opentelemetry::proto::{
        collector::profiles::v1development as collector_profiles, common::v1 as common,
        profiles::v1development as profiles, resource::v1 as resource,
    };
}

/// The pprof message (`perftools.profiles.Profile` and its parts).
pub mod pprof {
    pub use crate::generated::perftools::profiles::*;
}

/// Messages of Pyroscope's push and query services; serde writes and reads them in protobuf's JSON
/// form.
pub mod pyroscope {
    pub use crate::generated::pyroscope::*;
}

/// Encoding and decoding of the generated messages.
pub use prost::Message;

#[allow(
    clippy::all,
    clippy::pedantic,
    unreachable_pub,
    unused_qualifications,
    reason = "generated code"
)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/packages.rs"));
}
