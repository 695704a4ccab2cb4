//! gRPC services and clients. Messages stay encoded bytes here, so that one decoder serves a
//! protocol over gRPC and over HTTP alike.

mod bytes_codec;
pub mod connect;
pub mod limits;
pub mod otlp;
