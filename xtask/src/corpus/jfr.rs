//! JFR files of a corpus: what the JDK's own tools say of their events, and what the server answers.
//!
//! The truth tells of each event type how many events there are, sums of fields and of durations,
//! and the most frequent leaf functions. The receipt of an upload names for each value of an event
//! type (`jdk.SocketRead.bytesRead`) the profile type it became; where several became one, their
//! truths are added up.

use super::check::{Checker, Scope, profile_types};
use super::items::Item;
use anyhow::Context;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// How the JDK's tools and we write a method that is not among the constants.
const UNKNOWN_METHODS: [&str; 2] = ["?.?", "[unknown method]"];
/// How many leaf functions are compared.
const TOP: usize = 5;
const WALL_CLOCK: &str = " by the wall clock";
/// Event types that must not be missing from a receipt when there are events of them.
const EXPECTED: [&str; 24] = [
    "datadog.ExceptionSample",
    "datadog.ExecutionSample",
    "datadog.HeapLiveObject",
    "datadog.MethodSample",
    "datadog.ObjectSample",
    "jdk.ExecutionSample",
    "jdk.FileRead",
    "jdk.FileWrite",
    "jdk.JavaErrorThrow",
    "jdk.JavaExceptionThrow",
    "jdk.JavaMonitorEnter",
    "jdk.JavaMonitorWait",
    "jdk.NativeMethodSample",
    "jdk.ObjectAllocationInNewTLAB",
    "jdk.ObjectAllocationOutsideTLAB",
    "jdk.ObjectAllocationSample",
    "jdk.OldObjectSample",
    "jdk.SocketRead",
    "jdk.SocketWrite",
    "jdk.ThreadPark",
    "profiler.Free",
    "profiler.LiveObject",
    "profiler.Malloc",
    "profiler.WallClockSample",
];

/// Event types that are kept beside samples, each of whose events differs from the others.
const KEPT_BESIDE: [&str; 3] = ["jdk.GarbageCollection", "jdk.GCPhasePause", "jdk.SafepointBegin"];
/// Event types that are readings, and a gauge of each.
const READ: [(&str, &str); 2] = [
    ("jdk.CPULoad", "jdk.CPULoad.machineTotal"),
    ("jdk.GCHeapSummary", "jdk.GCHeapSummary.heapUsed"),
];

/// A file and what the JDK's tools say of it.
#[derive(Debug)]
pub(crate) struct JfrFile {
    pub(crate) name: String,
    path: PathBuf,
    counts: BTreeMap<String, i64>,
    events: Value,
}

/// The files of an item that have a truth about their events.
pub(crate) fn files_with_truth(item: &Item) -> anyhow::Result<Vec<JfrFile>> {
    let text = std::fs::read_to_string(item.dir.join("truth.json"))?;
    let truth: Value = serde_json::from_str(&text).context("truth.json is no JSON")?;
    let mut found = Vec::new();
    if let Some(files) = truth["jfr"]["files"].as_object() {
        for (name, about) in files {
            let path = item.dir.join(name);
            let inner = item.dir.join(name.replacen('_', "/", 1));
            let path = if path.is_file() { path } else { inner };
            found.extend(file(name, path, about));
        }
    } else {
        for entry in std::fs::read_dir(&item.dir)? {
            let entry = entry?;
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            if name.contains(".jfr") {
                found.extend(file(&name, path, &truth));
            }
        }
    }
    Ok(found)
}

fn file(name: &str, path: PathBuf, about: &Value) -> Option<JfrFile> {
    let counts = about["event_counts"].as_object().filter(|counts| !counts.is_empty())?;
    // The first JDKs' names are shown as today's.
    let name_of = |name: &str| name.replacen("com.oracle.jdk.", "jdk.", 1);
    let counts = counts.iter().filter_map(|(name, count)| Some((name_of(name), count.as_i64()?)));
    let counts: BTreeMap<_, _> = counts.collect();
    // Without any event that becomes a sample there is no profile.
    let has_samples = EXPECTED.iter().any(|event| counts.contains_key(*event));
    let file = JfrFile { name: name.to_owned(), path, counts, events: about["events"].clone() };
    (has_samples && file.path.is_file()).then_some(file)
}

/// A value of the truth: exact, or a sum of fractions each of which is rounded.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Expected {
    total: f64,
    tolerance: f64,
}

