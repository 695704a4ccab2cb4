//! Clients for Rust, and for native programs of any language.

use super::ClientEntry;
use super::expect::{CPU, Expect, FOLDED};
use super::install;
use super::stage::Stage;
use crate::command::{command, run};
use crate::setup::Need;
use anyhow::{Context, ensure};

/// Linux's perf: its samples as folded text, uploaded as a file.
pub(super) const PERF: ClientEntry = ClientEntry {
    name: "perf",
    versions: "the perf of this machine",
    needs: &[
        Need::new("perf", "linux-perf", "records a native program"),
        Need::new("g++", "build-essential", "compiles a native program"),
    ],
    run: perf,
    expects: &[&[
        Expect::Share(FOLDED, "count_words", 70, 100),
        Expect::First(FOLDED, "count_words"),
    ]],
};

/// Pyroscope's for Rust, which pushes pprof.
pub(super) const PYROSCOPE_RS: ClientEntry = ClientEntry {
    name: "pyroscope-rs",
    versions: "pyroscope 2.1.5 (Rust)",
    needs: &[],
    run: pyroscope_rs,
    expects: &[&[
        Expect::Share(CPU, "count_words", 60, 100),
        Expect::First(CPU, "count_words"),
        Expect::Label("region", "eu"),
        Expect::Attribute(CPU, "controller", "words", "count_words"),
        Expect::Attribute(CPU, "controller", "shelf", "sort_shelf"),
    ]],
};

fn pyroscope_rs(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let mut program = install::rust(stage)?;
    stage.run(program.args([stage.name, &stage.addresses.main, "12"]))
}

fn perf(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let folder = stage.folder(stage.name)?;
    let source = stage.sources(stage.name).join("shop.cpp");
    let options = ["-O2", "-g", "-fno-omit-frame-pointer", "-pthread", "-o", "shop"];
    run(command(&folder, "g++", &options).arg(source))?;
    let record = ["record", "--quiet", "-e", "cpu-clock", "-F", "99", "--call-graph", "fp"];
    let mut record = stage.command("perf", &record)?;
    stage.run(record.args(["--output", "perf.data", "./shop"]))?;
    let options = ["report", "--stdio", "--no-children", "--input", "perf.data", "--sort", "comm"];
    let mut report = command(&folder, "perf", &options);
    report.args(["--call-graph", "folded,0,caller,function,count", "--percent-limit", "0"]);
    let report = report.output().context("cannot start perf report")?;
    ensure!(report.status.success(), "perf report failed: {}", stderr(&report));
    let folded = folded_of(&String::from_utf8_lossy(&report.stdout));
    ensure!(!folded.is_empty(), "perf report prints no stacks");
    stage.upload(folded.as_bytes())
}

fn stderr(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stderr).trim().to_owned()
}

/// Lines `COUNT FRAME;FRAME` of a report are lines `FRAME;FRAME COUNT` of folded text.
fn folded_of(report: &str) -> String {
    let one = |line: &str| {
        let (count, stack) = line.split_once(' ')?;
        let count: u64 = count.parse().ok()?;
        (!stack.trim().is_empty()).then(|| format!("{} {count}\n", stack.trim()))
    };
    report.lines().filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stacks_of_a_report_become_folded_text() {
        let report = "# comm\n\n   99.0%  shop\n12 start;work;count_words\n3 start;work\n\n";
        assert_eq!(folded_of(report), "start;work;count_words 12\nstart;work 3\n");
    }
}
