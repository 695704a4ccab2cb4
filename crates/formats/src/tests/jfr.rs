//! JFR: chunks written here, a recording of a known program, and everything damaged.

mod chunks;
mod golden;
mod hostile;
pub(super) mod writer;
