//! What was typed, and what is run.

use crate::limits;
use anyhow::{Context as _, bail, ensure};
use clap::Parser;
use std::path::PathBuf;
use std::time::Duration;

/// Profiles this host (or some processes) and sends OTLP profiles.
///
/// Takes the stack of whatever runs, FREQUENCY times per second of CPU time, on every CPU. Needs
/// root or CAP_PERFMON and CAP_SYS_PTRACE for the whole host; without them it profiles the
/// processes of its own user.
#[derive(Debug, Parser)]
#[command(name = "vesta-agent", version)]
pub(crate) struct Args {
    /// Where to send: `http://HOST:PORT` (OTLP over HTTP; a path replaces
    /// `/v1development/profiles`) or `grpc://HOST:PORT`.
    #[arg(long, env = "VESTA_ENDPOINT", default_value = "http://127.0.0.1:4040")]
    endpoint: String,
    /// Token sent as `Authorization: Bearer`.
    #[arg(long, env = "VESTA_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Samples per second of CPU time.
    #[arg(long, short, value_name = "HZ", default_value_t = 99,
          value_parser = clap::value_parser!(u32).range(1..=4000))]
    frequency: u32,
    /// Profile these processes only (may be given several times).
    #[arg(long, short, value_name = "PID")]
    pid: Vec<u32>,
    /// With --pid: profile the processes that they start, too.
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set,
          num_args = 0..=1, default_missing_value = "true")]
    children: bool,
    /// Stop after this many seconds.
    #[arg(long, short, value_name = "SECONDS")]
    duration: Option<f64>,
    /// Write one encoded OTLP request to this file (`-`: standard output) instead of sending.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Seconds between two batches.
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0)]
    interval: f64,
    /// Largest share of the machine's CPU time that the agent may use, in percent; it samples less
    /// often to stay within.
    #[arg(long, value_name = "PERCENT", default_value_t = 1.0)]
    cpu_budget: f64,
    /// Bytes of stack copied with each sample; deeper stacks are cut (and counted as broken).
    #[arg(long, value_name = "BYTES", default_value_t = sampler::limits::STACK_BYTES,
          value_parser = clap::value_parser!(u32).range(1024..=65528))]
    stack_bytes: u32,
    /// Log more (also: RUST_LOG).
    #[arg(long, short)]
    verbose: bool,
}

/// Where profiles go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// OTLP over HTTP to this address.
    Http(http::Uri),
    /// OTLP over gRPC to this address.
    Grpc(String),
    /// One request into a file.
    File(PathBuf),
}

/// A valid configuration.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) target: Target,
    pub(crate) token: Option<String>,
    pub(crate) frequency_hz: u32,
    pub(crate) pids: Vec<u32>,
    pub(crate) children: bool,
    pub(crate) duration: Option<Duration>,
    pub(crate) interval: Duration,
    /// Share of the machine, 0 to 1.
    pub(crate) cpu_budget: f64,
    pub(crate) stack_bytes: u32,
    pub(crate) verbose: bool,
}

fn target(endpoint: &str) -> anyhow::Result<Target> {
    if let Some(rest) = endpoint.strip_prefix("grpc://") {
        return Ok(Target::Grpc(format!("http://{rest}")));
    }
    let advice = "give http://HOST:PORT or grpc://HOST:PORT";
    let uri: http::Uri = endpoint
        .parse()
        .with_context(|| format!("cannot read the endpoint {endpoint:?}: {advice}"))?;
    let host = uri.authority().with_context(|| format!("no host in {endpoint:?}: {advice}"))?;
    match uri.scheme_str() {
        Some("http") => {}
        Some("https") => bail!("https is not supported yet ({endpoint:?}): {advice}"),
        _ => bail!("unknown scheme in {endpoint:?}: {advice}"),
    }
    let path = uri.path_and_query().map_or("/", |it| it.as_str());
    let path = if path == "/" { "/v1development/profiles" } else { path };
    Ok(Target::Http(format!("http://{host}{path}").parse()?))
}

fn seconds(value: f64, name: &str) -> anyhow::Result<Duration> {
    ensure!(
        value.is_finite() && (0.1..=1e7).contains(&value),
        "--{name} must be between 0.1 and 10000000 seconds, not {value}"
    );
    Ok(Duration::from_secs_f64(value))
}

impl Args {
    /// Checks what was typed.
    pub(crate) fn check(self) -> anyhow::Result<Config> {
        ensure!(
            self.cpu_budget > 0.0 && self.cpu_budget <= 100.0,
            "--cpu-budget must be above 0 and at most 100 percent, not {}",
            self.cpu_budget
        );
        ensure!(
            self.output.is_none() || self.duration.is_some() || !self.pid.is_empty(),
            "--output needs --duration or --pid: it is written at the end"
        );
        let target = match self.output {
            Some(path) => Target::File(path),
            None => target(&self.endpoint)?,
        };
        Ok(Config {
            target,
            token: self.token,
            frequency_hz: self.frequency.max(1),
            pids: self.pid,
            children: self.children,
            duration: self.duration.map(|it| seconds(it, "duration")).transpose()?,
            interval: seconds(self.interval, "interval")?.max(limits::FIRST_BATCH_AFTER),
            cpu_budget: self.cpu_budget / 100.0,
            stack_bytes: self.stack_bytes,
            verbose: self.verbose,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_told_apart() {
        let http = |text: &str| Target::Http(text.parse().expect("an address"));
        let ok = |text| target(text).expect("a good endpoint");
        assert_eq!(ok("http://a:4040"), http("http://a:4040/v1development/profiles"));
        assert_eq!(ok("http://a:4040/x/y"), http("http://a:4040/x/y"));
        assert_eq!(ok("grpc://a:4317"), Target::Grpc("http://a:4317".to_owned()));
        for bad in ["https://a", "ftp://a", "a b", ""] {
            assert!(target(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory as _;
        Args::command().debug_assert();
        let check = |args: &[&str]| Args::parse_from(args).check();
        assert!(check(&["vesta-agent", "--output", "x"]).is_err());
        let config = check(&["vesta-agent", "--pid", "1", "--children", "false"]).expect("valid");
        assert!(!config.children);
        assert!(check(&["vesta-agent", "--cpu-budget", "0"]).is_err());
    }
}
