//! Nettrace files of a corpus: how many events of each type another reader counts, and what the
//! server answers.

use super::check::{Checker, profile_types};
use super::items::Item;
use crate::command::command;
use crate::setup;
use anyhow::{Context, bail};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Values of receipts that count events, and the events: a provider with a number.
const COUNTED: [(&str, &str); 7] = [
    ("ThreadSample", "Microsoft-DotNETCore-SampleProfiler/0"),
    ("ExceptionThrown", "Microsoft-Windows-DotNETRuntime/80"),
    ("ContentionStop", "Microsoft-Windows-DotNETRuntime/91"),
    ("WaitHandleWaitStop", "Microsoft-Windows-DotNETRuntime/302"),
    ("ThreadPoolDequeue", "Microsoft-Windows-DotNETRuntime/62"),
    ("ThreadPoolAdjustment", "Microsoft-Windows-DotNETRuntime/55"),
    ("GCEnd", "Microsoft-Windows-DotNETRuntime/2"),
];
/// Each becomes a sample that tells bytes and no count.
const TICKS: &str = "Microsoft-Windows-DotNETRuntime/10";
/// Of these only some become samples: the truth does not tell which.
const PAUSES: &str = "GCRestartEEEnd";

/// A file and how many events it has.
#[derive(Debug)]
pub(crate) struct Trace {
    pub(crate) name: String,
    path: PathBuf,
    counts: BTreeMap<String, i64>,
}

/// The files of an item that have a truth about their events: plain ones before zipped ones.
pub(crate) fn files_with_truth(item: &Item) -> anyhow::Result<Vec<Trace>> {
    let text = std::fs::read_to_string(item.dir.join("truth.json"))?;
    let truth: Value = serde_json::from_str(&text).context("truth.json is no JSON")?;
    let counts = counts(&truth);
    if !COUNTED.iter().any(|(_, event)| counts.contains_key(*event)) {
        return Ok(Vec::new());
    }
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&item.dir)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    let by_ending = |ending: &str| names.iter().find(|name| name.ends_with(ending));
    let name = by_ending(".nettrace").or_else(|| by_ending(".nettrace.zip"));
    let trace = |name: &String| {
        let (name, path) = (name.clone(), item.dir.join(name));
        Trace { name, path, counts }
    };
    Ok(name.map(trace).into_iter().collect())
}

/// How many events there are of each provider and number; names behind them differ.
fn counts(truth: &Value) -> BTreeMap<String, i64> {
    let walk = if truth["walk"].is_object() { &truth["walk"] } else { truth };
    let events = walk["events"].as_object().into_iter().flatten();
    let mut counts = BTreeMap::new();
    for (name, count) in events {
        let key = name.split(' ').next().unwrap_or_default();
        *counts.entry(key.to_owned()).or_default() += count.as_i64().unwrap_or(0);
    }
    counts
}

impl Trace {
    /// What differs; empty when nothing does.
    pub(crate) fn check(&self, checker: &mut Checker) -> Vec<String> {
        self.compare(checker).unwrap_or_else(|error| vec![format!("{error:#}")])
    }

    fn compare(&self, checker: &mut Checker) -> anyhow::Result<Vec<String>> {
        let (service, receipt) = checker.upload_raw(&self.bytes()?)?;
        let types = profile_types(&receipt)?;
        let mut total = |name: &str| -> anyhow::Result<i64> {
            let Some(id) = types.get(name) else { return Ok(0) };
            let answer = checker.top(id, &service)?;
            answer["meta"]["total"].as_i64().context("the answer has no meta.total")
        };
        let mut problems = Vec::new();
        let mut expected = self.count(TICKS) + total(PAUSES)?;
        for (name, event) in COUNTED {
            let (have, count) = (total(name)?, self.count(event));
            expected += count;
            if have != count {
                problems.push(format!("{name}: total {have}, truth {count}"));
            }
        }
        let profiles = receipt["profiles"].as_array().context("the receipt lists no profiles")?;
        let rows: i64 = profiles.iter().filter_map(|one| one["samples"].as_i64()).sum();
        if rows != expected {
            problems.push(format!("{rows} samples stored, truth {expected} events"));
        }
        Ok(problems)
    }

    fn count(&self, event: &str) -> i64 {
        self.counts.get(event).copied().unwrap_or(0)
    }

    fn bytes(&self) -> anyhow::Result<Vec<u8>> {
        if !self.name.ends_with(".zip") {
            return Ok(std::fs::read(&self.path)?);
        }
        setup::ensure(setup::CORPUS_ZIPPED)?;
        let folder = self.path.parent().context("a file lies in a folder")?;
        let output = command(folder, "unzip", &["-p", &self.name]).output()?;
        if !output.status.success() {
            bail!("{} cannot be unpacked", self.path.display());
        }
        Ok(output.stdout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn events_are_counted_by_provider_and_number() {
        let events = json!({ "A/1 ": 3, "A/1 Named": 4, "B/2": 5 });
        let expected = BTreeMap::from([("A/1".to_owned(), 7), ("B/2".to_owned(), 5)]);
        assert_eq!(counts(&json!({ "walk": { "events": events } })), expected);
        assert_eq!(counts(&json!({ "events": events })), expected);
        assert!(counts(&json!({ "walk": 3 })).is_empty());
    }

    #[test]
    fn plain_files_come_before_zipped_ones() {
        let dir = tempfile::tempdir().unwrap();
        let truth = json!({ "events": { "Microsoft-DotNETCore-SampleProfiler/0 ": 1 } });
        std::fs::write(dir.path().join("truth.json"), truth.to_string()).unwrap();
        let item = Item { name: "x".into(), dir: dir.path().to_owned() };
        assert!(files_with_truth(&item).unwrap().is_empty());
        for name in ["a.nettrace.zip", "a.nettrace"] {
            std::fs::write(dir.path().join(name), "").unwrap();
            assert_eq!(files_with_truth(&item).unwrap()[0].name, name);
        }
    }
}
