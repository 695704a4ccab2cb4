//! The agent against real programs: known shares, complete stacks, short lives, failing servers.
//!
//! Needs perf events: root, CAP_PERFMON, or `perf_event_paranoid` of at most 2.

mod decode;
mod ground_truth;
mod resend;
mod support;
