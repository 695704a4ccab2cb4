//! `vesta record`: profiles a command or a process with `vesta-agent`, then writes or sends it.

mod agent;
mod progress;
mod signals;
mod write;

use crate::client::ServerArgs;
use crate::terminal::say;
use agent::Agent;
use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use progress::Progress;
use signals::{Asked, Signals};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus};
use write::Form;

/// Seconds that a process is profiled when no duration is given.
const SECONDS_DEFAULT: f64 = 10.0;

/// The shortest and longest recording, in seconds, as the agent has them.
const SECONDS: std::ops::RangeInclusive<f64> = 0.1..=10_000_000.0;
/// The most samples a second that the agent takes.
const FREQUENCY_HZ_MAX: i64 = 4000;
/// Where a recording is kept that could not be sent.
const UNSENT: &str = "vesta-unsent.otlp";

fn seconds(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|number| SECONDS.contains(number));
    number.ok_or_else(|| format!("write a number of seconds from 0.1 to {:.0}", SECONDS.end()))
}

/// Arguments of `vesta record`.
#[derive(Debug, Args)]
pub(crate) struct RecordArgs {
    /// Profile this running process.
    #[arg(long, short, conflicts_with = "command")]
    pid: Option<u32>,
    /// Seconds to profile; a command is profiled until it exits, a process for 10 s.
    #[arg(long, short, value_name = "SECONDS", value_parser = seconds,
        allow_negative_numbers = true)]
    duration: Option<f64>,
    /// File to write: .pb.gz (pprof), .folded, .svg, .otlp; profile.svg when absent.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Form of the file, where its name does not say it.
    #[arg(long, value_enum)]
    format: Option<Form>,
    /// Send to the server at this address instead of writing a file.
    #[arg(long, value_name = "URL", conflicts_with_all = ["output", "format"])]
    send: Option<String>,
    /// Token for --send.
    #[arg(long, env = "VESTA_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Samples a second of CPU time.
    #[arg(long, default_value_t = 99, value_name = "HZ",
        value_parser = clap::value_parser!(u32).range(1..=FREQUENCY_HZ_MAX))]
    frequency: u32,
    /// The command and its arguments, after `--`.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// Records, then writes or sends.
pub(crate) async fn run(args: &RecordArgs) -> Result<ExitCode> {
    ensure!(
        args.pid.is_some() || !args.command.is_empty(),
        "say what to profile: `vesta record -- COMMAND` or `vesta record --pid PID`"
    );
    let target = Target::of(args)?;
    target.check().await?;
    let agent = agent::find()?;
    let captured = Captured::new()?;
    let mut signals = Signals::new()?;
    let code = match args.pid {
        Some(pid) => {
            record_process(args, &agent, pid, &captured.file, &mut signals).await?;
            0
        }
        None => record_command(args, &agent, &captured.file, &mut signals).await?,
    };
    let bytes = std::fs::read(&captured.file).context("read what the agent wrote")?;
    let delivered = deliver(&target, bytes).await;
    if let Err(error) = delivered {
        // The command's own failure is what its caller must see.
        ensure!(code != 0, "{error:#}");
        say(&format!("vesta: {error:#}"));
    }
    Ok(ExitCode::from(code))
}

/// Where the recording goes; checked before anything runs.
enum Target {
    Server(ServerArgs),
    File(PathBuf, Form),
}

impl Target {
    fn of(args: &RecordArgs) -> Result<Self> {
        if let Some(server) = &args.send {
            let (server, token) = (server.clone(), args.token.clone());
            return Ok(Self::Server(ServerArgs { server, token }));
        }
        let output = args.output.clone().unwrap_or_else(|| PathBuf::from("profile.svg"));
        let form = args.format.map_or_else(|| Form::of(&output), Ok)?;
        Ok(Self::File(output, form))
    }

    /// Whether it can be delivered there, as far as that can be known before there is anything.
    async fn check(&self) -> Result<()> {
        match self {
            Self::Server(server) => {
                let me = server.get("/api/v1/me", &[]).await?;
                let role = me.get("role").and_then(serde_json::Value::as_str).unwrap_or_default();
                ensure!(
                    role != "viewer",
                    "the token's role viewer may not upload: use another one"
                );
            }
            Self::File(file, _) => {
                let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
                let folder = folder.unwrap_or(Path::new("."));
                ensure!(
                    folder.is_dir(),
                    "{} cannot be written: {} is no folder; choose another file with --output",
                    file.display(),
                    folder.display()
                );
                ensure!(!file.is_dir(), "{} is a folder: name a file in it", file.display());
            }
        }
        Ok(())
    }
}

