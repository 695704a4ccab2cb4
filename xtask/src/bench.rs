//! `cargo xtask bench`: figures by hand, in CPU seconds and ratios.

use crate::children::Children;
use crate::command::{cargo, command, now, run as run_command};
use crate::http::{Client, encode};
use crate::stack::{self, Purpose};
use crate::workspace::Workspace;
use anyhow::{Context, bail};
use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(clap::Args, Debug)]
pub(crate) struct BenchArgs {
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
    /// CPU and bytes on disk of uploads of captured profiles under many services.
    Ingest {
        /// The profiles to upload.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// How many times each.
        #[arg(long, default_value_t = 100)]
        times: usize,
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
    /// CPU of flame graph queries over the uploads of one pprof under many services.
    Flame {
        /// The pprof to upload.
        file: PathBuf,
        /// How many times it is uploaded before.
        #[arg(long, default_value_t = 50)]
        times: usize,
    },
}

/// CPU ticks a second in /proc (`USER_HZ`, 100 on every Linux we run on).
const TICKS_PER_SECOND: f64 = 100.0;
/// Queries of one kind, of which the mean is shown.
const QUERIES: u32 = 20;

/// Runs one of them.
pub(crate) fn run(workspace: &Workspace, args: &BenchArgs) -> anyhow::Result<()> {
    run_command(&mut cargo(&workspace.root, &stack::BINARIES))?;
    println!("note: dev profile (opt-level 1); shipped binaries are faster");
    let data = tempfile::tempdir()?;
    if let What::Size { capture: 0, args } = &args.what {
        return measure(workspace, "size", args);
    }
    let mut children = Children::new(&workspace.target.join("bench-logs"))?;
    let port = stack::free_port()?;
    let url = stack::start_server(workspace, &mut children, port, data.path(), Purpose::Test)?;
    let server = children.id("vesta").context("the server is not running")?;
    match &args.what {
        What::Agent { seconds } => agent(workspace, &mut children, &url, *seconds),
        What::Ingest { files, times } => {
            for file in files {
                let before = bytes_below(data.path());
                let uploaded = upload(&url, file, *times, server)?;
                println!("{}:", file.display());
                uploaded.print(bytes_below(data.path()).saturating_sub(before));
            }
            Ok(())
        }
        What::Flame { file, times } => {
            let uploaded = upload(&url, file, *times, server)?;
            flame(&url, &uploaded, server)
        }
        What::Idle { seconds } => idle(&mut children, *seconds, server),
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

/// CPU and most memory of a process over some time.
fn watch(children: &mut Children, seconds: u64, id: u32, what: &str) -> anyhow::Result<()> {
    let (before, started) = (cpu_seconds(id)?, now());
    let mut rss_max = 0;
    while started.elapsed() < Duration::from_secs(seconds) && !children.stop_asked() {
        children.check()?;
        rss_max = rss_max.max(rss_kib(id)?);
        std::thread::sleep(Duration::from_millis(500));
    }
    let used = cpu_seconds(id)? - before;
    let wall = started.elapsed().as_secs_f64();
    println!(
        "{what}: {:.4} CPU-s per second over {wall:.0} s, {} MiB RSS",
        used / wall,
        rss_max / 1024
    );
    Ok(())
}

/// Runs the program that measures store and engine as libraries.
fn measure(workspace: &Workspace, what: &str, args: &[String]) -> anyhow::Result<()> {
    run_command(&mut cargo(&workspace.root, &["build", "--workspace", "--examples"]))?;
    let program = workspace.binary("examples/measure").to_string_lossy().into_owned();
    run_command(command(&workspace.root, &program, &[what]).args(args))
}

/// What the captured store tells, by the program that repeats it.
fn host(workspace: &Workspace, data: &Path, minutes: u64) -> anyhow::Result<()> {
    run_command(&mut cargo(&workspace.root, &["build", "--workspace", "--examples"]))?;
    let program = workspace.binary("examples/host_hour").to_string_lossy().into_owned();
    let data = data.to_string_lossy();
    run_command(&mut command(&workspace.root, &program, &[&data, &minutes.to_string()]))
}

/// What an amplified upload cost.
struct Uploaded {
    profiles: usize,
    samples: u64,
    cpu: f64,
    profile_type: String,
}

impl Uploaded {
    fn print(&self, bytes: u64) {
        println!("{} profiles, {} samples, {:.2} CPU-s", self.profiles, self.samples, self.cpu);
        let (profiles, samples) = (self.profiles as f64, self.samples as f64);
        println!(
            "per CPU-second: {:.0} profiles, {:.0} samples",
            profiles / self.cpu,
            samples / self.cpu
        );
        println!("CPU-s per 1,000 profiles: {:.3}", self.cpu * 1e3 / self.profiles as f64);
        println!("CPU-s per 1 M samples:    {:.3}", self.cpu * 1e6 / self.samples.max(1) as f64);
        println!("bytes on disk per sample: {:.2}", bytes as f64 / self.samples.max(1) as f64);
    }
}

/// Uploads `file` under `times` services and waits until the server has come to rest.
fn upload(url: &str, file: &Path, times: usize, server: u32) -> anyhow::Result<Uploaded> {
    let body = std::fs::read(file).with_context(|| format!("reading {}", file.display()))?;
    let client = Client::new();
    let before = cpu_seconds(server)?;
    let (mut samples, mut profile_type) = (0, String::new());
    for n in 0..times {
        let target =
            format!("{url}/api/v1/profiles?service_name=bench-{n}&label=instance=i{}", n % 7);
        let receipt = client.post(&target, "application/octet-stream", &body)?;
        samples += receipt["profiles"][0]["samples"].as_u64().unwrap_or(0);
        let id = receipt["profiles"][0]["types"][0]["type"].as_str().unwrap_or_default();
        id.clone_into(&mut profile_type);
    }
    settle(&client, url, server)?;
    if profile_type.is_empty() {
        bail!("the server's receipts name no profile type");
    }
    Ok(Uploaded { profiles: times, samples, cpu: cpu_seconds(server)? - before, profile_type })
}

/// Waits until everything is in segments and the server has used next to nothing for five seconds.
fn settle(client: &Client, url: &str, server: u32) -> anyhow::Result<()> {
    for _ in 0..36 {
        let before = cpu_seconds(server)?;
        std::thread::sleep(Duration::from_secs(5));
        let (_, metrics) = client.get(&format!("{url}/metrics"))?;
        let is_flushed = metrics.lines().any(|line| line == "vesta_store_memtable_bytes 0");
        if is_flushed && cpu_seconds(server)? - before < 0.05 {
            return Ok(());
        }
    }
    println!("note: the server has not come to rest within three minutes");
    Ok(())
}

fn flame(url: &str, uploaded: &Uploaded, server: u32) -> anyhow::Result<()> {
    let client = Client::new();
    for (what, matcher) in [("one service", "{service_name=\"bench-0\"}"), ("all services", "{}")] {
        let query = format!(
            "{url}/api/v1/flamegraph?type={}&match={}&from=0&to=now%2B1d&max_nodes=8192",
            encode(&uploaded.profile_type),
            encode(matcher)
        );
        client.get_json(&query)?;
        let before = cpu_seconds(server)?;
        for _ in 0..QUERIES {
            client.get_json(&query)?;
        }
        let each = (cpu_seconds(server)? - before) / f64::from(QUERIES);
        println!("flame graph of {what}: {each:.4} CPU-s over {} samples", uploaded.samples);
    }
    Ok(())
}

/// User and system time of a process so far.
fn cpu_seconds(id: u32) -> anyhow::Result<f64> {
    let stat =
        std::fs::read_to_string(format!("/proc/{id}/stat")).context("the process is gone")?;
    // The name in parentheses may hold anything; the numbers begin after the last of them.
    let fields: Vec<&str> =
        stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok());
    let (Some(user), Some(system)) = (ticks(11), ticks(12)) else { bail!("odd /proc/{id}/stat") };
    Ok((user + system) / TICKS_PER_SECOND)
}

fn rss_kib(id: u32) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    Ok(line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).unwrap_or(0))
}

fn bytes_below(dir: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(dir) else { return 0 };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => bytes_below(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    });
    sizes.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_process_can_be_read() {
        let id = std::process::id();
        assert!(cpu_seconds(id).unwrap() >= 0.0);
        assert!(rss_kib(id).unwrap() > 100);
    }
}
