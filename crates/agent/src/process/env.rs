//! Files of other processes.

use crate::limits;
use std::fs::{File, Metadata};
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;

/// Opens a file whose path another user may have chosen: never waits for a pipe's writer, and takes
/// nothing but a regular file.
pub(crate) fn open_regular(path: &str) -> Option<(File, Metadata)> {
    let mut options = File::options();
    let file = options.read(true).custom_flags(libc::O_NONBLOCK).open(path).ok()?;
    let meta = file.metadata().ok()?;
    meta.is_file().then_some((file, meta))
}

/// A bounded read; none if the process is gone or may not be read.
pub(crate) fn read(path: &str) -> Option<Vec<u8>> {
    let file = File::open(path).ok()?;
    let mut bytes = Vec::new();
    file.take(limits::PROC_FILE_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// As [`read`], as text.
pub(crate) fn read_text(path: &str) -> Option<String> {
    Some(String::from_utf8_lossy(&read(path)?).trim_end().to_owned())
}

/// A zero-separated list: `cmdline` or `environ`.
#[derive(Clone, Debug, Default)]
pub(crate) struct List(Vec<String>);

impl List {
    pub(crate) fn of(pid: u32, file: &str) -> Self {
        Self::parse(&read(&format!("/proc/{pid}/{file}")).unwrap_or_default())
    }

    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let parts =
            bytes.split(|byte| *byte == 0).map(|it| String::from_utf8_lossy(it).into_owned());
        let mut list: Vec<String> = parts.collect();
        if list.last().is_some_and(String::is_empty) {
            list.pop();
        }
        Self(list)
    }

    pub(crate) fn items(&self) -> &[String] {
        &self.0
    }

    /// The value of an environment variable, if set and not empty.
    pub(crate) fn var(&self, name: &str) -> Option<&str> {
        let value = self.0.iter().find_map(|it| it.strip_prefix(name)?.strip_prefix('='))?;
        (!value.is_empty()).then_some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pipes_and_folders_are_not_waited_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name).display().to_string();
        std::fs::write(at("file"), "text").expect("writable");
        assert!(open_regular(&at("file")).is_some());
        assert!(open_regular(&at("")).is_none());
        let made = std::process::Command::new("mkfifo").arg(at("pipe")).status();
        assert!(made.expect("mkfifo runs").success());
        // Opened the usual way, this would wait for ever.
        assert!(open_regular(&at("pipe")).is_none());
    }
}
