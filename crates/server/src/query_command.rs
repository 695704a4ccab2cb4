//! `vesta query`: questions to a running server, answered as text or JSON.

use crate::client::ServerArgs;
use crate::flame::{Flame, plain};
use crate::svg;
use crate::terminal::say;
use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use serde_json::Value;
use std::fmt::Write;

/// Profile type that is shown when none is named.
pub(crate) const CPU_TIME: &str = "process_cpu:cpu:nanoseconds:cpu:nanoseconds";
/// Frames below this share of the whole are not drawn in trees.
const TREE_SHARE_MIN: f64 = 0.005;
const BAR_CHARACTERS: f64 = 40.0;

/// Arguments of `vesta query`.
#[derive(Debug, Args)]
pub(crate) struct QueryArgs {
    #[command(subcommand)]
    question: Question,
}

#[derive(Debug, Args)]
struct Selected {
    #[command(flatten)]
    server: ServerArgs,
    /// Only this service.
    #[arg(long, short)]
    service: Option<String>,
    /// Label selector, e.g. '{env="prod"}'.
    #[arg(long = "match", value_name = "SELECTOR")]
    matchers: Option<String>,
    /// Start: now-1h, now-15m, or epoch milliseconds.
    #[arg(long, default_value = "now-1h")]
    from: String,
    /// End, written like --from.
    #[arg(long, default_value = "now")]
    to: String,
    /// Print the API's JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Typed {
    #[command(flatten)]
    selected: Selected,
    /// Profile type id (see `vesta query types`).
    #[arg(long = "type", short, default_value = CPU_TIME, value_name = "TYPE")]
    profile_type: String,
}

#[derive(Debug, Subcommand)]
enum Question {
    /// Where the time goes, as an indented tree.
    Flame {
        #[command(flatten)]
        typed: Typed,
        /// Folded text instead: root;caller;leaf value.
        #[arg(long, conflicts_with = "svg")]
        folded: bool,
        /// A picture instead.
        #[arg(long)]
        svg: bool,
        /// Most nodes.
        #[arg(long, default_value = "8192", value_name = "NODES")]
        max_nodes: String,
    },
    /// The functions that cost most.
    Top {
        #[command(flatten)]
        typed: Typed,
        /// Number of functions.
        #[arg(long, default_value = "20")]
        limit: String,
        /// `self` or `total`.
        #[arg(long, default_value = "self")]
        sort: String,
    },
    /// Values over time.
    Series {
        #[command(flatten)]
        typed: Typed,
        /// Split by these labels, comma-separated.
        #[arg(long, value_name = "LABELS")]
        group_by: Option<String>,
        /// Milliseconds of a step.
        #[arg(long, value_name = "MS")]
        step_ms: Option<String>,
    },
    /// Names of labels, or the values of one.
    Labels {
        #[command(flatten)]
        selected: Selected,
        /// The label whose values are wanted.
        name: Option<String>,
    },
    /// Profile types with data.
    Types {
        #[command(flatten)]
        selected: Selected,
    },
}

