//! `cargo xtask bench`: figures by hand, in CPU seconds and ratios.

mod gates;
mod load;
mod meter;

use crate::children::Children;
use crate::command::{cargo, command, run as run_command};
use crate::stack::{self, Purpose};
use crate::workspace::Workspace;
use anyhow::{Context, bail};
use load::Measured;
use meter::watch;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(clap::Args, Debug)]
pub(crate) struct BenchArgs {
    /// Measure what is shipped: the release profile, whose first build takes long.
    #[arg(long, global = true)]
    release: bool,
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand, Debug)]
enum What {
    /// CPU and memory of the agent over this host.
    Agent {
        /// How long to watch, in seconds.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
    /// A load of fifty services through the real port: CPU, bytes on disk, queries, memory, each
    /// beside its bar.
    Ingest(load::LoadArgs),
    /// More uploads of a megabyte than a server can take: how each is answered, and its memory.
    Overload {
        /// For how long, in seconds.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
        /// Connections that send without a pause.
        #[arg(long, default_value_t = 16)]
        writers: usize,
    },
    /// CPU and memory of a server that nobody sends to or asks.
    Idle {
        /// How long to watch, in seconds.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
    /// Storing and asking about an hour of this host: captures, repeats the capture shifted in
    /// time, and compares step 1 of a flame graph with a hand-written loop over the same files.
    Host {
        /// How long to capture, in seconds.
        #[arg(long, default_value_t = 150)]
        seconds: u64,
        /// How many minutes to make of it.
        #[arg(long, default_value_t = 60)]
        minutes: u64,
    },
    /// Bytes an event by table, of captures amplified and compacted.
    Size {
        /// Watch this host with the agent for so many seconds, and measure that capture too.
        #[arg(long, default_value_t = 0)]
        capture: u64,
        /// What `measure size` takes: options, profiles and folders of stores.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Instructions of the hot functions against the committed figures.
    Gates {
        /// Make what is counted the new figures.
        #[arg(long)]
        write: bool,
    },
    /// CPU of questions to the engine over generated sets, beside loops written by hand over the
    /// same files.
    Query {
        /// What `measure query` takes.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
}

/// Runs one of them.
pub(crate) fn run(workspace: &Workspace, args: &BenchArgs) -> anyhow::Result<()> {
    let workspace = &Workspace { is_release: args.release, ..workspace.clone() };
    if !args.release {
        println!("note: dev profile (opt-level 1); what is shipped is measured by --release");
    }
    match &args.what {
        What::Size { capture: 0, args } => return measure(workspace, "size", args),
        What::Query { args } => return measure(workspace, "query", args),
        What::Gates { .. } if args.release => bail!("the committed figures are of the dev profile"),
        What::Gates { write } => {
            return gates::run(&workspace.root, &build_measure(workspace)?, *write);
        }
        _ => {}
    }
    build(workspace, &["--bins"])?;
    let program = build_measure(workspace)?;
    let data = tempfile::tempdir()?;
    let mut children = Children::new(&workspace.target.join("bench-logs"))?;
    let port = stack::free_port()?;
    let url = stack::start_server(workspace, &mut children, port, data.path(), Purpose::Test)?;
    let id = children.id("vesta").context("the server is not running")?;
    let server = Measured { url: &url, id, data: data.path(), program: &program };
    match &args.what {
        What::Agent { seconds } => agent(workspace, &mut children, &url, *seconds),
        What::Ingest(args) => load::ingest(&server, args),
        What::Overload { seconds, writers } => load::overload(&server, *seconds, *writers),
        What::Idle { seconds } => idle(&mut children, *seconds, id),
        What::Query { .. } | What::Gates { .. } => Ok(()),
        What::Size { capture, args } => {
            let agent = stack::start_agent(workspace, &mut children, &url)?;
            watch(&mut children, *capture, agent, "agent")?;
            drop(children);
            let captured = data.path().to_string_lossy().into_owned();
            let args: Vec<String> = args.iter().cloned().chain([captured]).collect();
            measure(workspace, "size", &args)
        }
        What::Host { seconds, minutes } => {
            let agent = stack::start_agent(workspace, &mut children, &url)?;
            watch(&mut children, *seconds, agent, "agent")?;
            // Both write out what they have when they are asked to end.
            drop(children);
            host(workspace, data.path(), *minutes)
        }
    }
}

fn agent(
    workspace: &Workspace,
    children: &mut Children,
    url: &str,
    seconds: u64,
) -> anyhow::Result<()> {
    let agent = stack::start_agent(workspace, children, url)?;
    std::thread::sleep(Duration::from_secs(5));
    watch(children, seconds, agent, "agent")
}

fn idle(children: &mut Children, seconds: u64, server: u32) -> anyhow::Result<()> {
    std::thread::sleep(Duration::from_secs(5));
    watch(children, seconds, server, "idle server")
}

/// Builds binaries or an example.
fn build(workspace: &Workspace, what: &[&str]) -> anyhow::Result<()> {
    let mut words = vec!["build"];
    words.extend(stack::PRODUCT);
    words.extend(what);
    words.extend(workspace.is_release.then_some("--release"));
    run_command(&mut cargo(&workspace.root, &words))
}

/// Builds the program that measures store and engine as libraries.
fn build_measure(workspace: &Workspace) -> anyhow::Result<PathBuf> {
    build(workspace, &["--example", "measure"])?;
    Ok(workspace.binary("examples/measure"))
}

/// Runs it.
fn measure(workspace: &Workspace, what: &str, args: &[String]) -> anyhow::Result<()> {
    let program = build_measure(workspace)?.to_string_lossy().into_owned();
    run_command(command(&workspace.root, &program, &[what]).args(args))
}

/// What the captured store tells, by the program that repeats it.
fn host(workspace: &Workspace, data: &Path, minutes: u64) -> anyhow::Result<()> {
    build(workspace, &["--example", "host_hour"])?;
    let program = workspace.binary("examples/host_hour").to_string_lossy().into_owned();
    let data = data.to_string_lossy();
    run_command(&mut command(&workspace.root, &program, &[&data, &minutes.to_string()]))
}
