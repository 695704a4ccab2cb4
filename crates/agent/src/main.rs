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
use tracing_subscriber::EnvFilter;

fn main() -> anyhow::Result<()> {
    let config = config::Args::parse().check()?;
    let level = if config.verbose { "debug" } else { "info" };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    run::run(&config)
}
