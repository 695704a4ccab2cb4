//! The store: what is acknowledged is durable, visible at once and kept in files that any SQL
//! engine reads.
//!
//! A profile is encoded into the write-ahead log ([`wal`], one sync for all that wait), then put
//! into the memtable, where snapshots see it. A flush writes the memtable to immutable Parquet
//! segments; the catalog's transaction is the commit. Compaction merges small segments, retention
//! drops old ones. Queries read a [`Snapshot`]: per [`Part`] its samples, its profiles and its
//! [`profile::Tables`].
//!
//! Every file operation goes through a [`FileLayer`], so that tests can cut the power anywhere.

pub mod codec;
pub mod error;
pub mod events;
pub mod layer;
pub mod limits;
pub mod part;
pub mod records;
pub mod schema;
pub mod spans;
pub mod store;
pub mod wal;

mod absorb;
mod batch;
mod cache;
mod collect;
mod content;
mod files;
mod hidden;
mod index;
mod memtable;
mod payload;
mod places;
mod prune;
mod resolution;
mod rollup;
mod rows;
mod rules;
mod segment;

pub use cache::Named;
pub use catalog::{Deletion, Dropped, NamesRow, PayloadRow, Pin};
pub use error::{Error, ErrorKind};
pub use layer::{FileLayer, LayerFile, LocalFiles};
pub use limits::Options;
pub use part::{Part, Samples, Snapshot, TableSet};
pub use payload::{NewPayload, PAYLOAD_INFO, PayloadRule, payload_of, unmark};
pub use records::part::{RecordPart, Records};
pub use records::{Record, Texts};
pub use resolution::{Resolution, ResolutionRule};
pub use rollup::read::Wanted;
pub use rollup::{HourPart, Hours, ROLLUP_VERSION};
pub use rows::{ProfileRow, Run, Slice, Slices};
pub use rules::RetentionRule;
pub use segment::bloom::SpanKey;
pub use store::{
    Appended, Backup, Checked, Matching, NewNames, Outcome, Parsed, Reparsed, Restored,
    RetentionStatus, Stats, Store, TenantUsage,
};