impl Selected {
    fn selector(&self) -> Option<String> {
        let given = self.matchers.as_deref().map(str::trim).map(|text| {
            text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(text)
        });
        let service = self.service.as_deref().map(|name| {
            format!("service_name=\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
        });
        let all: Vec<&str> = service.as_deref().into_iter().chain(given).collect();
        (!all.is_empty()).then(|| format!("{{{}}}", all.join(",")))
    }

    /// What to do when nothing was found.
    fn advice(&self) -> String {
        let (from, to) = (plain(&self.from), plain(&self.to));
        let service = self.service.as_deref().map(plain);
        let of = service.map_or(String::new(), |name| format!(" of the service {name:?}"));
        format!(
            "nothing{of} matches between {from} and {to}; `vesta query labels service_name \
             --from now-7d` lists the services with data, `vesta query types --from now-7d` the \
             profile types; --from widens the time"
        )
    }

    async fn ask(&self, path: &str, more: &[(&str, Option<&str>)]) -> Result<Value> {
        let selector = self.selector();
        let mut parameters = vec![
            ("from", Some(self.from.as_str())),
            ("to", Some(self.to.as_str())),
            ("match", selector.as_deref()),
        ];
        parameters.extend(more);
        let answer = self.server.get(path, &parameters).await?;
        if is_nothing(&answer) {
            say(&self.advice());
        }
        Ok(answer)
    }
}

/// Asks and formats the answer.
pub(crate) async fn run(args: &QueryArgs) -> Result<String> {
    match &args.question {
        Question::Flame { typed, folded, svg, max_nodes } => {
            let more = [
                ("type", Some(typed.profile_type.as_str())),
                ("max_nodes", Some(max_nodes.as_str())),
            ];
            let answer = typed.selected.ask("/api/v1/flamegraph", &more).await?;
            if typed.selected.json {
                return json(&answer);
            }
            let flame: Flame = serde_json::from_value(answer).context("read the flame graph")?;
            Ok(match (folded, svg) {
                (true, _) => flame.folded(),
                (_, true) => svg::render(&flame, &typed.profile_type),
                _ => flame.tree(TREE_SHARE_MIN),
            })
        }
        Question::Top { typed, limit, sort } => {
            let more = [
                ("type", Some(typed.profile_type.as_str())),
                ("limit", Some(limit.as_str())),
                ("sort", Some(sort.as_str())),
            ];
            let answer = typed.selected.ask("/api/v1/top", &more).await?;
            if typed.selected.json { json(&answer) } else { Ok(top(&answer)) }
        }
        Question::Series { typed, group_by, step_ms } => {
            let more = [
                ("type", Some(typed.profile_type.as_str())),
                ("group_by", group_by.as_deref()),
                ("step_ms", step_ms.as_deref()),
            ];
            let answer = typed.selected.ask("/api/v1/series", &more).await?;
            if typed.selected.json { json(&answer) } else { Ok(series(&answer)) }
        }
        Question::Labels { selected, name } => {
            let path = match name {
                None => "/api/v1/labels".to_owned(),
                Some(name) => format!("/api/v1/labels/{}/values", crate::client::escape(name)),
            };
            let answer = selected.ask(&path, &[]).await?;
            if selected.json { json(&answer) } else { Ok(labels(&answer)) }
        }
        Question::Types { selected } => {
            let answer = selected.ask("/api/v1/profile-types", &[]).await?;
            if selected.json { json(&answer) } else { Ok(types(&answer)) }
        }
    }
}

/// Whether an answer holds no data: no samples, no lines, no rows.
fn is_nothing(answer: &Value) -> bool {
    let samples = answer.pointer("/meta/samples").and_then(Value::as_u64);
    let lists = ["series", "labels", "values", "types"].map(|key| answer.get(key)?.as_array());
    samples == Some(0) || lists.into_iter().flatten().any(Vec::is_empty)
}

fn json(answer: &Value) -> Result<String> {
    Ok(format!("{}\n", serde_json::to_string_pretty(answer).context("write the answer")?))
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

fn top(answer: &Value) -> String {
    let meta = answer.get("meta").cloned().unwrap_or_default();
    let (whole, unit) = (number(&meta, "total"), text(&meta, "unit"));
    let value = |value| stdx::units::format_value(value, &unit);
    let mut out = format!(
        "{} in {} samples of {} profiles\n{:>10} {:>8} {:>10} {:>8}\n",
        value(whole),
        number(&meta, "samples"),
        number(&meta, "profiles"),
        "self",
        "% of all",
        "total",
        "% of all"
    );
    for row in rows(answer, "functions") {
        let (own, total) = (number(row, "self"), number(row, "total"));
        let share = |value: i64| value as f64 / whole.max(1) as f64 * 100.0;
        let _ = writeln!(
            out,
            "{:>10} {:>7.2}% {:>10} {:>7.2}%  {}  {}",
            value(own),
            share(own),
            value(total),
            share(total),
            text(row, "name"),
            text(row, "library")
        );
    }
    out
}

fn series(answer: &Value) -> String {
    let unit = text(answer, "unit");
    let mut out = String::new();
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
            let shown = stdx::units::format_value(value, &unit);
            let _ = writeln!(out, "  {at}  {shown:>10}  {}", "█".repeat(bar));
        }
    }
    out
}

fn labels(answer: &Value) -> String {
    let mut out = String::new();
    for name in rows(answer, "labels") {
        let _ = writeln!(out, "{}", plain(name.as_str().unwrap_or_default()));
    }
    for value in rows(answer, "values") {
        let _ = writeln!(out, "{:>8}  {}", number(value, "profiles"), text(value, "value"));
    }
    out
}

fn types(answer: &Value) -> String {
    let mut out = String::new();
    for one in rows(answer, "types") {
        let _ = writeln!(out, "{:<56} {}", text(one, "id"), text(one, "name"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Harness {
        #[command(flatten)]
        args: QueryArgs,
    }

    #[test]
    fn service_and_selector_join() {
        let line = ["x", "types", "--service", "a\"b", "--match", "{env=\"p\"}"];
        let Question::Types { selected } = Harness::parse_from(line).args.question else {
            panic!("types were asked for");
        };
        assert_eq!(selected.selector().unwrap(), "{service_name=\"a\\\"b\",env=\"p\"}");
    }

    #[test]
    fn an_answer_without_data_is_told_from_one_with() {
        use serde_json::json;
        for nothing in [
            json!({"meta": {"samples": 0}, "functions": []}),
            json!({"series": []}),
            json!({"values": []}),
        ] {
            assert!(is_nothing(&nothing), "{nothing}");
        }
        assert!(!is_nothing(&json!({"meta": {"samples": 1}})));
        assert!(!is_nothing(&json!({"labels": ["a"]})));
    }

    #[test]
    fn answers_read_well() {
        let answer = serde_json::json!({
            "meta": {"total": 2_000_000_000, "unit": "nanoseconds", "samples": 7, "profiles": 1},
            "functions": [{"name": "f\u{7}", "library": "lib", "self": 1_000_000_000, "total": 0}],
        });
        let text = top(&answer);
        assert!(text.contains("1 s   50.00%") && text.contains("f\u{fffd}"), "{text}");
    }
}
