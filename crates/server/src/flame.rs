//! A flame graph for people at a terminal: indented tree and folded text.

use serde::Deserialize;
use std::fmt::Write;
use views::FlameGraph;

/// A flame graph as the API's JSON has it, or made of profiles at hand.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Flame {
    /// What it was made of.
    pub(crate) meta: FlameMeta,
    /// Distinct names.
    pub(crate) names: Vec<String>,
    /// Depth of each node; the root has 0.
    pub(crate) depth: Vec<u16>,
    /// Name of each node.
    pub(crate) name: Vec<u32>,
    /// Value with callees.
    pub(crate) total: Vec<i64>,
    /// Own value.
    #[serde(rename = "self")]
    pub(crate) own: Vec<i64>,
}

/// What a flame graph says of itself.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct FlameMeta {
    /// Unit of the values.
    pub(crate) unit: String,
    /// Sum.
    pub(crate) total: i64,
    /// Profiles.
    pub(crate) profiles: u64,
    /// Events.
    pub(crate) samples: u64,
    /// Weight of what was left out.
    pub(crate) trimmed: i64,
}

impl Flame {
    /// Of a graph; `unit` and counts are the graph's.
    pub(crate) fn of(graph: &FlameGraph, unit: &str) -> Self {
        let mut names: Vec<String> = graph.frames.iter().map(|f| f.name.to_string()).collect();
        let (root, trimmed) = (names.len() as u32, names.len() as u32 + 1);
        names.extend(["total".to_owned(), "(trimmed)".to_owned()]);
        let name = (0..graph.len()).map(|at| match (graph.is_trimmed[at], graph.frame[at]) {
            (true, _) => trimmed,
            (false, u32::MAX) => root,
            (false, frame) => frame,
        });
        let meta = &graph.meta;
        Self {
            meta: FlameMeta {
                unit: unit.to_owned(),
                total: graph.total.first().copied().unwrap_or(0),
                profiles: meta.profiles,
                samples: meta.samples,
                trimmed: graph.trimmed,
            },
            name: name.collect(),
            names,
            depth: graph.depth.clone(),
            total: graph.total.clone(),
            own: graph.own.clone(),
        }
    }

    /// Number of nodes that all columns have.
    pub(crate) fn len(&self) -> usize {
        let shorter = self.name.len().min(self.total.len()).min(self.own.len());
        shorter.min(self.depth.len())
    }

    /// Name of a node, without what a terminal would act on.
    pub(crate) fn label(&self, at: usize) -> String {
        let name = self.names.get(self.name[at] as usize).map_or("?", String::as_str);
        plain(name)
    }

    /// As a picture.
    pub(crate) fn svg(&self, title: &str) -> String {
        api::svg::render(&api::svg::Picture {
            title,
            unit: &self.meta.unit,
            names: &self.names,
            name: &self.name,
            depth: &self.depth,
            total: &self.total,
        })
    }

    /// An indented tree of what weighs at least `share_min` of the whole.
    pub(crate) fn tree(&self, share_min: f64) -> String {
        let whole = self.total.first().copied().unwrap_or(0);
        let unit = &self.meta.unit;
        let mut text = format!(
            "{} in {} samples of {} profiles\n",
            stdx::units::format_value(whole, unit),
            self.meta.samples,
            self.meta.profiles
        );
        for at in 1..self.len() {
            let share = self.total[at] as f64 / whole.max(1) as f64;
            if share < share_min {
                continue;
            }
            let indent = usize::from(self.depth[at]).saturating_sub(1) * 2;
            let value = stdx::units::format_value(self.total[at], unit);
            let _ = writeln!(
                text,
                "{:>6.2} %  {value:>10}  {:indent$}{}",
                share * 100.0,
                "",
                self.label(at)
            );
        }
        text
    }

    /// `root;caller;leaf value` lines of own values.
    pub(crate) fn folded(&self) -> String {
        let (mut text, mut path) = (String::new(), Vec::new());
        for at in 1..self.len() {
            path.truncate(usize::from(self.depth[at]).saturating_sub(1));
            path.push(self.label(at).replace(';', ":"));
            if self.own[at] != 0 {
                let _ = writeln!(text, "{} {}", path.join(";"), self.own[at]);
            }
        }
        text
    }
}

/// Text without control characters: names come from anywhere.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn small() -> Flame {
        Flame {
            meta: FlameMeta { unit: "count".to_owned(), total: 10, ..FlameMeta::default() },
            names: ["total", "main", "a<b>&\"c\"", "x\u{1b}[31m"].map(str::to_owned).to_vec(),
            depth: vec![0, 1, 2, 2],
            name: vec![0, 1, 2, 3],
            total: vec![10, 10, 7, 2],
            own: vec![0, 1, 7, 2],
        }
    }

    #[test]
    fn trees_and_folded_text_show_every_frame_safely() {
        let flame = small();
        assert_eq!(flame.folded(), "main 1\nmain;a<b>&\"c\" 7\nmain;x\u{fffd}[31m 2\n");
        let tree = flame.tree(0.5);
        assert!(tree.contains("70.00 %") && !tree.contains("20.00 %"), "{tree}");
        assert!(!flame.tree(0.0).contains('\u{1b}'));
    }
}
