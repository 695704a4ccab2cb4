//! `vesta record`: profiles a command or a process with `vesta-agent`, then writes or sends it.

mod write;

use crate::cli::say;
use crate::client::ServerArgs;
use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus};
use std::time::Duration;
use tokio::process::{Child, Command};
use write::Form;

/// How long the agent may take to write what it has after it was told to stop.
const AGENT_GRACE: Duration = Duration::from_secs(20);
/// Seconds that a process is profiled when no duration is given.
const SECONDS_DEFAULT: f64 = 10.0;

/// Arguments of `vesta record`.
#[derive(Debug, Args)]
pub(crate) struct RecordArgs {
    /// Profile this running process.
    #[arg(long, short, conflicts_with = "command")]
    pid: Option<u32>,
    /// Seconds to profile; a command is profiled until it exits, a process for 10 s.
    #[arg(long, short, value_name = "SECONDS")]
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
    #[arg(long, default_value_t = 99, value_name = "HZ")]
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
    let agent = find_agent()?;
    let captured = Captured::new();
    let code = match args.pid {
        Some(pid) => {
            record_process(args, &agent, pid, &captured.0).await?;
            ExitCode::SUCCESS
        }
        None => record_command(args, &agent, &captured.0).await?,
    };
    let bytes = std::fs::read(&captured.0).context("read what the agent wrote")?;
    deliver(args, bytes).await?;
    Ok(code)
}

/// Where the agent writes; removed in the end.
struct Captured(PathBuf);

impl Captured {
    fn new() -> Self {
        let name = format!("vesta-record-{}.otlp", std::process::id());
        let folder = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        let folder = folder.filter(|folder| folder.is_dir()).unwrap_or_else(std::env::temp_dir);
        Self(folder.join(name))
    }
}

impl Drop for Captured {
    fn drop(&mut self) {
        // Nothing was written when recording failed early.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The agent beside this program, else on the path.
fn find_agent() -> Result<PathBuf> {
    const NAME: &str = "vesta-agent";
    let beside = std::env::current_exe().ok().and_then(|own| Some(own.parent()?.join(NAME)));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|folder| folder.join(NAME));
    beside.into_iter().chain(on_path).find(|file| file.is_file()).context(
        "vesta-agent is neither beside vesta nor on PATH: install it, or build it with \
         `cargo build --release -p agent`",
    )
}

fn start_agent(args: &RecordArgs, agent: &Path, pid: u32, output: &Path) -> Result<Child> {
    let mut command = Command::new(agent);
    command.args(["--pid", &pid.to_string(), "--frequency", &args.frequency.to_string()]);
    command.arg("--output").arg(output);
    if let Some(seconds) = duration(args) {
        command.args(["--duration", &seconds.to_string()]);
    }
    // Ctrl-C at the terminal is for the command; the agent is told by us.
    command.process_group(0).kill_on_drop(true);
    command.spawn().with_context(|| format!("start {}", agent.display()))
}

fn duration(args: &RecordArgs) -> Option<f64> {
    args.duration.or_else(|| args.pid.map(|_| SECONDS_DEFAULT))
}

async fn record_process(args: &RecordArgs, agent: &Path, pid: u32, output: &Path) -> Result<()> {
    let mut agent = start_agent(args, agent, pid, output)?;
    let seconds = duration(args).unwrap_or(SECONDS_DEFAULT);
    say(&format!("profiling process {pid} for {seconds} s; Ctrl-C ends it earlier"));
    tokio::select! {
        status = agent.wait() => return check_agent(status.context("wait for the agent")?),
        _ = tokio::signal::ctrl_c() => {}
    }
    finish_agent(&mut agent).await
}

async fn record_command(args: &RecordArgs, agent: &Path, output: &Path) -> Result<ExitCode> {
    let program = &args.command[0];
    let mut command = Command::new(program);
    command.args(&args.command[1..]);
    let mut child = command.spawn().with_context(|| format!("start {program:?}"))?;
    let pid = child.id().context("the command ended before it could be profiled")?;
    let started = start_agent(args, agent, pid, output);
    let mut agent = match started {
        Ok(agent) => agent,
        Err(error) => {
            let _ = child.kill().await;
            return Err(error);
        }
    };
    say(&format!("profiling {program} (process {pid}) until it exits"));
    let status = loop {
        tokio::select! {
            status = child.wait() => break status.context("wait for the command")?,
            // The terminal sent it to the command as well, which decides what to do.
            _ = tokio::signal::ctrl_c() => {}
        }
    };
    finish_agent(&mut agent).await?;
    say(&format!("{program} ended with {status}"));
    Ok(exit_code(status))
}

/// Asks the agent to write what it has, and waits until it did.
async fn finish_agent(agent: &mut Child) -> Result<()> {
    if let Ok(Some(status)) = agent.try_wait() {
        return check_agent(status);
    }
    if let Some(pid) = agent.id() {
        terminate(pid);
    }
    let ended = tokio::time::timeout(AGENT_GRACE, agent.wait()).await;
    let status = ended.context("the agent did not stop")?.context("wait for the agent")?;
    check_agent(status)
}

#[allow(unsafe_code, reason = "std has no way to send SIGTERM")]
fn terminate(pid: u32) {
    // SAFETY: kill takes two numbers and touches no memory; the process is our child, not yet
    // waited for, so its id belongs to nobody else.
    unsafe { libc::kill(pid as libc::pid_t, libc::SIGTERM) };
}

fn check_agent(status: ExitStatus) -> Result<()> {
    if !status.success() {
        bail!("the agent failed ({status}); what it said is above");
    }
    Ok(())
}

/// The command's own code; 128 and the signal's number where a signal ended it, as shells do.
fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().or_else(|| Some(128 + status.signal()?));
    ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

async fn deliver(args: &RecordArgs, bytes: Vec<u8>) -> Result<()> {
    if let Some(server) = &args.send {
        let server = ServerArgs { server: server.clone(), token: args.token.clone() };
        let kind = "application/x-protobuf";
        server.post("/v1development/profiles", std::iter::empty(), kind, bytes).await?;
        say(&format!("sent to {}", server.server));
        return Ok(());
    }
    let output = args.output.clone().unwrap_or_else(|| PathBuf::from("profile.svg"));
    let form = args.format.map_or_else(|| Form::of(&output), Ok)?;
    let (content, summary) = write::convert(bytes, form)?;
    std::fs::write(&output, content).with_context(|| format!("write {}", output.display()))?;
    say(&format!("{}: {summary}", output.display()));
    Ok(())
}
