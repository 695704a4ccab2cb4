//! Answers of the API in words, for a terminal.

use crate::flame::{Flame, plain};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write;
use stdx::units::format_value;

const BAR_CHARACTERS: f64 = 40.0;
/// Nodes below this part of the whole are not listed, in percent.
const TREE_PERCENT_MIN: f64 = 0.5;
/// Widest line of a heat map.
const HEAT_ROWS_SHOWN_MAX: usize = 1000;

/// Whether an answer holds no data: no samples, no lines, no rows.
pub(super) fn is_nothing(answer: &Value) -> bool {
    let places = ["/meta/samples", "/after/samples", "/before/samples", "/callers/meta/samples"];
    let samples = places.map(|place| answer.pointer(place).and_then(Value::as_u64));
    let samples = samples.into_iter().flatten().reduce(u64::max);
    let lists = ["series", "labels", "values", "types", "events", "metrics", "endpoints"];
    let lists = lists.map(|key| answer.get(key)?.as_array());
    samples == Some(0) || lists.into_iter().flatten().any(Vec::is_empty)
}

fn text(value: &Value, key: &str) -> String {
    plain(value.get(key).and_then(Value::as_str).unwrap_or_default())
}

fn number(value: &Value, key: &str) -> i64 {
    value.get(key).and_then(Value::as_i64).unwrap_or(0)
}

fn rows<'a>(answer: &'a Value, key: &str) -> &'a [Value] {
    answer.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// What an answer was made of, in a line.
fn heading(answer: &Value) -> (i64, String, String) {
    let meta = answer.get("meta").cloned().unwrap_or_default();
    let (whole, unit) = (number(&meta, "total"), text(&meta, "unit"));
    let mut line = format!(
        "{} in {} samples of {} profiles\n",
        format_value(whole, &unit),
        number(&meta, "samples"),
        number(&meta, "profiles")
    );
    line.push_str(&from_rollups(&meta, whole, &unit));
    (whole, unit, line)
}

/// What part of an answer came from hourly rollups, in a line; nothing where none did.
fn from_rollups(of: &Value, whole: i64, unit: &str) -> String {
    let Some(used) = of.get("rollups") else { return String::new() };
    let mut line = format!("from hourly rollups: {} hours", number(used, "hours"));
    let pruned = number(used, "pruned");
    if pruned > 0 {
        let value = format_value(pruned, unit);
        let _ =
            write!(line, "; {value} ({:.2}%) in calls too small to be kept", share(pruned, whole));
    }
    line.push('\n');
    line
}

fn share(value: i64, whole: i64) -> f64 {
    value as f64 / whole.max(1) as f64 * 100.0
}

pub(super) fn top(answer: &Value) -> String {
    let (whole, unit, mut out) = heading(answer);
    let _ = writeln!(out, "{:>10} {:>8} {:>10} {:>8}", "self", "% of all", "total", "% of all");
    let functions = rows(answer, "functions").iter().map(|row| (row, "name"));
    let groups = rows(answer, "groups").iter().map(|row| (row, "key"));
    for (row, name) in functions.chain(groups) {
        let (own, total) = (number(row, "self"), number(row, "total"));
        let name = text(row, name);
        let _ = writeln!(
            out,
            "{:>10} {:>7.2}% {:>10} {:>7.2}%  {}  {}",
            format_value(own, &unit),
            share(own, whole),
            format_value(total, &unit),
            share(total, whole),
            if name.is_empty() { "(none)" } else { &name },
            text(row, "library")
        );
    }
    out
}

/// Events a line each, newest first.
pub(super) fn events(answer: &Value) -> String {
    let mut out = String::new();
    for row in rows(answer, "events") {
        let took = row.get("duration_ms").and_then(Value::as_f64).unwrap_or(0.0);
        let (start, service) = (text(row, "start_ns"), text(row, "service"));
        let name = text(row, "name");
        let _ = writeln!(out, "{start:>19} {took:>12.3} ms  {service}  {name}{}", said(row));
    }
    out
}

