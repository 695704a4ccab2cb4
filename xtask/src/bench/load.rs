//! The load of fifty services through the real port, beside the bars and Pyroscope's figures; and
//! more than a server can take.

use super::meter::{bytes_below, cpu_seconds, forget_peak, memory_kib, settle};
use crate::http::{Client, encode};
use anyhow::{Context, bail};
use std::path::Path;
use std::process::Command;

/// A server that is being measured.
pub(crate) struct Measured<'a> {
    pub(crate) url: &'a str,
    pub(crate) id: u32,
    pub(crate) data: &'a Path,
    /// The program that makes and sends profiles.
    pub(crate) program: &'a Path,
}

/// How much is sent.
#[derive(clap::Args, Debug)]
pub(crate) struct LoadArgs {
    /// Profiles to send; of generated ones, 20,000 are the load that others were measured with.
    #[arg(long, default_value_t = 2_000)]
    profiles: usize,
    /// Connections that send at the same time.
    #[arg(long, default_value_t = 8)]
    writers: usize,
    /// Send copies of these captured profiles rather than generated ones.
    files: Vec<String>,
}

/// Runs of each query, of which the mean is shown.
const QUERIES: u32 = 10;
/// CPU time, as samples with `cpu` and `samples` become it.
const TYPE: &str = "process_cpu:cpu:nanoseconds:cpu:nanoseconds";

/// What the sending program says at its end.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sent {
    samples: u64,
    bytes: u64,
    hintless: u64,
    /// Status and how often; 0 for connections closed without one.
    statuses: Vec<(u16, u64)>,
}

impl Sent {
    fn parse(line: &str) -> Option<Self> {
        let mut sent = Self::default();
        for word in line.split_whitespace() {
            if let Some((status, count)) = word.split_once(':') {
                sent.statuses.push((status.parse().ok()?, count.parse().ok()?));
                continue;
            }
            let (name, value) = word.split_once('=')?;
            let field = match name {
                "samples" => &mut sent.samples,
                "bytes" => &mut sent.bytes,
                "hintless" => &mut sent.hintless,
                _ => return None,
            };
            *field = value.parse().ok()?;
        }
        Some(sent)
    }

    fn accepted(&self) -> u64 {
        self.statuses
            .iter()
            .filter(|(status, _)| (200..300).contains(status))
            .map(|one| one.1)
            .sum()
    }
}

impl Measured<'_> {
    fn send(&self, args: &[&str]) -> anyhow::Result<Sent> {
        let address = self.url.trim_start_matches("http://");
        let output = Command::new(self.program)
            .args(["upload", "--to", address])
            .args(args)
            .output()
            .with_context(|| format!("cannot start {}", self.program.display()))?;
        let text = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            bail!("sending failed: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        let last = text.lines().last().unwrap_or_default();
        Sent::parse(last).with_context(|| format!("the sender says {last:?}"))
    }

    fn query(&self, client: &Client, path: &str) -> anyhow::Result<f64> {
        let url = format!("{}/api/v1/{path}", self.url);
        client.get_json(&url)?;
        let before = cpu_seconds(self.id)?;
        for _ in 0..QUERIES {
            client.get_json(&url)?;
        }
        Ok((cpu_seconds(self.id)? - before) / f64::from(QUERIES))
    }
}

/// Path and query of a flame graph.
fn flame(matcher: &str, nodes: usize) -> String {
    let (kind, matcher) = (encode(TYPE), encode(matcher));
    format!("flamegraph?type={kind}&match={matcher}&from=now-3h&to=now%2B3h&max_nodes={nodes}")
}