impl JfrFile {
    /// What differs; empty when nothing does.
    pub(crate) fn check(&self, checker: &mut Checker) -> Vec<String> {
        self.upload(checker).unwrap_or_else(|error| vec![format!("{error:#}")])
    }

    fn upload(&self, checker: &mut Checker) -> anyhow::Result<Vec<String>> {
        let bytes = std::fs::read(&self.path)?;
        let (service, receipt) = checker.upload_raw(&bytes)?;
        let mut problems = self.compare_beside(checker, &service)?;
        problems.extend(self.compare(checker, &Scope::Service(service), &receipt)?);
        Ok(problems)
    }

    /// What differs in what is kept beside samples.
    fn compare_beside(&self, checker: &mut Checker, service: &str) -> anyhow::Result<Vec<String>> {
        let mut problems = Vec::new();
        let mut compare = |event: &str, found: u64| {
            let expected = self.count(event);
            if i64::try_from(found).ok() != Some(expected) {
                problems.push(format!("{found} of {event} kept, truth {expected}"));
            }
        };
        for event in KEPT_BESIDE {
            compare(event, checker.events(service, event)?);
        }
        for (event, gauge) in READ {
            compare(event, checker.readings(service, gauge)?);
        }
        Ok(problems)
    }

    /// What differs in what was stored, by its receipt and what the server answers.
    pub(super) fn compare(
        &self,
        checker: &mut Checker,
        scope: &Scope,
        receipt: &Value,
    ) -> anyhow::Result<Vec<String>> {
        let mut problems = Vec::new();
        let types = profile_types(receipt)?;
        for event in EXPECTED {
            let is_there = types.keys().any(|name| event_of(name) == event);
            if self.count(event) > 0 && !is_there {
                problems.push(format!("the receipt has nothing of {event}"));
            }
        }
        let rows: i64 = receipt["profiles"]
            .as_array()
            .map_or(0, |all| all.iter().filter_map(|one| one["samples"].as_i64()).sum());
        let mut events: Vec<&str> = types.keys().map(|name| event_of(name)).collect();
        events.dedup();
        let expected: i64 = events.iter().map(|event| self.count(event)).sum();
        if rows != expected {
            problems.push(format!("{rows} samples stored, truth {expected} events of these types"));
        }
        let mut by_type: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (name, id) in &types {
            by_type.entry(id).or_default().push(name);
        }
        for (id, names) in by_type {
            let Some(expected) = self.sum(&names, &types) else { continue };
            let answer = checker.top(id, scope)?;
            let total = answer["meta"]["total"].as_i64().context("the answer has no meta.total")?;
            if (total as f64 - expected.total).abs() > expected.tolerance {
                problems.push(format!(
                    "{}: total {total}, truth {}",
                    names.join("+"),
                    expected.total
                ));
            }
            if let [name] = names[..] {
                problems.extend(self.compare_top(name, &answer)?);
            }
        }
        Ok(problems)
    }

    fn count(&self, event: &str) -> i64 {
        self.counts.get(event).copied().unwrap_or(0)
    }

    /// What the truth says of all these; nothing when it does not know one of them.
    fn sum(&self, names: &[&str], types: &BTreeMap<String, String>) -> Option<Expected> {
        let mut sum = Expected::default();
        for name in names {
            // Where an event's samples went two ways, only both together are known.
            let event = event_of(name);
            let is_split =
                types.contains_key(event) && types.contains_key(&format!("{event}{WALL_CLOCK}"));
            let one = self.expected(name.trim_end_matches(WALL_CLOCK)).filter(|_| !is_split)?;
            sum.total += one.total;
            sum.tolerance += one.tolerance;
        }
        Some(sum)
    }

    fn expected(&self, name: &str) -> Option<Expected> {
        let event = event_of(name);
        let count = self.count(event) as f64;
        let Some(field) = name.strip_prefix(event)?.strip_prefix('.') else {
            return Some(Expected { total: count, tolerance: 0.0 });
        };
        let about = &self.events[event];
        if field == "duration" {
            if let Some(nanos) = about["duration_sum_ns"].as_f64() {
                return Some(Expected { total: nanos, tolerance: 0.0 });
            }
            // Seconds as a fraction; ticks are rounded down each.
            let nanos = about["duration_sum_s"].as_f64()? * 1e9;
            return Some(Expected { total: nanos, tolerance: count + nanos * 1e-9 });
        }
        let total = about["sums"][field].as_f64()?;
        let tolerance = if total.fract() == 0.0 { 0.0 } else { count / 2.0 };
        Some(Expected { total, tolerance })
    }

