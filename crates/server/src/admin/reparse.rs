//! `vesta admin reparse`: reads kept uploads again, piece by piece, and tells how far it is.

use super::pretty;
use crate::client::ServerArgs;
use crate::flame::plain;
use crate::terminal::{print, say};
use anyhow::Result;
use clap::Args;
use http::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::IsTerminal;

#[derive(Debug, Args)]
pub(crate) struct ReparseArgs {
    /// Only uploads with profiles of this service.
    #[arg(long, short)]
    service: Option<String>,
    /// Only uploads with profiles from this time on: epoch milliseconds, or `now-1h`.
    #[arg(long)]
    from: Option<String>,
    /// Only uploads with profiles before this time.
    #[arg(long)]
    to: Option<String>,
    /// Only say what would change.
    #[arg(long)]
    dry_run: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What became of all.
#[derive(Debug, Default)]
struct Sum {
    same: u64,
    outcomes: BTreeMap<String, u64>,
    profiles: (u64, u64),
    samples: (u64, u64),
    payloads: Vec<Value>,
}

impl Sum {
    fn add(&mut self, answer: &Value) {
        let number = |value: &Value, key: &str| value[key].as_u64().unwrap_or(0);
        self.same += number(answer, "same");
        for one in answer["payloads"].as_array().into_iter().flatten() {
            let outcome = plain(one["outcome"].as_str().unwrap_or_default());
            if outcome == "replaced" {
                self.profiles.0 += number(one, "profiles_before");
                self.profiles.1 += number(one, "profiles_after");
                self.samples.0 += number(one, "samples_before");
                self.samples.1 += number(one, "samples_after");
            }
            *self.outcomes.entry(outcome).or_default() += 1;
            self.payloads.push(one.clone());
        }
    }

    fn describe(&self, is_dry_run: bool) -> String {
        let mut out = String::new();
        for one in &self.payloads {
            let text = |key: &str| plain(one[key].as_str().unwrap_or_default());
            let services = one["services"].as_array().into_iter().flatten();
            let services = services.filter_map(Value::as_str).map(plain).collect::<Vec<_>>();
            // Writing to a string cannot fail.
            let _ = writeln!(
                out,
                "{}  {:10}  {} -> {} profiles, {} -> {} samples  {}",
                text("id"),
                text("outcome"),
                one["profiles_before"],
                one["profiles_after"],
                one["samples_before"],
                one["samples_after"],
                services.join(", ")
            );
            let issues = one["issues"].as_array().into_iter().flatten();
            for issue in issues.filter_map(Value::as_str) {
                let _ = writeln!(out, "    note: {}", plain(issue));
            }
        }
        let replaced = self.outcomes.get("replaced").copied().unwrap_or(0);
        let stay: Vec<String> = self
            .outcomes
            .iter()
            .filter(|(outcome, _)| *outcome != "replaced")
            .map(|(outcome, count)| format!(", {count} {outcome}"))
            .collect();
        let verb = if is_dry_run { "would be replaced" } else { "replaced" };
        let _ = writeln!(
            out,
            "{replaced} uploads {verb} ({} -> {} profiles, {} -> {} samples), {} the same{}",
            self.profiles.0,
            self.profiles.1,
            self.samples.0,
            self.samples.1,
            self.same,
            stay.concat()
        );
        out
    }
}

pub(super) async fn run(server: &ServerArgs, wanted: &ReparseArgs) -> Result<()> {
    let mut sum = Sum::default();
    let mut after: Option<String> = None;
    let shows_progress = std::io::stderr().is_terminal();
    loop {
        let parameters = [
            ("service", wanted.service.as_deref()),
            ("from", wanted.from.as_deref()),
            ("to", wanted.to.as_deref()),
            ("dry_run", wanted.dry_run.then_some("true")),
            ("after", after.as_deref()),
        ];
        let answer = server.ask(Method::POST, "/api/v1/admin/reparse", &parameters).await?;
        sum.add(&answer);
        let next = answer["next"].as_str().map(str::to_owned);
        if shows_progress || next.is_some() {
            say(&format!("{} of {} uploads read", answer["done"], answer["total"]));
        }
        // Always further on, whatever a server answers.
        if next.is_none() || next <= after {
            break;
        }
        after = next;
    }
    if wanted.json {
        return print(&pretty(&json!({
            "dry_run": wanted.dry_run, "same": sum.same, "outcomes": sum.outcomes,
            "payloads": sum.payloads,
        }))?);
    }
    print(&sum.describe(wanted.dry_run))
}
