//! The processes of the host: what they map, who they are, how their stacks are walked.

mod env;
mod identity;
mod maps;
mod tracker;

pub(crate) use env::open_regular;
pub(crate) use identity::{Host, Identity};
pub(crate) use tracker::Tracker;
