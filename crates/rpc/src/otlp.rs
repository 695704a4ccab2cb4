//! The OTLP profiles service (`v1development`), client and server.
//!
//! Contract: `opentelemetry/proto/collector/profiles/v1development/profiles_service.proto` of
//! opentelemetry-proto v1.11.0.

mod client;
mod server;

pub use client::{Error, ProfilesClient};
pub use server::{
    ExportFuture, PartialSuccess, ProfilesHandler, Rejection, RejectionCode, profiles_service,
    unframe,
};

/// Path of the one method.
pub const EXPORT_PATH: &str =
    "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export";

#[cfg(test)]
mod tests;