    fn compare_top(&self, name: &str, answer: &Value) -> anyhow::Result<Vec<String>> {
        let event = event_of(name);
        let about = &self.events[event];
        let top = match name.strip_prefix(event).and_then(|field| field.strip_prefix('.')) {
            None => &about["top_leaf_frames"],
            Some(field) => &about["top_weighted"][field],
        };
        let mut own: BTreeMap<String, i64> = BTreeMap::new();
        for function in answer["functions"].as_array().context("the answer has no functions")? {
            let value = function["self"].as_i64().context("a function without self")?;
            let shown = function["name"].as_str().context("a function without a name")?;
            *own.entry(plain(shown)).or_default() += value;
        }
        let mut problems = Vec::new();
        for entry in top.as_array().into_iter().flatten().take(TOP) {
            let (Some(function), Some(value)) = (entry[0].as_str(), entry[1].as_i64()) else {
                continue;
            };
            let is_unknown = UNKNOWN_METHODS.contains(&function);
            let function = if is_unknown { UNKNOWN_METHODS[1] } else { function };
            let got = own.get(&plain(function)).copied().unwrap_or_default();
            if got != value {
                problems.push(format!("{name}: self of {function:?} is {got}, truth {value}"));
            }
        }
        Ok(problems)
    }
}

/// The event type of a value: its first two parts.
fn event_of(name: &str) -> &str {
    let name = name.trim_end_matches(WALL_CLOCK);
    let second = name.match_indices('.').nth(1).map_or(name.len(), |(at, _)| at);
    &name[..second]
}

/// Names as all tools write them: with dots, and nothing before the first where there is no class.
fn plain(name: &str) -> String {
    name.replace('/', ".").trim_start_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn sample() -> JfrFile {
        let about = json!({
            "event_counts": { "jdk.SocketRead": 3, "com.oracle.jdk.ThreadPark": 2 },
            "events": { "jdk.SocketRead": {
                "sums": { "bytesRead": 30, "weight": 4.4 },
                "duration_sum_ns": 77,
                "top_leaf_frames": [["java/net/Socket.read", 3]],
            } },
        });
        file("x.jfr", std::env::current_exe().unwrap(), &about).unwrap()
    }

    #[test]
    fn the_truth_of_a_value_is_found_by_its_name() {
        let file = sample();
        let total = |name: &str| file.expected(name).map(|one| (one.total, one.tolerance));
        assert_eq!(total("jdk.SocketRead"), Some((3.0, 0.0)));
        assert_eq!(total("jdk.SocketRead.bytesRead"), Some((30.0, 0.0)));
        assert_eq!(total("jdk.SocketRead.duration"), Some((77.0, 0.0)));
        assert_eq!(total("jdk.SocketRead.weight"), Some((4.4, 1.5)));
        assert_eq!(total("jdk.SocketRead.other"), None);
        assert_eq!(file.count("jdk.ThreadPark"), 2);
        let mut types = BTreeMap::new();
        let both = file.sum(&["jdk.SocketRead", "jdk.ThreadPark"], &types);
        assert_eq!(both.map(|sum| sum.total), Some(5.0));
        assert_eq!(file.sum(&["jdk.SocketRead", "jdk.SocketRead.other"], &types), None);
        let by_wall_clock = format!("jdk.SocketRead{WALL_CLOCK}");
        types.insert(by_wall_clock.clone(), String::new());
        assert!(file.sum(&[&by_wall_clock], &types).is_some(), "all of them");
        types.insert("jdk.SocketRead".to_owned(), String::new());
        assert_eq!(file.sum(&[&by_wall_clock], &types), None);
    }

    #[test]
    fn leaf_functions_are_compared_however_classes_are_written() {
        let file = sample();
        let answer =
            |own: i64| json!({ "functions": [{ "name": "java.net.Socket.read", "self": own }] });
        assert!(file.compare_top("jdk.SocketRead", &answer(3)).unwrap().is_empty());
        assert_eq!(file.compare_top("jdk.SocketRead", &answer(2)).unwrap().len(), 1);
        assert_eq!(plain(".no_Java_frame"), "no_Java_frame");
        assert_eq!(event_of("jdk.ExecutionSample.time by the wall clock"), "jdk.ExecutionSample");
    }
}
