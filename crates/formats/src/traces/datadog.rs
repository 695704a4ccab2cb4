//! Spans as Datadog's libraries send them to their agent: `/v0.3`, `/v0.4`, `/v0.5` and
//! `/v0.7/traces`. Format page: `docs/formats/datadog-traces.md`.
//!
//! A request is a list of chunks, each a list of spans of one trace of one process. Spans name their
//! service themselves, so that a batch is made for each service, environment and version.

mod chunks;
mod given;
mod json;
mod maps;
mod table;

use super::DecodedSpans;
use super::draft::Builder;
use crate::compress::decompress;
use crate::decoded::{Issues, Options};
use crate::json::document;
use chunks::Chunks;

/// How a request is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `/v0.3` and `/v0.4`: lists of lists of maps, in msgpack or JSON, which the first byte tells.
    Maps,
    /// `/v0.5`: a table of texts, and lists of lists of lists, in msgpack.
    Table,
    /// `/v0.7`: a map that holds chunks and what their spans share, in msgpack.
    Payload,
}

/// Who says which spans are the first of their service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entries {
    /// The client marks them.
    Marked,
    /// Nobody: they are found as Datadog's agent does. A span is one when its parent is not in its
    /// chunk, or of another service.
    Unmarked,
}

/// Reads a request, compressed or not.
pub fn decode(bytes: &[u8], form: Form, entries: Entries, options: &Options) -> DecodedSpans {
    let mut issues = Issues::default();
    let body = decompress(bytes, &options.limits, &mut issues);
    let mut chunks = Chunks::new(Builder::new(options, issues), entries);
    if !body.is_empty() {
        match form {
            // What a JSON list begins with is a number in msgpack.
            Form::Maps if document(&body).starts_with(b"[") => json::read(&body, &mut chunks),
            Form::Maps => maps::read(&body, &mut chunks),
            Form::Table => table::read(&body, &options.limits, &mut chunks),
            Form::Payload => maps::read_payload(&body, &mut chunks),
        }
    }
    chunks.finish()
}
