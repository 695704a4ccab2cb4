//! The handlers, a file a subject.

#![allow(unused_qualifications, reason = "utoipa's macro writes paths that it could shorten")]

pub mod admin;
pub mod diff;
pub mod events;
pub mod facets;
pub mod flamegraph;
pub mod moments;
pub mod overview;
pub mod payloads;
pub mod pgo;
pub mod profiles;
pub mod queries;
pub mod sandwich;
pub mod series;
pub mod server;
pub mod spans;
pub mod symbols;
pub mod top;
pub mod upload;
