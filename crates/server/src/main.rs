//! The vesta binary: server, page and command line.

mod cli;
mod client;
mod config;
mod flame;
mod import;
mod page;
mod query_command;
mod record;
mod serve;
mod svg;

use std::io::Write;
use std::process::ExitCode;

/// Frees memory back to the system and stays small under many threads.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    match cli::run() {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "vesta: {error:#}");
            ExitCode::FAILURE
        }
    }
}
