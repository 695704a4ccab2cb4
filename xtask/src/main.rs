//! The only automation of this repository: `cargo xtask <command>`.
//!
//! Reading order: `workspace` (where things are), `command` (running things and what they cost),
//! `signals` (Ctrl-C), `setup` (what a fresh machine lacks), `children` (processes we start and
//! stop), `stack` (the product, started for a purpose); then a file a command.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "automation talks on its terminal")]

mod workspace;

mod children;
mod command;
mod http;
mod setup;
mod signals;
mod stack;
mod ui;

mod bench;
mod clients;
mod corpus;
mod crash;
mod demo;
mod openapi;
mod test;
mod tidy;

use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;
use workspace::Workspace;

/// Builds, runs and checks Vesta.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Profile this host: server, agent and a small shop under load; prints the page's address.
    Demo(demo::DemoArgs),
    /// Everything that must pass, on a fresh machine too.
    Test(test::TestArgs),
    /// Check the rules of STYLE.md that a program can check.
    Tidy,
    /// Upload every binary pprof of a corpus folder and compare with its computed truth.
    Corpus {
        /// A folder of items with `meta.json` and `truth.json`, or of `*.tar.zst` of such items.
        dir: PathBuf,
        /// Print a line for every file, not only for those that differ.
        #[arg(long)]
        verbose: bool,
    },
    /// Run real clients of others against the built server and look for what they did.
    Clients(clients::ClientsArgs),
    /// Write openapi/api.json from the built server.
    Openapi {
        /// Fail if the committed file differs; write nothing.
        #[arg(long)]
        check: bool,
    },
    /// Kill the real server again and again under load; nothing acknowledged may be lost.
    Crash(crash::CrashArgs),
    /// Measure by hand: CPU seconds and ratios.
    Bench(bench::BenchArgs),
}

fn main() -> ExitCode {
    match run(Args::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> anyhow::Result<()> {
    signals::watch()?;
    let workspace = Workspace::load()?;
    match task {
        Task::Demo(args) => demo::run(&workspace, &args),
        Task::Test(args) => test::run(&workspace, &args),
        Task::Tidy => tidy::run(&workspace),
        Task::Corpus { dir, verbose } => corpus::run(&workspace, &dir, verbose),
        Task::Clients(args) => clients::run(&workspace, &args),
        Task::Openapi { check } => openapi::run(&workspace, check),
        Task::Crash(args) => crash::run(&workspace, &args),
        Task::Bench(args) => bench::run(&workspace, &args),
    }
}
