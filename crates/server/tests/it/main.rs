//! The real binary on free loopback ports: uploads, questions, principals, damage, crashes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

mod auth;
mod crash;
mod damage;
mod datadog;
mod datadog_traces;
mod events;
mod exemplars;
mod exports;
mod ground_truth;
mod limits;
mod logs;
mod payloads;
mod ports;
mod pyroscope;
mod settings;
mod symbols;
mod tee;
mod tls;
mod traces;
mod uploads;