/// Where the agent writes: in a folder that nobody else can enter; removed in the end.
struct Captured {
    folder: PathBuf,
    file: PathBuf,
}

impl Captured {
    fn new() -> Result<Self> {
        let number = stdx::Rng::from_entropy().next_u64();
        let folder = std::env::temp_dir().join(format!("vesta-record-{number:016x}"));
        // Fails where somebody else was faster.
        let made = std::fs::DirBuilder::new().mode(0o700).create(&folder);
        made.with_context(|| format!("make the folder {}", folder.display()))?;
        let file = folder.join("recording.otlp");
        Ok(Self { folder, file })
    }
}

impl Drop for Captured {
    fn drop(&mut self) {
        // What cannot be removed stays in the folder for temporary files.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn duration(args: &RecordArgs) -> Option<f64> {
    args.duration.or_else(|| args.pid.map(|_| SECONDS_DEFAULT))
}

async fn record_process(
    args: &RecordArgs,
    program: &Path,
    pid: u32,
    output: &Path,
    signals: &mut Signals,
) -> Result<()> {
    ensure!(
        Path::new("/proc").join(pid.to_string()).is_dir(),
        "there is no process {pid}: `ps` lists those that run"
    );
    let mut agent = start(args, program, pid, output)?;
    let seconds = duration(args).unwrap_or(SECONDS_DEFAULT);
    say(&format!("profiling process {pid} for {seconds} s; Ctrl-C ends it earlier"));
    let mut progress = Progress::new(pid, format!("process {pid}"), Some(seconds), true);
    let ended = tokio::select! {
        ended = agent.wait() => Some(ended),
        _ = signals.next() => None,
        () = progress.run() => None,
    };
    progress.finish();
    match ended {
        Some(ended) => ended,
        None => agent.finish().await,
    }
}

fn start(args: &RecordArgs, program: &Path, pid: u32, output: &Path) -> Result<Agent> {
    Agent::start(program, pid, args.frequency, duration(args), output)
}

async fn record_command(
    args: &RecordArgs,
    agent: &Path,
    output: &Path,
    signals: &mut Signals,
) -> Result<u8> {
    let program = &args.command[0];
    let mut child = agent::start_stopped(&args.command)?;
    let pid = child.id().context("the command ended before it could be profiled")?;
    agent::wait_until_stopped(pid).await;
    let mut agent = match start(args, agent, pid, output) {
        Ok(agent) => agent,
        Err(error) => {
            // It is stopped before its first instruction: nothing is lost with it.
            let _ = child.kill().await;
            return Err(error);
        }
    };
    agent.wait_until_ready().await;
    if let Err(error) = agent.is_alive() {
        let _ = child.kill().await;
        return Err(error);
    }
    say(&format!("profiling {program} (process {pid}) until it exits"));
    agent::signal(pid, libc::SIGCONT);
    let mut progress = Progress::new(pid, program.clone(), args.duration, false);
    let status = loop {
        tokio::select! {
            status = child.wait() => break status.context("wait for the command")?,
            asked = signals.next() => match asked {
                // The terminal sent it to the command as well, which decides what to do.
                Asked::Interrupt => {}
                Asked::Terminate => agent::signal(pid, libc::SIGTERM),
            },
            () = progress.run() => {}
        }
    };
    say(&format!("{program} ended with {status}"));
    progress.finish();
    agent.finish().await?;
    Ok(exit_code(status))
}

/// The command's own code; 128 and the signal's number where a signal ended it, as shells do.
fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| Some(128 + status.signal()?));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

async fn deliver(target: &Target, bytes: Vec<u8>) -> Result<()> {
    match target {
        Target::Server(server) => {
            let kind = "application/x-protobuf";
            let parameters = std::iter::empty();
            let sent =
                server.post("/v1development/profiles", parameters, kind, bytes.clone()).await;
            if let Err(error) = sent {
                // What was recorded cannot be recorded again.
                std::fs::write(UNSENT, bytes).with_context(|| format!("write {UNSENT}"))?;
                bail!("{error:#}\nthe recording is kept: send it with `vesta import {UNSENT}`");
            }
            say(&format!("sent to {}", server.server));
        }
        Target::File(output, form) => {
            let (content, summary) = write::convert(bytes, *form)?;
            let written = std::fs::write(output, content);
            written.with_context(|| format!("write {}", output.display()))?;
            say(&format!("{}: {summary}", output.display()));
        }
    }
    Ok(())
}
