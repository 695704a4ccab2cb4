//! The demo shop: a real HTTP service whose endpoints are slow for different, recognisable
//! reasons, and a driver that keeps it busy. It exists so that a newcomer sees something worth
//! seeing in the profiler; nothing in the product depends on it.
//!
//! Each cause of slowness is a module with its hot functions in it, none of them inlined, so that
//! the flame graph reads like this list.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a demo talks on its terminal")]

mod catalogue;
mod checkout;
mod export;
mod recommend;
mod report;
mod search;
mod thumbnail;

mod driver;
mod server;
mod supervisor;

use clap::{Parser, Subcommand};
use std::net::SocketAddr;

/// A small shop under load.
#[derive(Parser)]
#[command(name = "vesta-shop", version)]
struct Args {
    #[command(subcommand)]
    mode: Option<Mode>,
}

#[derive(Subcommand)]
enum Mode {
    /// Only the HTTP service.
    Serve {
        /// Loopback address to listen on.
        #[arg(long, default_value = "127.0.0.1:8089")]
        listen: SocketAddr,
    },
    /// Only the load.
    Drive {
        /// Address of a running `vesta-shop serve`.
        #[arg(long, default_value = "127.0.0.1:8089")]
        target: SocketAddr,
        #[command(flatten)]
        load: driver::LoadArgs,
    },
    /// Both, in two processes; this is what runs without a subcommand.
    Demo {
        /// Loopback address to listen on.
        #[arg(long, default_value = "127.0.0.1:8089")]
        listen: SocketAddr,
        #[command(flatten)]
        load: driver::LoadArgs,
    },
}

fn main() -> anyhow::Result<()> {
    let default_listen = SocketAddr::from(([127, 0, 0, 1], 8089));
    let mode = Args::parse()
        .mode
        .unwrap_or(Mode::Demo { listen: default_listen, load: driver::LoadArgs::default() });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("shop-worker")
        .enable_all()
        .build()?;
    match mode {
        Mode::Serve { listen } => runtime.block_on(server::serve(listen)),
        Mode::Drive { target, load } => runtime.block_on(driver::drive(target, load)),
        Mode::Demo { listen, load } => runtime.block_on(supervisor::run_both(listen, load)),
    }
}
