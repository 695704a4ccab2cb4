//! The `vesta-agent` binary: profiles a host and sends OTLP profiles.
//!
//! One thread drains the kernel's rings, unwinds, and groups samples by process, stack and thread
//! ([`run`]); another gives names to addresses, encodes and sends ([`encode`], [`export`]).

mod batch;
mod budget;
mod config;
mod encode;
mod export;
mod limits;
mod modules;
mod output;
mod process;
mod run;

use clap::Parser as _;
use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to do where the error cannot be written.
            let _ = writeln!(std::io::stderr(), "vesta-agent: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start() -> anyhow::Result<()> {
    let config = config::Args::parse().check()?;
    let level = if config.verbose { "debug" } else { "info" };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let log = tracing_subscriber::fmt().with_env_filter(filter);
    log.with_ansi(std::io::stderr().is_terminal()).with_writer(std::io::stderr).init();
    run::run(&config)
}
