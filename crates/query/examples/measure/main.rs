//! Measures the store and the engine as libraries, without a server: `measure size …`. Run by
//! `cargo xtask bench`, which builds it; `measure` alone lists what it can do.
#![allow(clippy::print_stdout, reason = "a program that prints its findings")]

mod cost;
mod input;
mod size;

type Failure = Box<dyn std::error::Error>;

const USAGE: &str = "\
measure size [--events N] [--resolutions ms,us,ns] [--services N] [--instances N] [--growth POWER]
             [--columns] [--dir DIR] FILE-OR-STORE…
    bytes an event by table of captures amplified to N events, everything flushed and compacted";

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<(), Failure> {
    let mut arguments = input::Arguments::of(std::env::args().skip(1));
    match arguments.next().as_deref() {
        Some("size") => size::run(arguments).await,
        _ => Err(USAGE.into()),
    }
}
