//! Measures the store and the engine as libraries, without a server: `measure size …`. Run by
//! `cargo xtask bench`, which builds it; `measure` alone lists what it can do.
#![allow(clippy::print_stdout, reason = "a program that prints its findings")]

mod cost;
mod input;

mod size;

mod ask;
mod direct;
mod hand;
mod set;

mod upload;

mod gate;

type Failure = Box<dyn std::error::Error>;

const USAGE: &str = "\
measure size [--events N] [--resolutions ms,us,ns] [--services N] [--instances N] [--growth POWER]
             [--columns] [--dir DIR] FILE-OR-STORE…
    bytes an event by table of captures amplified to N events, everything flushed and compacted
measure query [--events N,N…] [--stacks PER-SERVICE] [--even] [--dir DIR] [--remove]
    CPU of questions over generated sets of 50 services, beside loops written by hand; sets are kept
    in DIR and used again
measure upload --to HOST:PORT [--writers N] [--profiles N] [--stacks N] [--overload SECONDS] [FILE…]
    generated profiles of 50 services and 4 instances, copies of captured files, or for some seconds
    as many profiles of a megabyte as the server takes
measure gate NAME ROUNDS
    one of the fixed pieces of work that `cargo xtask bench gates` counts instructions of";

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<(), Failure> {
    let mut arguments = input::Arguments::of(std::env::args().skip(1));
    match arguments.next().as_deref() {
        Some("size") => size::run(arguments).await,
        Some("upload") => upload::run(arguments),
        Some("gate") => gate::run(arguments).await,
        Some("query") => ask::run(arguments).await,
        _ => Err(USAGE.into()),
    }
}
