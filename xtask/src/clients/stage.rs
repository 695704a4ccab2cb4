//! Where a client runs: its folders, the server's addresses, its program and what that says.

use crate::children::Children;
use crate::command::{command, shown};
use crate::http::Client;
use crate::stack::ClientPorts;
use crate::workspace::Workspace;
use anyhow::Context;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// How long a program may run.
const PROGRAM_LIMIT: Duration = Duration::from_mins(2);

/// The server's addresses.
#[derive(Clone, Debug)]
pub(crate) struct Addresses {
    /// The page, the API, Pyroscope's clients and uploads.
    pub(crate) main: String,
    /// OTLP over gRPC.
    pub(crate) otlp_grpc: String,
    /// OTLP over HTTP.
    pub(crate) otlp_http: String,
    /// Datadog's libraries.
    pub(crate) datadog: String,
}

impl Addresses {
    pub(crate) fn new(main: String, ports: ClientPorts) -> Self {
        let address = |port: u16| format!("http://127.0.0.1:{port}");
        Self {
            main,
            otlp_grpc: address(ports.otlp_grpc),
            otlp_http: address(ports.otlp_http),
            datadog: address(ports.datadog),
        }
    }
}

/// A span that a program made, by its own word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ToldSpan {
    /// 32 hexadecimal digits.
    pub(crate) trace_id: String,
    /// 16 hexadecimal digits.
    pub(crate) span_id: String,
    /// What it was about.
    pub(crate) resource: String,
}

/// A client's place.
#[derive(Debug)]
pub(crate) struct Stage<'a> {
    /// Its name.
    pub(crate) name: &'static str,
    /// The server's addresses.
    pub(crate) addresses: &'a Addresses,
    root: &'a Path,
    clients: PathBuf,
    programs: &'a mut Children,
}

impl<'a> Stage<'a> {
    pub(crate) fn new(
        workspace: &'a Workspace,
        name: &'static str,
        addresses: &'a Addresses,
        programs: &'a mut Children,
    ) -> Self {
        let clients = workspace.target.join("clients");
        Self { name, addresses, root: &workspace.root, clients, programs }
    }

    /// The sources and pins of `name`: several clients may share a program.
    pub(crate) fn sources(&self, name: &str) -> PathBuf {
        self.root.join("fixtures/clients").join(name)
    }

    /// Where `name` is installed and builds; it is made when it is not there.
    pub(crate) fn folder(&self, name: &str) -> anyhow::Result<PathBuf> {
        let folder = self.clients.join(name);
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("creating {}", folder.display()))?;
        Ok(folder)
    }

    /// A command in this client's folder.
    pub(crate) fn command(&self, program: &str, args: &[&str]) -> anyhow::Result<Command> {
        Ok(command(&self.folder(self.name)?, program, args))
    }

    /// Runs a program to its end; what it prints is kept.
    pub(crate) fn run(&mut self, program: &mut Command) -> anyhow::Result<()> {
        self.start(program)?;
        self.finish()
    }

    /// Starts a program that something is to be done with while it runs.
    pub(crate) fn start(&mut self, program: &mut Command) -> anyhow::Result<()> {
        let what = shown(program);
        self.programs.start(self.name, program).map(drop).with_context(|| what)
    }

    /// Waits for the end of the program that was started.
    pub(crate) fn finish(&mut self) -> anyhow::Result<()> {
        self.programs.finish(self.name, PROGRAM_LIMIT)
    }

    /// Waits until the program has printed a line that begins so, and returns the rest of it.
    pub(crate) fn wait_for(&mut self, start: &str) -> anyhow::Result<String> {
        let log = self.programs.log(self.name);
        let mut found = None;
        self.programs.wait_until(start, PROGRAM_LIMIT, || {
            found = line_of(&std::fs::read_to_string(&log).unwrap_or_default(), start);
            found.is_some()
        })?;
        found.context("the line was seen")
    }

    /// Uploads a file as `curl --data-binary @FILE` would.
    pub(crate) fn upload(&self, file: &[u8]) -> anyhow::Result<()> {
        let url = format!("{}/api/v1/profiles?service_name={}", self.addresses.main, self.name);
        Client::new().post(&url, "application/octet-stream", file).map(drop)
    }

    /// Uploads a file of this client's folder.
    pub(crate) fn upload_file(&self, name: &str) -> anyhow::Result<()> {
        let file = self.folder(self.name)?.join(name);
        let bytes = std::fs::read(&file).with_context(|| format!("reading {}", file.display()))?;
        self.upload(&bytes)
    }

    /// The spans that the program says it made.
    pub(crate) fn told(&self) -> Vec<ToldSpan> {
        let log = std::fs::read(self.programs.log(self.name)).unwrap_or_default();
        told_spans(&String::from_utf8_lossy(&log))
    }
}

/// The rest of the first whole line that begins with `start`.
fn line_of(text: &str, start: &str) -> Option<String> {
    let mut lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    lines.find_map(|line| Some(line.strip_prefix(start)?.trim().to_owned()))
}

/// Lines `span TRACE SPAN RESOURCE`, the ids in hexadecimal digits.
fn told_spans(log: &str) -> Vec<ToldSpan> {
    let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let one = |line: &str| {
        let mut words = line.strip_prefix("span ")?.splitn(3, ' ');
        let (trace_id, span_id, resource) = (words.next()?, words.next()?, words.next()?);
        let is_span =
            trace_id.len() == 32 && span_id.len() == 16 && is_hex(trace_id) && is_hex(span_id);
        is_span.then(|| ToldSpan {
            trace_id: trace_id.to_owned(),
            span_id: span_id.to_owned(),
            resource: resource.trim().to_owned(),
        })
    };
    log.lines().filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_from_what_a_program_prints() {
        let trace = "0123456789abcdef0123456789abcdef";
        let log = format!("hello\nspan {trace} 00000000000000ff GET /words\nspan x y z\nspan 1\n");
        let told = told_spans(&log);
        assert_eq!(told.len(), 1);
        assert_eq!(
            (told[0].span_id.as_str(), &*told[0].resource),
            ("00000000000000ff", "GET /words")
        );
    }

    #[test]
    fn only_whole_lines_count() {
        assert_eq!(line_of("a\nlistening 12", "listening "), None);
        assert_eq!(line_of("a\nlistening 1234\n", "listening "), Some("1234".to_owned()));
    }
}
