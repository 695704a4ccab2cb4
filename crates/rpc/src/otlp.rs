//! The OTLP services of profiles (`v1development`), client and server, and of traces and logs, server.
//!
//! Contract: `opentelemetry/proto/collector/profiles/v1development/profiles_service.proto` of
//! opentelemetry-proto v1.11.0.

mod client;
mod server;

pub use client::{Error, ProfilesClient};
pub use server::{
    ExportFuture, ExportHandler, PartialSuccess, Rejection, RejectionCode, encode_response,
    profiles_service, services, unframe,
};

/// Path of the one method.
pub const EXPORT_PATH: &str =
    "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export";

/// Path of the one method of the service of traces.
pub const TRACES_EXPORT_PATH: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// Path of the one method of the service of logs.
pub const LOGS_EXPORT_PATH: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";

#[cfg(test)]
mod tests;
