//! From raw batches to encoded OTLP requests (`opentelemetry.proto.profiles.v1development`,
//! v1.11.0): addresses get names here, off the sampling thread.

mod dictionary;
mod generated;
mod names;
mod request;
mod tables;

pub(crate) use request::Encoder;
