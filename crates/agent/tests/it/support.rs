//! Programs to profile and the agent to profile them with.

use crate::decode::Decoded;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Lets one test at a time run, so that none takes another's CPU time.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A process that is killed when the test is over.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self(command.stdout(Stdio::null()).spawn().expect("the program starts"))
    }

    pub(crate) fn pid(&self) -> String {
        self.0.id().to_string()
    }
}

pub(crate) fn agent() -> Command {
    Command::new(env!("CARGO_BIN_EXE_vesta-agent"))
}

/// Profiles with the arguments until the end and reads what was written.
pub(crate) fn record(folder: &Path, arguments: &[&str]) -> Decoded {
    let output = folder.join("profile.otlp");
    let run =
        agent().args(arguments).arg("--output").arg(&output).output().expect("the agent runs");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    Decoded::read(&std::fs::read(output).expect("the output is written"))
}

/// Compiles a C program without frame pointers.
pub(crate) fn compile_c(folder: &Path, name: &str, source: &str) -> PathBuf {
    let input = folder.join(format!("{name}.c"));
    let output = folder.join(name);
    std::fs::write(&input, source).expect("writable");
    let status = Command::new("gcc")
        .args(["-O2", "-fomit-frame-pointer", "-fno-lto", "-pthread", "-o"])
        .arg(&output)
        .arg(&input)
        .status()
        .expect("gcc is installed");
    assert!(status.success());
    output
}
