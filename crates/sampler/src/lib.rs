//! Perf events: the only code that talks to the kernel.
//!
//! A [`Sampler`] opens a software CPU clock on every CPU (or on every thread of chosen processes),
//! and hands out [`Record`]s in order of time: samples with registers, a copy of the top of the
//! stack and the kernel's call chain, and the side records (exec, mmap, comm, fork, exit) that
//! say which code those addresses belong to. Layouts: `man 2 perf_event_open`.
#![allow(unsafe_code, reason = "system calls and memory shared with the kernel")]

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
compile_error!("the sampler knows the register layout of x86-64 Linux only");

mod affinity;
pub mod clock;
mod error;
mod event;
pub mod heap;
pub mod limits;
mod record;
mod ring;
mod sampler;

pub use error::Error;
pub use record::{Record, Registers, Sample, Words};
pub use sampler::{Options, Sampler, Scope};
