//! JDK Flight Recorder files, as the JDK, async-profiler and Datadog's profiler write them.
//!
//! A file is a row of chunks, each with type descriptions, constants and type ids of its own.
//! Reading walks a chunk four times over its events: where types and constants are, what settings
//! say, the samples, and then what else the virtual machine tells; fields are read at places that are
//! worked out once a type, and events of other types are stepped over. What becomes of which event is
//! one table ([`table`]); the page `docs/formats/jfr.md` is held to it by a test.

mod contexts;
mod decode;
mod header;
mod info;
mod input;
mod kinds;
mod layout;
mod metadata;
mod names;
mod old;
mod pools;
mod runtime;
mod samples;
pub mod table;

pub use decode::{decode, decode_labelled};
pub(crate) use header::MAGIC;