/// Endpoints a line each, times in milliseconds. The CPU time is that of a request on average; it is
/// followed by the part of the requests that it is the average of.
pub(super) fn endpoints(answer: &Value) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{:>9} {:>7} {:>10} {:>10} {:>10} {:>10} {:>10} {:>9}",
        "requests", "errors", "mean ms", "p50", "p95", "p99", "CPU ms", "profiled"
    );
    for row in rows(answer, "endpoints") {
        let time = |key: &str| row.get(key).and_then(Value::as_f64);
        let shown = |key: &str| time(key).map_or("-".to_owned(), |time| format!("{time:.3}"));
        let count = number(row, "count");
        let profiled = row.get("profiled").and_then(Value::as_i64);
        let profiled = profiled.map(|them| format!("{:.0}%", share(them, count)));
        let _ = writeln!(
            out,
            "{count:>9} {:>7} {:>10} {:>10} {:>10} {:>10} {:>10} {:>9}  {}  {}",
            number(row, "errors"),
            shown("mean_ms"),
            shown("p50_ms"),
            shown("p95_ms"),
            shown("p99_ms"),
            shown("cpu_per_request_ms"),
            profiled.as_deref().unwrap_or("-"),
            text(row, "service"),
            text(row, "resource"),
        );
    }
    let why = text(answer, "without_cpu");
    if !why.is_empty() {
        let _ = writeln!(out, "without CPU time: {why}");
    }
    out
}

/// Gauges a line each: how often they were read, the least, the mean of all steps, the largest.
pub(super) fn metrics(answer: &Value) -> String {
    let mut out = format!("{:>8} {:>14} {:>14} {:>14}\n", "readings", "least", "mean", "largest");
    for row in rows(answer, "metrics") {
        let points = rows(row, "points");
        let of = |key: &str| -> Vec<f64> {
            points.iter().filter_map(|point| point.get(key)?.as_f64()).collect()
        };
        let (least, largest) = (of("min"), of("max"));
        let readings = of("readings");
        let weighed = of("mean").into_iter().zip(&readings).map(|(mean, count)| mean * count);
        let count: f64 = readings.iter().sum();
        let _ = write!(
            out,
            "{count:>8} {:>14.4} {:>14.4} {:>14.4}  {} {}",
            least.into_iter().fold(f64::INFINITY, f64::min),
            weighed.sum::<f64>() / count.max(1.0),
            largest.into_iter().fold(f64::NEG_INFINITY, f64::max),
            text(row, "name"),
            text(row, "unit"),
        );
        let labels = row.get("labels").cloned().unwrap_or_default();
        let _ = writeln!(out, "{}  {}", said(row), text(&labels, "service_name"));
    }
    out
}

/// Attributes in brackets.
fn said(row: &Value) -> String {
    let attributes = row.get("attributes").and_then(Value::as_object);
    let pairs = attributes.into_iter().flatten();
    let pairs = pairs.map(|(name, value)| {
        format!("{}: {}", plain(name), plain(value.as_str().unwrap_or_default()))
    });
    let pairs = pairs.collect::<Vec<_>>().join(", ");
    if pairs.is_empty() { pairs } else { format!(" ({pairs})") }
}

pub(super) fn diff(answer: &Value) -> String {
    let side = |name: &str| answer.get(name).cloned().unwrap_or_default();
    let (before, after) = (side("before"), side("after"));
    let unit = text(&after, "unit");
    let wholes = (number(&before, "total"), number(&after, "total"));
    let mut out = format!(
        "before: {} in {} samples; after: {} in {} samples; each part is of its own side\n",
        format_value(wholes.0, &unit),
        number(&before, "samples"),
        format_value(wholes.1, &unit),
        number(&after, "samples"),
    );
    let column = |name: &str| rows(answer, name);
    let numbers = |name: &str, at: usize| column(name).get(at).and_then(Value::as_i64).unwrap_or(0);
    for at in 1..column("depth").len() {
        let (was, is) = (numbers("total_before", at), numbers("total_after", at));
        let (was_part, is_part) = (share(was, wholes.0), share(is, wholes.1));
        if was_part.max(is_part) < TREE_PERCENT_MIN {
            continue;
        }
        let name = usize::try_from(numbers("name", at)).unwrap_or(0);
        let name = plain(column("names").get(name).and_then(Value::as_str).unwrap_or_default());
        let indent = usize::try_from(numbers("depth", at)).unwrap_or(1).saturating_sub(1) * 2;
        let change = is_part - was_part;
        let _ = writeln!(
            out,
            "{was_part:>6.2} % {is_part:>6.2} % {change:>+7.2}  {:indent$}{name}",
            ""
        );
    }
    out
}

