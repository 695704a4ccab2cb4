//! Foreign formats of profiles and spans to and from the data model.
//!
//! Decoding is total: it returns what could be read and a list of issues, never an error for the
//! whole, never a panic, and within [`limits::Limits`]. Nothing here does I/O. The formats are
//! listed in [`FORMATS`]; [`decode`] finds the right one by content.

pub mod compress;
pub mod decoded;
pub mod folded;
pub mod fuzz;
pub mod jfr;
pub mod limits;
pub mod logs;
pub mod nettrace;
pub mod node;
pub mod otlp;
pub mod pprof;
pub mod push;
pub mod registry;
pub mod speedscope;
pub mod traces;
pub mod tree;
pub mod trie;

mod intern;
mod json;
mod kinds;
mod labels;
mod msgpack;
mod room;
mod rows;
mod stacks;
mod told;

pub use decoded::{Decoded, DecodedProfile, Issue, IssueKind, MappedType, Options};
pub use limits::Limits;
pub use registry::{FORMATS, Format, decode, sniff};
pub use traces::DecodedSpans;

#[cfg(test)]
mod tests;
