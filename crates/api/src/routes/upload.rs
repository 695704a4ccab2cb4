//! The description of uploading, which `ingest` serves.

use crate::shapes::Problem;
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::{OpenApi, ToSchema};

/// The answer to an upload.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Receipt {
    /// Profiles that are durable now.
    pub profiles: Vec<Stored>,
    /// What could not be read or had to be changed.
    pub issues: Vec<String>,
}

/// A stored profile.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Stored {
    /// Its id.
    pub id: String,
    /// Its series.
    pub labels: BTreeMap<String, String>,
    /// Start of its window, in milliseconds.
    pub start_ms: i64,
    /// End of its window, in milliseconds.
    pub end_ms: i64,
    /// Number of samples.
    pub samples: u64,
    /// Whether the same came within the last hour already: it is counted once, under this id.
    pub duplicate: bool,
    /// Sample types found.
    pub types: Vec<StoredType>,
}

/// A sample type of a stored profile.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct StoredType {
    /// Name of the sample type.
    pub sample_type: String,
    /// Its unit.
    pub unit: String,
    /// Id of the profile type it is shown as.
    #[serde(rename = "type")]
    pub profile_type: String,
}

/// Stores a profile file; its format is recognised by its content.
#[utoipa::path(post, path = "/api/v1/profiles", tag = "upload",
    params(
        ("service_name" = Option<String>, Query, description = "Name of the service"),
        ("label" = Option<Vec<String>>, Query, description = "key=value; may be repeated"),
        ("from" = Option<String>, Query, description = "Start of the profile's window"),
        ("until" = Option<String>, Query, description = "End of the profile's window")),
    request_body(content_type = "application/octet-stream",
        description = "pprof (plain, gzip or zstd), folded text, or an OTLP profiles request"),
    responses(
        (status = 200, description = "Durable", body = Receipt),
        (status = 413, description = "Over a limit", body = Problem,
            content_type = "application/problem+json"),
        (status = 422, description = "No profile could be read", body = Problem,
            content_type = "application/problem+json"),
        (status = 429, description = "Busy: try again after Retry-After seconds", body = Problem,
            content_type = "application/problem+json"),
        (status = 503, description = "The store cannot take it now, e.g. because the disk is full",
            body = Problem, content_type = "application/problem+json")))]
#[expect(dead_code, reason = "only its description is used: ingest serves the route")]
fn upload() {}

/// Description of the upload.
#[derive(Debug, OpenApi)]
#[openapi(paths(upload))]
pub struct Described;