pub(super) fn sandwich(answer: &Value) -> String {
    let mut out = String::new();
    for half in ["callers", "callees"] {
        let flame = answer.get(half).cloned().unwrap_or_default();
        let flame: Flame = serde_json::from_value(flame).unwrap_or_default();
        let _ = write!(out, "{half}: {}", flame.tree(TREE_PERCENT_MIN / 100.0));
    }
    out
}

pub(super) fn callers(answer: &Value) -> String {
    let (whole, unit, mut out) = heading(answer);
    for place in rows(answer, "places") {
        let (own, total) = (number(place, "self"), number(place, "total"));
        let _ = writeln!(
            out,
            "{:>10} {:>6.2}%  {}  (self {})",
            format_value(total, &unit),
            share(total, whole),
            text(place, "value"),
            format_value(own, &unit)
        );
        for caller in rows(place, "callers") {
            let name = text(caller, "name");
            let name = if name.is_empty() { "(outermost)" } else { &name };
            let value = format_value(number(caller, "value"), &unit);
            let _ = writeln!(out, "{value:>10}           from {name}  {}", text(caller, "library"));
        }
    }
    out
}

pub(super) fn trend(answer: &Value) -> String {
    let chart = |name: &str| series(&answer.get(name).cloned().unwrap_or_default());
    format!("self\n{}total\n{}", chart("self"), chart("total"))
}

/// Columns of a table as lines: time, then one character a row, darker where more samples are.
pub(super) fn heatmap(answer: &Value) -> String {
    let (_, _, mut out) = heading(answer);
    let height = usize::try_from(number(answer, "rows")).unwrap_or(0).min(HEAT_ROWS_SHOWN_MAX);
    let cell = |cell: &Value, at: usize| cell.get(at).and_then(Value::as_i64).unwrap_or(0);
    let cells = rows(answer, "cells");
    let most = cells.iter().map(|one| cell(one, 2)).max().unwrap_or(0).max(1);
    let mut columns: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for one in cells {
        let column = columns.entry(cell(one, 0)).or_insert_with(|| vec![0; height]);
        let row = usize::try_from(cell(one, 1)).unwrap_or(usize::MAX);
        if let Some(count) = column.get_mut(row) {
            *count = cell(one, 2);
        }
    }
    for (start, column) in columns {
        let shade = |count: &i64| match count * 4 / most {
            _ if *count == 0 => ' ',
            0 => '░',
            1 => '▒',
            2 => '▓',
            _ => '█',
        };
        let _ = writeln!(out, "{start}  |{}|", column.iter().map(shade).collect::<String>());
    }
    out
}

pub(super) fn timeline(answer: &Value) -> String {
    let (whole, unit, mut out) = heading(answer);
    for thread in rows(answer, "threads") {
        let total = number(thread, "total");
        let id = thread.get("id").and_then(Value::as_i64);
        let id = id.map_or("no thread".to_owned(), |id| id.to_string());
        let _ = writeln!(
            out,
            "{:>10} {:>6.2}%  {} samples  {id} {}",
            format_value(total, &unit),
            share(total, whole),
            number(thread, "samples"),
            text(thread, "name"),
        );
    }
    out
}

pub(super) fn series(answer: &Value) -> String {
    let unit = text(answer, "unit");
    let mut out = from_rollups(answer, 0, &unit);
    for line in rows(answer, "series") {
        let labels = line.get("labels").map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(out, "{}", plain(&labels));
        let points: Vec<(i64, i64)> = rows(line, "points")
            .iter()
            .filter_map(|point| Some((point.get(0)?.as_i64()?, point.get(1)?.as_i64()?)))
            .collect();
        let most = points.iter().map(|(_, value)| *value).max().unwrap_or(0).max(1);
        for (at, value) in points {
            let bar = (value.max(0) as f64 / most as f64 * BAR_CHARACTERS).round() as usize;
            let shown = format_value(value, &unit);
            let _ = writeln!(out, "  {at}  {shown:>10}  {}", "█".repeat(bar));
        }
    }
    out
}

pub(super) fn labels(answer: &Value) -> String {
    let mut out = String::new();
    for name in rows(answer, "labels") {
        let _ = writeln!(out, "{}", plain(name.as_str().unwrap_or_default()));
    }
    for value in rows(answer, "values") {
        let _ = writeln!(out, "{:>8}  {}", number(value, "profiles"), text(value, "value"));
    }
    out
}

