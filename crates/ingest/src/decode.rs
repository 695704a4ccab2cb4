//! The seam to `formats`: which decoder reads a body, and undoing Content-Encoding.

use crate::limits::LABEL_VALUE_BYTES_MAX;
use crate::normalise::bounded;
use crate::pipeline::Decoded;
use crate::problem::Problem;
use http::{HeaderMap, header};
use std::borrow::Cow;
use std::io::Read;

/// How folded text is to be understood.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TextShape {
    /// One stack a line, each counting once, instead of `stack value`.
    pub(crate) lines: bool,
    /// Sample type, where the application's name says it.
    pub(crate) sample_type: Option<String>,
    /// Unit of the values: `samples`, `bytes`, …
    pub(crate) units: String,
    /// Samples a second.
    pub(crate) sample_rate: u32,
}

/// Whether the body is declared to be gzip; other encodings are refused.
pub(crate) fn is_gzip_encoded(headers: &HeaderMap) -> Result<bool, Problem> {
    let encoding = headers.get(header::CONTENT_ENCODING).and_then(|value| value.to_str().ok());
    match encoding.map(|text| text.trim().to_ascii_lowercase()).as_deref() {
        None | Some("" | "identity") => Ok(false),
        Some("gzip" | "x-gzip") => Ok(true),
        Some(other) => {
            let detail = format!("content encoding {other:?} is not read here");
            Err(Problem::unsupported(detail, "send gzip or no encoding"))
        }
    }
}

/// The body without its declared encoding.
pub(crate) fn content(body: &[u8], is_gzip: bool, max: usize) -> Result<Cow<'_, [u8]>, Problem> {
    const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
    // Some clients declare gzip and send it plain.
    if !is_gzip || !body.starts_with(&GZIP_MAGIC) {
        return Ok(Cow::Borrowed(body));
    }
    let mut plain = Vec::new();
    let mut reader = flate2::read::MultiGzDecoder::new(body).take(max as u64 + 1);
    let read = reader.read_to_end(&mut plain);
    if plain.len() > max {
        let detail = format!("the body is larger than {max} bytes after decompression");
        return Err(Problem::too_large(detail, "send shorter windows"));
    }
    match read {
        // What came before the damage is still worth reading.
        Err(_) if !plain.is_empty() => Ok(Cow::Owned(plain)),
        Err(error) => {
            let detail = format!("the gzip body could not be decompressed: {error}");
            Err(Problem::bad_request(detail, "send valid gzip, or no Content-Encoding"))
        }
        Ok(_) => Ok(Cow::Owned(plain)),
    }
}

/// What the client calls itself.
pub(crate) fn user_agent(headers: &HeaderMap) -> String {
    let agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
    bounded(agent.unwrap_or_default(), LABEL_VALUE_BYTES_MAX)
}

/// A profile file; its format is recognised by its content.
pub(crate) fn file(body: &[u8], max: usize) -> Result<Decoded, Problem> {
    Ok(decoded(formats::decode(body, &options(max))))
}

/// An OTLP export request.
pub(crate) fn otlp(body: &[u8], max: usize) -> Result<Decoded, Problem> {
    Ok(decoded(formats::otlp::decode(body, &options(max))))
}

/// Folded text.
pub(crate) fn text(body: &[u8], shape: &TextShape) -> Decoded {
    decoded(formats::folded::decode(body, shape))
}
