//! The handlers, a file a subject.

pub mod flamegraph;
pub mod overview;
pub mod profiles;
pub mod series;
pub mod server;
pub mod top;
pub mod upload;