pub(super) fn types(answer: &Value) -> String {
    let mut out = String::new();
    for one in rows(answer, "types") {
        let _ = writeln!(out, "{:<56} {}", text(one, "id"), text(one, "name"));
    }
    out
}

pub(super) fn facets(answer: &Value) -> String {
    let mut out = String::new();
    for label in rows(answer, "labels") {
        let _ = writeln!(out, "{}  ({} values)", text(label, "name"), number(label, "distinct"));
        for value in rows(label, "values") {
            let _ = writeln!(out, "{:>8}  {}", number(value, "profiles"), text(value, "value"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_answer_without_data_is_told_from_one_with() {
        for nothing in [
            json!({"meta": {"samples": 0}, "functions": []}),
            json!({"after": {"samples": 0}, "before": {"samples": 0}}),
            json!({"series": []}),
            json!({"values": []}),
        ] {
            assert!(is_nothing(&nothing), "{nothing}");
        }
        assert!(!is_nothing(&json!({"meta": {"samples": 1}})));
        assert!(!is_nothing(&json!({"after": {"samples": 0}, "before": {"samples": 1}})));
        assert!(!is_nothing(&json!({"labels": ["a"]})));
    }

    #[test]
    fn tables_read_well() {
        let meta = json!({"total": 2_000_000_000, "unit": "nanoseconds", "samples": 7});
        let functions = json!([{"name": "f\u{7}", "library": "lib", "self": 1_000_000_000}]);
        let words = top(&json!({"meta": meta, "functions": functions}));
        assert!(words.contains("1 s   50.00%") && words.contains("f\u{fffd}"), "{words}");
        let groups = json!([{"key": "", "self": 1_000_000_000, "total": 2_000_000_000}]);
        let words = top(&json!({"meta": meta, "groups": groups}));
        assert!(words.contains("100.00%  (none)"), "{words}");
        let rollups = json!({"hours": 48, "pruned": 20_000_000});
        let meta = json!({"total": 2_000_000_000, "unit": "nanoseconds", "rollups": rollups});
        let words = top(&json!({"meta": meta}));
        assert!(words.contains("rollups: 48 hours; 20 ms (1.00%) in calls"), "{words}");
        let threads = json!([{"id": 7, "name": "io", "samples": 3, "total": 1_000_000_000}]);
        let words = timeline(&json!({"meta": meta, "threads": threads}));
        assert!(words.contains("50.00%  3 samples  7 io"), "{words}");
    }

    #[test]
    fn endpoints_show_cpu_time_where_it_is_known() {
        let row = json!({
            "service": "shop", "resource": "GET /\u{7}", "count": 8, "errors": 1, "mean_ms": 5.5,
            "p50_ms": 5, "p95_ms": 9, "p99_ms": 9, "cpu_per_request_ms": 1.25, "profiled": 6,
        });
        let words = endpoints(&json!({"endpoints": [row, {"service": "a", "count": 2}]}));
        assert!(words.contains("1.250       75%  shop  GET /\u{fffd}\n"), "{words}");
        assert!(words.contains("         -         -  a  \n"), "{words}");
        let words = endpoints(&json!({"endpoints": [], "without_cpu": "too many"}));
        assert!(words.ends_with("without CPU time: too many\n"), "{words}");
    }

    #[test]
    fn a_diff_shows_parts_of_each_side() {
        let words = diff(&json!({
            "before": {"total": 100, "unit": "count"}, "after": {"total": 10, "unit": "count"},
            "names": ["total", "f"], "depth": [0, 1], "name": [0, 1],
            "total_before": [100, 50], "total_after": [10, 8],
        }));
        assert!(words.contains(" 50.00 %  80.00 %  +30.00  f"), "{words}");
    }

    #[test]
    fn a_heat_map_is_a_line_a_column_and_survives_any_cell() {
        let words = heatmap(&json!({
            "rows": 3, "cells": [[1000, 0, 8, 1], [1000, 2, 1, 1], [2000, 9, 1, 1], [2000, -1], 7],
        }));
        assert!(words.contains("1000  |█ ░|") && words.contains("2000  |   |"), "{words}");
    }
}