/// Sends the load, waits until it has settled, asks about it, and prints each figure by its bar.
pub(crate) fn ingest(server: &Measured<'_>, args: &LoadArgs) -> anyhow::Result<()> {
    let client = Client::new();
    let (before, bytes_before) = (cpu_seconds(server.id)?, bytes_below(server.data));
    forget_peak(server.id);
    let (profiles, writers) = (args.profiles.to_string(), args.writers.to_string());
    let mut words = vec!["--profiles", &profiles, "--writers", &writers];
    words.extend(args.files.iter().map(String::as_str));
    let sent = server.send(&words)?;
    let acknowledged = cpu_seconds(server.id)? - before;
    settle(&client, server.url, server.id)?;
    let settled = cpu_seconds(server.id)? - before;
    let peak = memory_kib(server.id, "VmHWM")?;
    let (accepted, samples) = (sent.accepted() as f64, sent.samples.max(1) as f64);
    println!("answers: {:?}; {accepted} profiles, {samples} samples accepted", sent.statuses);
    let row = |what: &str, figure: String, bar: &str, other: &str| {
        println!("  {what:<44}{figure:>12}{bar:>12}{other:>16}");
    };
    row("", "here".to_owned(), "bar", "Pyroscope 2");
    let each = |cpu: f64, count: f64| format!("{:.2}", cpu / count.max(1.0));
    row("CPU-s per 1,000 profiles, acknowledged", each(acknowledged * 1e3, accepted), "", "");
    row("CPU-s per 1,000 profiles, settled", each(settled * 1e3, accepted), "4", "20-40");
    row("CPU-s per 1 M samples, settled", each(settled * 1e6, samples), "3.2", "16-32");
    let bytes = bytes_below(server.data).saturating_sub(bytes_before) as f64;
    row("bytes on disk a sample", format!("{:.2}", bytes / samples), "6", "18-142");
    row("bytes sent a sample", each(sent.bytes as f64, samples), "", "62");
    row("peak RSS while taking in, MiB", (peak / 1024).to_string(), "", "");
    if args.files.is_empty() {
        queries(server, &client, &row)?;
    }
    Ok(())
}

fn queries(
    server: &Measured<'_>,
    client: &Client,
    row: &impl Fn(&str, String, &str, &str),
) -> anyhow::Result<()> {
    forget_peak(server.id);
    let one = "{service_name=\"service-10\"}";
    let series = |rest: &str| {
        format!("series?type={}&from=now-3h&to=now%2B3h&step_ms=60000{rest}", encode(TYPE))
    };
    let values = "labels/service_name/values?from=now-3h&to=now%2B3h".to_owned();
    // The bars are for 20,000 profiles of 1,240 samples; smaller sets must do better by as much.
    let questions = [
        ("flame graph, 1 of 50 services, 8,192 nodes", flame(one, 8_192), "0.046", "0.46"),
        ("flame graph, 1 of 50 services, 500,000 nodes", flame(one, 500_000), "0.14", "1.39 (1 M)"),
        ("flame graph, all services", flame("{}", 8_192), "1.6", "16"),
        ("series, one service", series(&format!("&match={}", encode(one))), "0.005", "0.02"),
        ("series, all by service", series("&group_by=service_name"), "0.05", "1.09"),
        ("label values", values, "0.002", "0.02"),
    ];
    for (what, path, bar, other) in questions {
        match server.query(client, &path) {
            Ok(cpu) => row(&format!("CPU-s {what}"), format!("{cpu:.4}"), bar, other),
            Err(error) => println!("  {what}: {error:#}"),
        }
    }
    let peak = memory_kib(server.id, "VmHWM")? / 1024;
    row("peak RSS while asked, MiB", peak.to_string(), "", "2,100");
    Ok(())
}

/// Writers that never pause; what they were answered, and the server's memory.
pub(crate) fn overload(server: &Measured<'_>, seconds: u64, writers: usize) -> anyhow::Result<()> {
    forget_peak(server.id);
    let before = cpu_seconds(server.id)?;
    let (seconds, count) = (seconds.to_string(), writers.to_string());
    let sent = server.send(&["--overload", &seconds, "--writers", &count])?;
    let cpu = cpu_seconds(server.id)? - before;
    let closed: u64 =
        sent.statuses.iter().filter(|(status, _)| *status == 0).map(|(_, count)| count).sum();
    println!("answers by status: {:?} (0: closed without one)", sent.statuses);
    println!("  accepted samples {}, bytes {}, {cpu:.1} CPU-s", sent.samples, sent.bytes);
    println!("  closed without a status: {closed} (bar 0; Pyroscope 2: half)");
    println!("  refused without Retry-After: {} (bar 0)", sent.hintless.saturating_sub(closed));
    let peak = memory_kib(server.id, "VmHWM")? / 1024;
    println!("  peak RSS {peak} MiB (Pyroscope 2: 2,200; Parca: 8,600)");
    settle(&Client::new(), server.url, server.id)?;
    println!("  RSS at rest after it {} MiB", memory_kib(server.id, "VmRSS")? / 1024);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sender_s_last_line_is_understood() {
        let sent = Sent::parse("samples=12 bytes=34 hintless=1 0:2 200:3 204:1 429:5").unwrap();
        assert_eq!((sent.samples, sent.bytes, sent.hintless), (12, 34, 1));
        assert_eq!(sent.accepted(), 4);
        assert_eq!(Sent::parse("samples=x"), None);
    }
}
