//! pprof: `perftools.profiles.Profile` as protobuf, raw or compressed with gzip or zstd.
//!
//! Contract: `proto/google/pprof/profile.proto`. Reading takes two passes over the fields: tables
//! first, then samples, since writers order them as they like.

mod decode;
mod encode;
mod ids;
mod tables;
mod untyped;

pub use decode::decode;
pub(crate) use decode::decode_untyped;
pub use encode::{encode, encode_gzip};
pub(crate) use untyped::{Running, Untyped};
