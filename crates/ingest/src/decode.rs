//! The seam to `formats`, which recognises compression by content, whatever the headers say.

use crate::limits::{LABEL_VALUE_BYTES_MAX, Limits};
use crate::normalise::bounded;
use crate::problem::Problem;
use formats::{Decoded, Issue, IssueKind, Options};
use http::{HeaderMap, header};

/// Path that takes files of every format.
pub(crate) const UPLOAD_PATH: &str = "/api/v1/profiles";

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

/// No file of another format is so small, empty requests are.
const EMPTY_BYTES_MAX: usize = 64;

/// Decodes an OTLP request. Another format has no field that such a request has: without a word its
/// profiles would be lost.
pub(crate) fn otlp(bytes: &[u8], options: &Options) -> Decoded {
    let mut decoded = formats::otlp::decode(bytes, options);
    // A few bytes are any format; a request may well be empty.
    let found = (bytes.len() > EMPTY_BYTES_MAX).then(|| formats::sniff(bytes)).flatten();
    let found = found.filter(|format| format.name != "otlp");
    if let (true, Some(format)) = (decoded.profiles.is_empty(), found) {
        let example = format!(
            "this is {}, not an OTLP request: send it to {}?service_name=NAME",
            format.name, UPLOAD_PATH
        );
        decoded.issues.insert(0, Issue { kind: IssueKind::UnknownFormat, count: 1, example });
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_formats_are_not_lost_as_empty_otlp_requests() {
        let pprof = include_bytes!("../../../fixtures/go-pprof/cpu.pb.gz");
        let decoded = otlp(pprof, &Options::default());
        assert!(decoded.profiles.is_empty());
        assert!(decoded.issues[0].example.contains("this is pprof"), "{:?}", decoded.issues);
        assert!(otlp(&[], &Options::default()).issues.is_empty(), "an empty request is fine");
    }
}
