//! Processes that we start, watch and stop: each in a process group of its own, its output in a
//! log file, so that stopping one stops what it started and nothing else.

use crate::command::now;
use crate::signals;
use anyhow::{Context, bail};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How long a process may take to end after SIGTERM before it is killed.
const STOP_GRACE: Duration = Duration::from_secs(10);
/// Lines of a log that are shown when its process dies.
const TAIL_LINES: usize = 15;

/// A running process.
#[derive(Debug)]
struct Running {
    name: String,
    child: Child,
    log: PathBuf,
}

/// All processes of one task; dropping it stops them, the youngest first.
#[derive(Debug)]
pub(crate) struct Children {
    logs: PathBuf,
    running: Vec<Running>,
}

impl Children {
    /// Logs go to `logs`; signals are noted from now on instead of ending us.
    pub(crate) fn new(logs: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(logs).with_context(|| format!("creating {}", logs.display()))?;
        signals::watch()?;
        Ok(Self { logs: logs.to_owned(), running: Vec::new() })
    }

    /// Starts `command` under `name`; returns its process id.
    pub(crate) fn start(&mut self, name: &str, command: &mut Command) -> anyhow::Result<u32> {
        let log = self.logs.join(format!("{name}.log"));
        let output = File::create(&log).with_context(|| format!("creating {}", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {name} ({})", crate::command::shown(command)))?;
        let id = child.id();
        self.running.push(Running { name: name.to_owned(), child, log });
        Ok(id)
    }

    /// The process id of one of them.
    pub(crate) fn id(&self, name: &str) -> Option<u32> {
        self.running.iter().find(|running| running.name == name).map(|running| running.child.id())
    }

    /// Whether the user asked us to stop.
    #[expect(clippy::unused_self, reason = "who holds children asks them")]
    pub(crate) fn stop_asked(&self) -> bool {
        signals::stop_asked()
    }

    /// An error if one of them has ended: which, how, and its last log lines.
    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        for running in &mut self.running {
            if let Some(status) = running.child.try_wait()? {
                let (name, log) = (&running.name, running.log.display());
                bail!("{name} ended by itself ({status}); {log} ends:\n{}", tail(&running.log));
            }
        }
        Ok(())
    }

    /// Waits until `ready` holds, at most `limit`; fails when a process dies or a stop is asked for.
    pub(crate) fn wait_until(
        &mut self,
        what: &str,
        limit: Duration,
        mut ready: impl FnMut() -> bool,
    ) -> anyhow::Result<()> {
        let started = now();
        while !ready() {
            self.check()?;
            if signals::stop_asked() {
                bail!("stopped while waiting for {what}");
            }
            if started.elapsed() > limit {
                bail!(
                    "{what} took longer than {} s; logs are in {}",
                    limit.as_secs(),
                    self.logs.display()
                );
            }
            std::thread::sleep(Duration::from_millis(30));
        }
        Ok(())
    }

    /// Waits until one of them has ended by itself, well; the others must go on.
    pub(crate) fn finish(&mut self, name: &str, limit: Duration) -> anyhow::Result<()> {
        let started = now();
        loop {
            let at = self.running.iter().position(|running| running.name == name);
            let at = at.with_context(|| format!("{name} was not started"))?;
            if let Some(status) = self.running[at].child.try_wait()? {
                let ended = self.running.remove(at);
                if !status.success() {
                    let log = ended.log.display();
                    bail!("{name} failed ({status}); {log} ends:\n{}", tail(&ended.log));
                }
                return Ok(());
            }
            if signals::stop_asked() {
                bail!("stopped while {name} was running");
            }
            if started.elapsed() > limit {
                let (seconds, log) = (limit.as_secs(), &self.running[at].log);
                bail!(
                    "{name} runs longer than {seconds} s; {} ends:\n{}",
                    log.display(),
                    tail(log)
                );
            }
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    /// The log of one that was started under this name.
    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.logs.join(format!("{name}.log"))
    }

    /// Stops all of them, the youngest first: SIGTERM to the group, SIGKILL after a grace.
    pub(crate) fn stop(&mut self) {
        while let Some(mut running) = self.running.pop() {
            let group = Pid::from_raw(running.child.id().cast_signed());
            // Where it has ended already, its group may still hold children of its own.
            let _ = killpg(group, Signal::SIGTERM);
            let started = now();
            while matches!(running.child.try_wait(), Ok(None)) {
                if started.elapsed() > STOP_GRACE {
                    eprintln!("{} does not stop; killing it", running.name);
                    break;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            let _ = killpg(group, Signal::SIGKILL);
            let _ = running.child.wait();
        }
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        self.stop();
    }
}

fn tail(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(TAIL_LINES);
    lines[from..].iter().map(|line| format!("  | {line}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_process_that_dies_is_named_with_its_last_words() {
        let dir = tempfile::tempdir().unwrap();
        let mut children = Children::new(dir.path()).unwrap();
        children.start("steady", &mut shell("sleep 60")).unwrap();
        children.start("weak", &mut shell("echo cannot go on; exit 4")).unwrap();
        let error = children.wait_until("ever", Duration::from_secs(20), || false).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("weak ended") && text.contains("| cannot go on"), "{text}");
    }

    #[test]
    fn one_that_ends_is_waited_for_and_its_failure_shown() {
        let dir = tempfile::tempdir().unwrap();
        let mut children = Children::new(dir.path()).unwrap();
        let limit = Duration::from_secs(20);
        children.start("steady", &mut shell("sleep 60")).unwrap();
        children.start("good", &mut shell("echo well")).unwrap();
        children.finish("good", limit).unwrap();
        assert_eq!(std::fs::read_to_string(children.log("good")).unwrap(), "well\n");
        children.start("bad", &mut shell("echo alas; exit 3")).unwrap();
        let error = children.finish("bad", limit).unwrap_err().to_string();
        assert!(error.contains("bad failed") && error.contains("| alas"), "{error}");
        let error = children.finish("steady", Duration::ZERO).unwrap_err().to_string();
        assert!(error.contains("runs longer"), "{error}");
    }

    #[test]
    fn stopping_reaches_grandchildren() {
        let dir = tempfile::tempdir().unwrap();
        let mut children = Children::new(dir.path()).unwrap();
        let script = "sleep 61 & echo $! > grandchild; wait";
        children.start("parent", shell(script).current_dir(dir.path())).unwrap();
        let file = dir.path().join("grandchild");
        let written = || std::fs::read_to_string(&file).is_ok_and(|text| text.ends_with('\n'));
        children.wait_until("the grandchild", Duration::from_secs(20), written).unwrap();
        let id = std::fs::read_to_string(&file).unwrap();
        let status = Path::new("/proc").join(id.trim()).join("status");
        assert!(status.exists());
        children.stop();
        // The signal was sent, but it may take a moment to die, and whoever inherits it a moment to
        // reap it: gone or a zombie are both stopped.
        let stopped = || {
            let state = std::fs::read_to_string(&status).unwrap_or_default();
            state.is_empty() || state.contains("State:\tZ")
        };
        children.wait_until("its end", Duration::from_secs(20), stopped).unwrap();
    }
}
