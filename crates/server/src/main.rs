//! The vesta binary: server, page and command line.

mod admin;
mod cli;
mod client;
mod config;
mod egress;
mod flame;
mod import;
mod limits;
mod outward;
mod page;
mod query_command;
mod record;
mod serve;
mod tee;
mod terminal;
mod waiting;

use std::io::Write;
use std::process::ExitCode;

/// Frees memory back to the system and stays small under many threads.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// How the allocator behaves: few arenas, freed memory back to the system after a second.
#[allow(unsafe_code, reason = "the allocator reads its settings from a symbol of this name")]
// SAFETY: the symbol is declared by jemalloc as a pointer to a string that ends in NUL, which a
// reference to a byte array is; nothing else defines it.
#[unsafe(export_name = "_rjem_malloc_conf")]
static ALLOCATOR_SETTINGS: &[u8; 73] =
    b"narenas:4,background_thread:true,dirty_decay_ms:1000,muzzy_decay_ms:1000\0";

fn main() -> ExitCode {
    match cli::run() {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "vesta: {error:#}");
            ExitCode::FAILURE
        }
    }
}
