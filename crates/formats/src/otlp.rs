//! OTLP profiles, `v1development`, in the layout of opentelemetry-proto v1.10 and v1.11.
//!
//! Contract: `proto/opentelemetry/proto/profiles/v1development/profiles.proto`. An
//! `ExportProfilesServiceRequest` and a `ProfilesData` have the same fields, so one reader serves
//! both. What samples point to is read when a sample of the profile first uses it.

mod decode;
mod dictionary;
mod value;

pub use decode::decode;
