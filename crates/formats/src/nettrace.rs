//! Nettrace files, which .NET's EventPipe writes: `dotnet-trace`, `dotnet-monitor`, a program's own
//! diagnostics port.
//!
//! A file is a row of blocks: types of events, stacks of addresses, events. Names of methods come
//! as events too, mostly at the end, so a file is walked three times: for the addresses that stacks
//! hold, for what events say about those and about the file, and for the samples. Blocks are read
//! where they lie. What becomes of which event is one table ([`table`]); the page
//! `docs/formats/nettrace.md` is held to it by a test.

mod container;
mod decode;
mod events;
mod input;
mod kinds;
mod methods;
mod samples;
mod stacks;
mod survey;
pub mod table;
mod threads;
mod types;

pub(crate) use container::{MAGIC, NETPERF_MAGIC};
pub use decode::decode;
