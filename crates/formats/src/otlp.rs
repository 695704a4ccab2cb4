//! OTLP profiles, `v1development`, in the layouts of opentelemetry-proto v1.4 to v1.11.
//!
//! Contract: `proto/opentelemetry/proto/profiles/v1development/profiles.proto`. An
//! `ExportProfilesServiceRequest` and a `ProfilesData` have the same fields, so one reader serves
//! both; JSON is written anew as protobuf. The layouts have one name: which one a request has, [`tell`]
//! finds. What samples point to is read when a sample of the profile first uses it. Page:
//! `docs/formats/otlp.md`.

mod decode;
mod dictionary;
mod json;
mod layout;
mod sample;
mod tell;
mod value;

pub use decode::{decode, decode_json};
