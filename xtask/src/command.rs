//! Running other programs in the foreground, and what they cost.

use crate::signals;
use anyhow::{Context, bail};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{Signal, kill};
use nix::sys::time::TimeValLike;
use nix::unistd::Pid;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// How long a command may take to end after SIGTERM before it is killed.
const STOP_GRACE: Duration = Duration::from_secs(10);
/// How often a running command is looked at.
const POLL: Duration = Duration::from_millis(10);

/// The current instant; wall time here is for people only.
#[expect(clippy::disallowed_methods, reason = "xtask measures for people, outside the product")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// A command in `dir`.
pub(crate) fn command(dir: &Path, program: &str, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args).current_dir(dir);
    command
}

/// This very cargo, so that its version and configuration are the caller's.
pub(crate) fn cargo(dir: &Path, args: &[&str]) -> Command {
    command(dir, &std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()), args)
}

/// Runs to the end with our terminal; an exit code other than 0 is an error that names the command.
/// When we are asked to stop, so is the command (Ctrl-C has reached it already).
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let shown = shown(command);
    let mut child = command.spawn().with_context(|| format!("cannot start `{shown}`"))?;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if signals::stop_asked() {
            stop(&mut child);
            bail!("stopped during `{shown}`");
        }
        std::thread::sleep(POLL);
    };
    if signals::stop_asked() {
        bail!("stopped during `{shown}`");
    }
    if !status.success() {
        bail!("`{shown}` failed ({status})");
    }
    Ok(())
}

/// SIGTERM, and SIGKILL where that does not help.
fn stop(child: &mut Child) {
    // An error means that it has ended.
    let _ = kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM);
    let asked = now();
    while matches!(child.try_wait(), Ok(None)) {
        if asked.elapsed() > STOP_GRACE {
            let _ = child.kill();
            let _ = child.wait();
            return;
        }
        std::thread::sleep(POLL);
    }
}

/// Runs to the end and returns what was printed, or `None` when it cannot start or fails.
pub(crate) fn output(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The command as one would type it.
pub(crate) fn shown(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|arg| arg.to_string_lossy().into_owned()));
    words.join(" ")
}

/// CPU time (user and system) of all children that have ended so far.
pub(crate) fn children_cpu() -> Duration {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_CHILDREN) else { return Duration::ZERO };
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Duration::from_micros(micros.max(0).cast_unsigned())
}

/// CPU time and wall time between two moments.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    pub(crate) cpu: Duration,
    pub(crate) wall: Duration,
}

/// Runs `work` and says what its children cost.
pub(crate) fn measured<T>(work: impl FnOnce() -> T) -> (T, Cost) {
    let (cpu, started) = (children_cpu(), now());
    let value = work();
    (value, Cost { cpu: children_cpu().saturating_sub(cpu), wall: started.elapsed() })
}

impl std::fmt::Display for Cost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (cpu, wall) = (self.cpu.as_secs_f64(), self.wall.as_secs_f64());
        write!(f, "{cpu:8.1} CPU-s {wall:8.1} s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_of_ended_children_is_counted_and_failures_are_named() {
        let spin = ["-c", "i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done"];
        let (result, cost) = measured(|| run(&mut command(Path::new("/"), "sh", &spin)));
        result.unwrap();
        assert!(cost.cpu > Duration::ZERO);
        let error = run(&mut command(Path::new("/"), "sh", &["-c", "exit 3"])).unwrap_err();
        assert!(error.to_string().contains("sh -c exit 3"), "{error}");
    }
}
