//! `cargo xtask corpus DIR`: uploads every binary pprof of a corpus to a real server, through each
//! way in, every JFR and nettrace file, sends captured requests of clients again, and compares what
//! the server then answers with the truth other tools computed.
//!
//! A corpus is a folder of items, at any depth: an item is a folder with payload files,
//! `meta.json` and `truth.json`. Archives (`*.tar.zst`) of such folders are unpacked first. A line
//! of `INDEX.txt` with `ERR` marks an item whose truth is not to be trusted: it is compared and
//! shown, but does not decide.

mod check;
mod datadog;
mod items;
mod jfr;
mod nettrace;
mod pyroscope;
mod traces;
mod truth;

use crate::children::Children;
use crate::command::{command, run as run_command};
use crate::setup;
use crate::stack::{self, Purpose};
use crate::workspace::Workspace;
use anyhow::{Context, bail};
use check::Checker;
use std::path::Path;

/// Runs the whole comparison; an error if anything that decides differs.
pub(crate) fn run(workspace: &Workspace, dir: &Path, verbose: bool) -> anyhow::Result<()> {
    let unpacked = tempfile::tempdir()?;
    unpack(dir, unpacked.path())?;
    let mut items = items::find(dir)?;
    items.extend(items::find(unpacked.path())?);
    if items.is_empty() {
        bail!("{} holds no item with a truth.json", dir.display());
    }
    let doubtful = items::doubtful(dir);
    stack::build_binaries(workspace)?;
    let data = tempfile::tempdir()?;
    let mut children = Children::new(&workspace.target.join("corpus-logs"))?;
    let port = stack::free_port()?;
    let datadog = stack::free_port()?;
    let purpose = Purpose::Replay { datadog };
    let url = stack::start_server(workspace, &mut children, port, data.path(), purpose)?;
    let datadog = format!("127.0.0.1:{datadog}");
    let mut checker = Checker::new(url);
    let (mut exact, mut differ, mut doubted) = (0, 0, 0);
    for item in &items {
        let doubt = doubtful.contains(&item.name);
        let verdicts = check_item(item, &mut checker, &datadog)?;
        if verdicts.is_empty() {
            println!("skipped  {}: {}", item.name, truth::why_without(item));
        }
        for (name, problems) in &verdicts {
            match (problems.is_empty(), doubt) {
                (true, _) => exact += 1,
                (false, true) => doubted += 1,
                (false, false) => differ += 1,
            }
            if verbose || !problems.is_empty() {
                tell(item, name, doubt, problems);
            }
        }
        children.check()?;
    }
    children.stop();
    println!(
        "\ncorpus: {exact} exact, {differ} differ ({doubted} more differ whose truth is doubtful)"
    );
    println!("corpus: {}", checker.summary());
    if differ > 0 {
        bail!("{differ} files differ from their truth");
    }
    Ok(())
}

/// What differs of each payload of an item.
fn check_item(
    item: &items::Item,
    checker: &mut Checker,
    datadog: &str,
) -> anyhow::Result<Vec<(String, Vec<String>)>> {
    let mut verdicts = Vec::new();
    for file in truth::files_with_truth(item)? {
        verdicts.push((file.name.clone(), checker.check(&file)));
    }
    for capture in datadog::captures(item)? {
        verdicts.push((capture.name.clone(), capture.check(checker, datadog)));
    }
    for recording in jfr::files_with_truth(item)? {
        verdicts.push((recording.name.clone(), recording.check(checker)));
    }
    for trace in nettrace::files_with_truth(item)? {
        verdicts.push((trace.name.clone(), trace.check(checker)));
    }
    for request in traces::requests(item)? {
        verdicts.push((request.name.clone(), request.check(checker, datadog)));
    }
    for replay in pyroscope::requests(item)? {
        verdicts.push((replay.name.clone(), replay.check(checker)));
    }
    Ok(verdicts)
}

fn tell(item: &items::Item, name: &str, doubt: bool, problems: &[String]) {
    let verdict = if problems.is_empty() { "exact" } else { "DIFFERS" };
    let mark = if doubt { " (ERR in INDEX.txt: does not decide)" } else { "" };
    println!("{verdict:8} {}/{name}{mark}", item.name);
    for problem in problems.iter().take(8) {
        println!("           {problem}");
    }
}

fn unpack(dir: &Path, into: &Path) -> anyhow::Result<()> {
    let entries = std::fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.to_string_lossy().ends_with(".tar.zst") {
            setup::ensure(setup::CORPUS)?;
            let path = path.canonicalize()?;
            run_command(&mut command(into, "tar", &["--zstd", "-xf", &path.to_string_lossy()]))?;
        }
    }
    Ok(())
}
