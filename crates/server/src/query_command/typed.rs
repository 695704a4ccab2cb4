//! Questions about values of a profile type: which samples, and one answer in words each.

use super::{CPU_TIME, Selected, json, text};
use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::Value;

#[derive(Debug, Args)]
pub(super) struct Typed {
    #[command(flatten)]
    pub(super) selected: Selected,
    /// Profile type id (see `vesta query types`).
    #[arg(long = "type", short, default_value = CPU_TIME, value_name = "TYPE")]
    pub(super) profile_type: String,
    #[command(flatten)]
    narrowing: Narrowing,
}

/// Which samples, and how their stacks are read. A FUNCTION is a whole name, or a regular expression
/// between slashes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Samples and stacks")]
struct Narrowing {
    /// Only samples of this trace (32 hexadecimal digits).
    #[arg(long, value_name = "ID")]
    trace: Option<String>,
    /// Only samples of this span or local root span (16 hexadecimal digits).
    #[arg(long, value_name = "ID")]
    span: Option<String>,
    /// Only this thread, by name or id.
    #[arg(long)]
    thread: Option<String>,
    /// Only samples with these attributes, e.g. '{endpoint="/cart"}'.
    #[arg(long, value_name = "SELECTOR")]
    attributes: Option<String>,
    /// Only this profiling session.
    #[arg(long)]
    session: Option<String>,
    /// Only stacks that hold this function.
    #[arg(long, value_name = "FUNCTION")]
    function: Option<String>,
    /// Only stacks with these calls: 'caller;callee;...'.
    #[arg(long, value_name = "FUNCTIONS")]
    path: Option<String>,
    /// --path begins with the outermost frame.
    #[arg(long, requires = "path")]
    path_from_root: bool,
    /// Take these frames out.
    #[arg(long, value_name = "FUNCTION")]
    drop: Option<String>,
    /// Take all other frames out.
    #[arg(long, value_name = "FUNCTION")]
    keep: Option<String>,
    /// A function that calls itself becomes one frame.
    #[arg(long)]
    collapse_recursion: bool,
    /// Only what this function did, wherever it was called.
    #[arg(long, value_name = "FUNCTION")]
    focus: Option<String>,
    /// Callers below their callees.
    #[arg(long)]
    invert: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum TypedQuestion {
    /// Two times or selections side by side, by function path.
    Diff {
        #[command(flatten)]
        typed: Typed,
        /// Start of the time before.
        #[arg(long, value_name = "TIME")]
        before_from: Option<String>,
        /// End of the time before.
        #[arg(long, value_name = "TIME")]
        before_to: Option<String>,
        /// Label selector of the side before.
        #[arg(long, value_name = "SELECTOR")]
        before_match: Option<String>,
        /// `total`: each side by its own total; `none`: by values.
        #[arg(long, default_value = "total")]
        normalise: String,
        /// Most nodes.
        #[arg(long, default_value = "500", value_name = "NODES")]
        max_nodes: String,
    },
    /// Who calls a function, and what it calls.
    Sandwich {
        #[command(flatten)]
        typed: Typed,
        /// The function.
        about: String,
    },
    /// Who calls a function, in which services, at what cost.
    Callers {
        #[command(flatten)]
        typed: Typed,
        /// The function.
        about: String,
        /// Label whose values are told apart.
        #[arg(long, default_value = "service_name", value_name = "LABEL")]
        by: String,
    },
    /// What a function costs over time.
    Trend {
        #[command(flatten)]
        typed: Typed,
        /// The function.
        about: String,
        /// Milliseconds of a step.
        #[arg(long, value_name = "MS")]
        step_ms: Option<String>,
    },
    /// The functions that cost most.
    Top {
        #[command(flatten)]
        typed: Typed,
        /// Number of rows.
        #[arg(long, default_value = "20")]
        limit: String,
        /// `self` or `total`.
        #[arg(long, default_value = "self")]
        sort: String,
        /// `function`, or a table of `name`, `file`, `library`, `package`, `thread` or
        /// `attribute:KEY`.
        #[arg(long, default_value = "function")]
        by: String,
    },
    /// Samples by second and time within it.
    Heatmap {
        #[command(flatten)]
        typed: Typed,
        /// Milliseconds of a column.
        #[arg(long, default_value = "1000", value_name = "MS")]
        column_ms: String,
        /// Rows of a column.
        #[arg(long, default_value = "10")]
        rows: String,
    },
    /// What each thread did when.
    Timeline {
        #[command(flatten)]
        typed: Typed,
        /// Milliseconds of a step.
        #[arg(long, value_name = "MS")]
        step_ms: Option<String>,
        /// Most threads.
        #[arg(long, default_value = "20")]
        threads: String,
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
}

impl Typed {
    pub(super) async fn ask(&self, path: &str, more: &[(&str, Option<&str>)]) -> Result<Value> {
        let n = &self.narrowing;
        let flag = |is_set: bool| is_set.then_some("true");
        let mut parameters = vec![
            ("type", Some(self.profile_type.as_str())),
            ("trace", n.trace.as_deref()),
            ("span", n.span.as_deref()),
            ("thread", n.thread.as_deref()),
            ("attributes", n.attributes.as_deref()),
            ("session", n.session.as_deref()),
            ("function", n.function.as_deref()),
            ("path", n.path.as_deref()),
            ("path_from_root", flag(n.path_from_root)),
            ("drop", n.drop.as_deref()),
            ("keep", n.keep.as_deref()),
            ("collapse_recursion", flag(n.collapse_recursion)),
            ("focus", n.focus.as_deref()),
            ("invert", flag(n.invert)),
        ];
        parameters.extend(more);
        self.selected.ask(path, &parameters).await
    }

    /// The API's JSON where that was asked for, else the answer in words.
    async fn tell(
        &self,
        path: &str,
        more: &[(&str, Option<&str>)],
        words: fn(&Value) -> String,
    ) -> Result<String> {
        let answer = self.ask(path, more).await?;
        if self.selected.json { json(&answer) } else { Ok(words(&answer)) }
    }
}

/// Parameters of a question.
type More<'a> = Vec<(&'a str, Option<&'a str>)>;

impl TypedQuestion {
    /// Asks and formats the answer.
    pub(super) async fn answer(&self) -> Result<String> {
        let (typed, path, more, words): (_, _, More<'_>, fn(&Value) -> String) = match self {
            Self::Diff { typed, before_from, before_to, before_match, normalise, max_nodes } => {
                let more = vec![
                    ("before_from", before_from.as_deref()),
                    ("before_to", before_to.as_deref()),
                    ("before_match", before_match.as_deref()),
                    ("normalise", Some(normalise.as_str())),
                    ("max_nodes", Some(max_nodes.as_str())),
                ];
                (typed, "diff", more, text::diff)
            }
            Self::Sandwich { typed, about } => {
                (typed, "sandwich", vec![("about", Some(about.as_str()))], text::sandwich)
            }
            Self::Callers { typed, about, by } => {
                let more = vec![("about", Some(about.as_str())), ("by", Some(by.as_str()))];
                (typed, "callers", more, text::callers)
            }
            Self::Trend { typed, about, step_ms } => {
                let more = vec![("about", Some(about.as_str())), ("step_ms", step_ms.as_deref())];
                (typed, "trend", more, text::trend)
            }
            Self::Top { typed, limit, sort, by } => {
                let more = [("limit", limit), ("sort", sort), ("by", by)];
                let more = more.map(|(name, value)| (name, Some(value.as_str()))).to_vec();
                (typed, "top", more, text::top)
            }
            Self::Series { typed, group_by, step_ms } => {
                let more = vec![("group_by", group_by.as_deref()), ("step_ms", step_ms.as_deref())];
                (typed, "series", more, text::series)
            }
            Self::Heatmap { typed, column_ms, rows } => {
                let more =
                    vec![("column_ms", Some(column_ms.as_str())), ("rows", Some(rows.as_str()))];
                (typed, "heatmap", more, text::heatmap)
            }
            Self::Timeline { typed, step_ms, threads } => {
                let threads = Some(threads.as_str());
                let more = vec![("step_ms", step_ms.as_deref()), ("threads", threads)];
                (typed, "timeline", more, text::timeline)
            }
        };
        typed.tell(&format!("/api/v1/{path}"), &more, words).await
    }
}
