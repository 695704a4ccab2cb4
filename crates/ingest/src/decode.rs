//! The seam to `formats`, which recognises compression by content, whatever the headers say.

use crate::limits::{LABEL_VALUE_BYTES_MAX, Limits};
use crate::normalise::bounded;
use crate::problem::Problem;
use formats::Options;
use http::{HeaderMap, header};

/// Refuses encodings that are not undone.
pub(crate) fn check_encoding(headers: &HeaderMap) -> Result<(), Problem> {
    let encoding = headers.get(header::CONTENT_ENCODING).and_then(|value| value.to_str().ok());
    match encoding.map(|text| text.trim().to_ascii_lowercase()).as_deref() {
        None | Some("" | "identity" | "gzip" | "x-gzip" | "zstd") => Ok(()),
        Some(other) => {
            let detail = format!("content encoding {other:?} is not read here");
            Err(Problem::unsupported(detail, "send gzip, zstd or no encoding"))
        }
    }
}

/// What the client calls itself.
pub(crate) fn user_agent(headers: &HeaderMap) -> String {
    let agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
    bounded(agent.unwrap_or_default(), LABEL_VALUE_BYTES_MAX)
}

/// How payloads are decoded under these limits.
pub(crate) fn options(limits: &Limits) -> Options {
    let own = formats::Limits {
        decompressed_bytes_max: limits.decompressed_bytes_max,
        samples_max: limits.samples_max,
        profiles_max: limits.profiles_max,
        ..formats::Limits::default()
    };
    Options { limits: own, ..Options::default() }
}
