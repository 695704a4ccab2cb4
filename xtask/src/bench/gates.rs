//! Instructions of the hot functions, counted by valgrind and held against committed figures: unlike
//! seconds, they are the same on a busy machine.

use crate::setup::{self, Need};
use anyhow::{Context, bail};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// What counts.
const NEEDS: &[Need] = &[Need::new("valgrind", "valgrind", "counts instructions for the gates")];
/// The committed figures: a name and instructions a round, a line each.
const FIGURES: &str = "xtask/gates.txt";
/// How far from its figure a count may be, in parts of it. Hash bases are drawn for each process,
/// which moves counts by a percent or two.
const TOLERANCE: f64 = 0.10;
/// Rounds of the two runs whose difference is measured.
const ROUNDS: (u64, u64) = (1, 4);

/// Counts each gate; `write` makes the counts the new figures instead of comparing.
pub(crate) fn run(root: &Path, program: &Path, write: bool) -> anyhow::Result<()> {
    setup::ensure(NEEDS)?;
    let path = root.join(FIGURES);
    let text = std::fs::read_to_string(&path).with_context(|| format!("reading {FIGURES}"))?;
    let mut figures = parse(&text);
    let mut failed = Vec::new();
    for (name, figure) in &mut figures {
        let (few, many) = (count(program, name, ROUNDS.0)?, count(program, name, ROUNDS.1)?);
        let counted = many.saturating_sub(few) / (ROUNDS.1 - ROUNDS.0);
        let change = counted as f64 / (*figure).max(1) as f64 - 1.0;
        println!("{name:<20}{counted:>14} instructions{:>+8.1} % of {figure}", change * 100.0);
        if change.abs() > TOLERANCE {
            failed.push(name.clone());
        }
        *figure = counted;
    }
    if write {
        let lines = figures.iter().map(|(name, figure)| format!("{name} {figure}\n"));
        let head: String =
            text.lines().take_while(|line| line.starts_with('#')).collect::<Vec<_>>().join("\n");
        std::fs::write(&path, format!("{head}\n{}", lines.collect::<String>()))?;
        println!("written to {FIGURES}");
        return Ok(());
    }
    if !failed.is_empty() {
        let names = failed.join(", ");
        bail!("beyond {:.0} %: {names}; if it is meant, run again with --write", TOLERANCE * 100.0);
    }
    Ok(())
}

fn parse(text: &str) -> BTreeMap<String, u64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let pairs = lines.filter_map(|line| line.split_once(' '));
    pairs
        .filter_map(|(name, figure)| Some((name.to_owned(), figure.trim().parse().ok()?)))
        .collect()
}

/// Instructions of the whole process, threads included.
fn count(program: &Path, name: &str, rounds: u64) -> anyhow::Result<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"])
        .arg(program)
        .args(["gate", name, &rounds.to_string()])
        .output()
        .context("cannot start valgrind")?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!("gate {name} failed: {said}");
    }
    instructions(&said).with_context(|| format!("valgrind counts nothing: {said}"))
}

/// The number of valgrind's line `==PID== I refs: 1,234`.
fn instructions(said: &str) -> Option<u64> {
    let line = said.lines().find(|line| line.contains("I ") && line.contains("refs:"))?;
    line.split("refs:").nth(1)?.trim().replace(',', "").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_figures_are_read() {
        assert_eq!(instructions("==7== \n==7== I   refs:      1,234,567\n"), Some(1_234_567));
        assert_eq!(instructions("==7== nothing"), None);
        let figures = parse("# comment\nappend 12\nstack-sums 345\n");
        assert_eq!(figures["append"], 12);
        assert_eq!(figures.len(), 2);
    }
}
