//! The agent as a child process, and a command that waits until the agent looks.

use crate::terminal::say;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

/// How long the agent may take to write what it has after it was told to stop.
const STOP_GRACE: Duration = Duration::from_secs(20);
/// How long a command waits for the agent before it runs anyhow.
const READY_MAX: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(2);
/// What the agent logs when it samples.
const READY: &str = "profiling a process";

/// The agent beside this program, else on the path.
pub(super) fn find() -> Result<PathBuf> {
    const NAME: &str = "vesta-agent";
    let beside = std::env::current_exe().ok().and_then(|own| Some(own.parent()?.join(NAME)));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|folder| folder.join(NAME));
    beside.into_iter().chain(on_path).find(|file| file.is_file()).context(
        "vesta-agent is neither beside vesta nor on PATH: install it, or build it with \
         `cargo build --release -p agent`",
    )
}

/// A running agent.
#[derive(Debug)]
pub(super) struct Agent {
    child: Child,
    is_ready: watch::Receiver<bool>,
}

impl Agent {
    /// Starts it on one process; it writes to `output` when it ends.
    pub(super) fn start(
        program: &Path,
        pid: u32,
        frequency_hz: u32,
        seconds: Option<f64>,
        output: &Path,
    ) -> Result<Self> {
        let mut command = Command::new(program);
        command.args(["--pid", &pid.to_string(), "--frequency", &frequency_hz.to_string()]);
        command.arg("--output").arg(output);
        if let Some(seconds) = seconds {
            command.args(["--duration", &seconds.to_string()]);
        }
        command.env("RUST_LOG", "info").env("NO_COLOR", "1").stderr(Stdio::piped());
        // Its errors are for the people who typed this.
        command.env("RUST_LIB_BACKTRACE", "0");
        // Ctrl-C at the terminal is for the command; the agent is told by us.
        command.process_group(0).kill_on_drop(true);
        let mut child = command.spawn().with_context(|| format!("start {}", program.display()))?;
        let lines = BufReader::new(child.stderr.take().context("the agent's log is piped")?);
        let (ready, is_ready) = watch::channel(false);
        tokio::spawn(async move {
            let mut lines = lines.lines();
            while let Ok(Some(line)) = lines.next_line().await {
                if line.contains(READY) {
                    ready.send_replace(true);
                } else if !line.contains(" INFO ") {
                    say(&line);
                }
            }
        });
        Ok(Self { child, is_ready })
    }

    /// Waits until it samples, has ended, or took too long.
    pub(super) async fn wait_until_ready(&mut self) {
        // An error means that the log ended: the agent did, too.
        let _ = tokio::time::timeout(READY_MAX, self.is_ready.wait_for(|ready| *ready)).await;
    }

    /// An error if it has failed already.
    pub(super) fn is_alive(&mut self) -> Result<()> {
        match self.child.try_wait() {
            Ok(Some(status)) => check(status),
            _ => Ok(()),
        }
    }

    /// Waits for its own end.
    pub(super) async fn wait(&mut self) -> Result<()> {
        check(self.child.wait().await.context("wait for the agent")?)
    }

    /// Asks it to write what it has, and waits until it did.
    pub(super) async fn finish(&mut self) -> Result<()> {
        if let Ok(Some(status)) = self.child.try_wait() {
            return check(status);
        }
        if let Some(pid) = self.child.id() {
            signal(pid, libc::SIGTERM);
        }
        let ended = tokio::time::timeout(STOP_GRACE, self.wait()).await;
        ended.context("the agent did not stop")?
    }
}

fn check(status: ExitStatus) -> Result<()> {
    if !status.success() {
        bail!("the agent failed ({status}); what it said is above");
    }
    Ok(())
}

/// Starts a command that stops before its first instruction: the shell stops itself and then
/// becomes the command.
pub(super) fn start_stopped(command: &[String]) -> Result<Child> {
    const STOP_THEN_BECOME: &str = "kill -STOP $$; exec \"$@\"";
    let mut shell = Command::new("sh");
    shell.args(["-c", STOP_THEN_BECOME, "vesta record"]).args(command);
    shell.spawn().context("start sh, which starts the command")
}

/// Waits until a process has stopped itself, or is gone.
pub(super) async fn wait_until_stopped(pid: u32) {
    let path = format!("/proc/{pid}/stat");
    let is_running = || {
        let stat = std::fs::read_to_string(&path).unwrap_or_default();
        let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
        state.is_some_and(|state| !matches!(state, 'T' | 'Z'))
    };
    while is_running() {
        tokio::time::sleep(POLL).await;
    }
}

/// Sends a signal to a child of ours.
#[allow(unsafe_code, reason = "std sends no signal other than SIGKILL")]
pub(super) fn signal(pid: u32, number: i32) {
    // SAFETY: kill takes two numbers and touches no memory; the process is our child, not yet
    // waited for, so its id belongs to nobody else.
    unsafe { libc::kill(pid as libc::pid_t, number) };
}
