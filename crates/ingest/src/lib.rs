//! Receivers of client protocols, limits and normalisation in front of a sink.
//!
//! A receiver (a file each under [`receivers`]) reads a request's form; [`pipeline::Ingest`] admits,
//! decodes on a bounded number of threads, normalises labels, applies [`limits`] and appends to the
//! [`Sink`]; an answer of success means the profiles are durable. [`auth`] makes the [`Principal`]
//! that every route takes, here and in `api`; [`problem`] is the form of all errors.
//!
//! What is absent: the store (only the trait [`Sink`]), environment, files, clocks of its own.

pub mod attime;
pub mod auth;
pub mod counters;
mod decode;
pub mod fuzz;
mod gate;
pub mod limits;
pub mod normalise;
pub mod notes;
pub mod payload;
pub mod pipeline;
pub mod principal;
pub mod problem;
pub mod query;
pub mod receipt;
pub mod receivers;
pub mod sink;

pub use auth::Auth;
pub use payload::{Payload, Reading, Request};
pub use pipeline::Ingest;
pub use principal::{Need, Principal, Role, Scope};
pub use problem::Problem;
pub use query::Query;
pub use receipt::Receipt;
pub use sink::{Kept, Sink, SinkError};
