//! `vesta query`: questions to a running server, answered as text or JSON.

mod text;
mod typed;

use crate::client::ServerArgs;
use crate::flame::{Flame, plain};
use crate::terminal::say;
use crate::waiting;
use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use profile::labels::names::SERVICE;
use serde_json::Value;
use text::is_nothing;
use typed::{Typed, TypedQuestion};

/// Profile type that is shown when none is named.
pub(crate) const CPU_TIME: &str = "process_cpu:cpu:nanoseconds:cpu:nanoseconds";
/// Frames below this share of the whole are not drawn in trees.
const TREE_SHARE_MIN: f64 = 0.005;

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
    /// Label selector, e.g. '{env="prod", "a b"=~"x|y"}'.
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
    #[command(flatten)]
    Of(TypedQuestion),
    /// Names of labels, or the values of one.
    Labels {
        #[command(flatten)]
        selected: Selected,
        /// The label whose values are wanted.
        name: Option<String>,
    },
    /// All labels with their commonest values.
    Facets {
        #[command(flatten)]
        selected: Selected,
    },
    /// Profile types with data.
    Types {
        #[command(flatten)]
        selected: Selected,
    },
    /// What the endpoints of services did, and what CPU time each request took on average.
    Endpoints {
        #[command(flatten)]
        selected: Selected,
        /// Only what was about this, such as 'GET /items/{id}'; /…/ is a regular expression.
        #[arg(long)]
        resource: Option<String>,
        /// Only requests that ended with an error.
        #[arg(long)]
        errors: bool,
        /// Only what took at least so many milliseconds.
        #[arg(long, value_name = "MILLISECONDS")]
        min_ms: Option<String>,
        /// Without CPU time, for which samples are looked through.
        #[arg(long)]
        no_cpu: bool,
        /// Most endpoints.
        #[arg(long, default_value = "100")]
        limit: String,
    },
    /// What happened in runtimes, such as collections of garbage; newest first.
    Events {
        #[command(flatten)]
        selected: Selected,
        /// Only of these categories: gc, safepoint, thread.
        #[arg(long)]
        category: Option<String>,
        /// Only what is called so; /…/ is a regular expression.
        #[arg(long)]
        name: Option<String>,
        /// Only what took at least so many milliseconds.
        #[arg(long, value_name = "MILLISECONDS")]
        min_ms: Option<String>,
        /// Most events.
        #[arg(long, default_value = "100")]
        limit: String,
    },
    /// Gauges over time, such as the CPU load that runtimes report.
    Metrics {
        #[command(flatten)]
        selected: Selected,
        /// Only gauges of these names, with commas between.
        names: Option<String>,
        /// Length of a step; about 120 steps when absent.
        #[arg(long, value_name = "MILLISECONDS")]
        step_ms: Option<String>,
    },
}

impl Selected {
    fn selector(&self) -> Option<String> {
        let given = self.matchers.as_deref().map(str::trim).map(|text| {
            text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(text)
        });
        let service = self.service.as_deref();
        let service = service.map(|name| views::Matcher::equal(SERVICE, name).to_string());
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
        let answer = waiting::get(&self.server, path, &parameters).await?;
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
            let more = [("max_nodes", Some(max_nodes.as_str()))];
            let answer = typed.ask("/api/v1/flamegraph", &more).await?;
            if typed.selected.json {
                return json(&answer);
            }
            let flame: Flame = serde_json::from_value(answer).context("read the flame graph")?;
            Ok(match (folded, svg) {
                (true, _) => flame.folded(),
                (_, true) => flame.svg(&typed.profile_type),
                _ => flame.tree(TREE_SHARE_MIN),
            })
        }
        Question::Labels { selected, name } => {
            let path = match name {
                None => "/api/v1/labels".to_owned(),
                Some(name) => format!("/api/v1/labels/{}/values", crate::client::escape(name)),
            };
            let answer = selected.ask(&path, &[]).await?;
            if selected.json { json(&answer) } else { Ok(text::labels(&answer)) }
        }
        Question::Facets { selected } => {
            let answer = selected.ask("/api/v1/facets", &[]).await?;
            if selected.json { json(&answer) } else { Ok(text::facets(&answer)) }
        }
        Question::Types { selected } => {
            let answer = selected.ask("/api/v1/profile-types", &[]).await?;
            if selected.json { json(&answer) } else { Ok(text::types(&answer)) }
        }
        Question::Endpoints { selected, resource, errors, min_ms, no_cpu, limit } => {
            let more = [
                ("resource", resource.as_deref()),
                ("errors", errors.then_some("true")),
                ("min_ms", min_ms.as_deref()),
                ("cpu", no_cpu.then_some("false")),
                ("limit", Some(limit.as_str())),
            ];
            let answer = selected.ask("/api/v1/endpoints", &more).await?;
            if selected.json { json(&answer) } else { Ok(text::endpoints(&answer)) }
        }
        Question::Events { selected, category, name, min_ms, limit } => {
            let more = [
                ("category", category.as_deref()),
                ("name", name.as_deref()),
                ("min_ms", min_ms.as_deref()),
                ("limit", Some(limit.as_str())),
            ];
            let answer = selected.ask("/api/v1/events", &more).await?;
            if selected.json { json(&answer) } else { Ok(text::events(&answer)) }
        }
        Question::Metrics { selected, names, step_ms } => {
            let more = [("names", names.as_deref()), ("step_ms", step_ms.as_deref())];
            let answer = selected.ask("/api/v1/metrics", &more).await?;
            if selected.json { json(&answer) } else { Ok(text::metrics(&answer)) }
        }
        Question::Of(question) => question.answer().await,
    }
}

fn json(answer: &Value) -> Result<String> {
    Ok(format!("{}\n", serde_json::to_string_pretty(answer).context("write the answer")?))
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
        let line = ["x", "types", "--match", r#"{"allocated class"="byte[]"}"#];
        let Question::Types { selected } = Harness::parse_from(line).args.question else {
            panic!("types were asked for");
        };
        assert_eq!(selected.selector().unwrap(), r#"{"allocated class"="byte[]"}"#);
    }
}
