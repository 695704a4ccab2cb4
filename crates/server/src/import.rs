//! `vesta import`: uploads files and prints the receipts.

use crate::client::ServerArgs;
use crate::flame::plain;
use crate::query_command::CPU_TIME;
use crate::terminal::{print, say};
use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::Value;
use std::fmt::Write;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Largest file that is read.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// Arguments of `vesta import`.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// Profile files: pprof, JFR, folded text, OTLP.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Service that they belong to, where they do not say it; the file's name when absent.
    #[arg(long, short)]
    service: Option<String>,
    /// Further labels.
    #[arg(long = "label", short, value_name = "KEY=VALUE")]
    labels: Vec<String>,
    /// When the profiled time began (`now` for right now); the file's own time when absent.
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Print the receipts as JSON.
    #[arg(long)]
    json: bool,
}

/// Uploads each file; fails at the end if any failed.
pub(crate) async fn run(args: &ImportArgs) -> Result<ExitCode> {
    let mut failed = 0;
    for file in &args.files {
        match upload(args, file).await {
            Ok(receipt) if args.json => print(&format!("{receipt}\n"))?,
            Ok(receipt) => print(&describe(file, &receipt, &args.server.flag()))?,
            Err(error) => {
                failed += 1;
                say(&format!("{}: {error:#}", file.display()));
            }
        }
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn upload(args: &ImportArgs, file: &Path) -> Result<Value> {
    let body = read(file)?;
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let stem = name.split('.').next().unwrap_or_default().to_owned();
    let service = args.service.clone().unwrap_or(stem);
    let labels = args.labels.iter().map(|label| ("label", label.as_str()));
    let from = args.from.iter().map(|from| ("from", from.as_str()));
    let parameters = [("service_name", service.as_str())].into_iter().chain(labels).chain(from);
    send(&args.server, parameters, body).await
}

/// The file's bytes; what is no file, or larger than any server takes, is not read to its end.
fn read(file: &Path) -> Result<Vec<u8>> {
    let opened = File::open(file).context("read the file")?;
    ensure!(!opened.metadata()?.is_dir(), "this is a folder: name the files in it");
    let mut body = Vec::new();
    opened.take(FILE_BYTES_MAX + 1).read_to_end(&mut body).context("read the file")?;
    ensure!(
        body.len() as u64 <= FILE_BYTES_MAX,
        "the file is larger than {} MiB, which no server takes: record shorter windows",
        FILE_BYTES_MAX >> 20
    );
    Ok(body)
}

/// Uploads one file's bytes; the receipt comes back.
pub(crate) async fn send<'a>(
    server: &ServerArgs,
    parameters: impl Iterator<Item = (&'a str, &'a str)>,
    body: Vec<u8>,
) -> Result<Value> {
    let kind = "application/octet-stream";
    let answer = server.post("/api/v1/profiles", parameters, kind, body).await?;
    server.json(&answer)
}

/// The command that shows a stored profile: its time may be long ago.
fn question(profile: &Value, types: &[String]) -> String {
    let time = |key: &str| profile.get(key).and_then(Value::as_i64).unwrap_or(0);
    let service = profile.pointer("/labels/service_name").and_then(Value::as_str);
    let quoted = |text: &str| format!("'{}'", plain(text).replace('\'', r"'\''"));
    let other = types.first().filter(|_| !types.iter().any(|one| one == CPU_TIME));
    let other = other.map_or(String::new(), |one| format!(" --type {}", quoted(one)));
    let service = quoted(service.unwrap_or_default());
    // Times are rounded down to milliseconds.
    let (from, to) = (time("start_ms"), time("end_ms") + 1);
    format!("vesta query top --service {service}{other} --from {from} --to {to}")
}

/// A receipt for people.
fn describe(file: &Path, receipt: &Value, server: &str) -> String {
    let list = |value: &Value, key: &str| value.get(key).and_then(Value::as_array).cloned();
    let text = |value: &Value, key: &str| {
        plain(value.get(key).and_then(Value::as_str).unwrap_or_default())
    };
    let mut out = String::new();
    for profile in list(receipt, "profiles").unwrap_or_default() {
        let types = list(&profile, "types").unwrap_or_default();
        let types: Vec<String> = types.iter().map(|one| text(one, "type")).collect();
        let samples = profile.get("samples").and_then(Value::as_u64).unwrap_or(0);
        let service = profile.pointer("/labels/service_name").and_then(Value::as_str);
        let _ = writeln!(
            out,
            "{}: {} of {}, {samples} samples\n  {}",
            file.display(),
            text(&profile, "id"),
            plain(service.unwrap_or_default()),
            types.join("\n  ")
        );
        let _ = writeln!(out, "  see it: {}{server}", question(&profile, &types));
    }
    for issue in list(receipt, "issues").unwrap_or_default() {
        let _ = writeln!(out, "  note: {}", plain(issue.as_str().unwrap_or_default()));
    }
    out
}
