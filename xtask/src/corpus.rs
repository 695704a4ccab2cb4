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
        let (found, recordings) = (truth::files_with_truth(item)?, jfr::files_with_truth(item)?);
        let captures = datadog::captures(item)?;
        let traces = nettrace::files_with_truth(item)?;
        let replays = pyroscope::requests(item)?;
        let files = found.len() + recordings.len() + traces.len();
        if files + captures.len() + replays.len() == 0 {
            println!("skipped  {}: {}", item.name, truth::why_without(item));
        }
        let doubt = doubtful.contains(&item.name);
        let mut judge = |name: &str, problems: Vec<String>| {
            match (problems.is_empty(), doubt) {
                (true, _) => exact += 1,
                (false, true) => doubted += 1,
                (false, false) => differ += 1,
            }
            if verbose || !problems.is_empty() {
                tell(item, name, doubt, &problems);
            }
        };
        for file in &found {
            judge(&file.name, checker.check(file));
            children.check()?;
        }
        for capture in &captures {
            judge(&capture.name, capture.check(&mut checker, &datadog));
            children.check()?;
        }
        for file in &recordings {
            judge(&file.name, file.check(&mut checker));
            children.check()?;
        }
        for file in &traces {
            judge(&file.name, file.check(&mut checker));
            children.check()?;
        }
        for replay in &replays {
            judge(&replay.name, replay.check(&mut checker));
            children.check()?;
        }
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
