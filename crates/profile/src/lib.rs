//! The data model of a profile, in the words of OTLP and pprof.
//!
//! A [`Profile`] is one upload for one time window of one series. Its [`Sample`]s are observed
//! *events*: a stack, up to four values measured by that event, and optionally a time, a thread, a
//! [`Link`] to a span and attributes. Everything a sample points to lives once in [`Tables`] and is
//! named by a typed handle; stacks are nodes of a prefix tree ([`StackTable`]). What the runtime told
//! beside samples ([`runtime`]) comes with a profile; spans of traces ([`span`]) stand for themselves.
//!
//! What is absent: I/O, serialization, clocks, async. Every id is a typed index that is only valid
//! with the tables it came from.

pub mod folded;
pub mod handle;
pub mod hasher;
pub mod index;
pub mod kind;
pub mod kind_table;
pub mod labels;
pub mod merge;
pub mod prune;
pub mod runtime;
pub mod sample;
pub mod span;
pub mod stack;
pub mod table;
pub mod tables;
pub mod type_map;

pub use handle::{
    AttributesId, FunctionId, KindIndex, LinkId, LocationId, MappingId, StackId, StringId, ThreadId,
};
pub use hasher::KeyedMap;
pub use index::Index;
pub use kind::{Aggregation, Measure, ProfileTypeId, SampleKind, VALUES_MAX};
pub use labels::Labels;
pub use runtime::{Reading, RuntimeEvent};
pub use sample::{Metadata, Profile, Sample};
pub use span::{Span, SpanBatch, SpanKind, SpanStatus};
pub use stack::StackTable;
pub use table::{Strings, Table};
pub use tables::{
    Attribute, AttributeValue, FrameType, Function, Line, Lines, Link, Location, Mapping, Tables,
    Thread,
};
