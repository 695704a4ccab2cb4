//! What was recorded in the form that was asked for.

use crate::flame::Flame;
use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use profile::{KindIndex, Profile};
use std::path::Path;
use views::{AnswerMeta, CallTree, FlameGraph};

/// Nodes of a picture or text.
const NODES_MAX: usize = 100_000;

/// Forms of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// Gzip pprof, for `go tool pprof` and others.
    Pprof,
    /// Folded text.
    Folded,
    /// A picture.
    Svg,
    /// The OTLP request as it was recorded.
    Otlp,
}

impl Form {
    /// The form that a file's name says.
    pub(crate) fn of(path: &Path) -> Result<Self> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let has = |ends: &[&str]| ends.iter().any(|end| name.ends_with(end));
        if has(&[".svg"]) {
            Ok(Self::Svg)
        } else if has(&[".folded", ".txt", ".collapsed"]) {
            Ok(Self::Folded)
        } else if has(&[".pb.gz", ".pprof", ".pb"]) {
            Ok(Self::Pprof)
        } else if has(&[".otlp"]) {
            Ok(Self::Otlp)
        } else {
            bail!("{name:?} does not say its form: add --format pprof, folded, svg or otlp")
        }
    }
}

/// The bytes of the file, and a line about them.
pub(super) fn convert(otlp: Vec<u8>, form: Form) -> Result<(Vec<u8>, String)> {
    let merged = merge(&otlp)?;
    let kind = KindIndex(0);
    let (unit, name) = merged.kinds.first().and_then(|kind| kind.measures.first()).map_or_else(
        || ("count".to_owned(), "nothing".to_owned()),
        |measure| (measure.unit.to_string(), measure.name.to_string()),
    );
    let total = stdx::units::format_value(merged.totals(kind)[0], &unit);
    let summary = format!("{total} of {name} in {} samples", merged.samples.len());
    let flame = || {
        let mut tree = CallTree::default();
        tree.add_stacks(&merged.tables, merged.by_stack(kind, 0));
        Flame::of(&FlameGraph::of(&tree, NODES_MAX, AnswerMeta::default()), &unit)
    };
    let bytes = match form {
        Form::Otlp => otlp,
        Form::Pprof => formats::pprof::encode_gzip(&merged),
        Form::Folded => flame().folded().into_bytes(),
        Form::Svg => flame().svg(&summary).into_bytes(),
    };
    Ok((bytes, summary))
}

/// All profiles of the request as one: the command and its children.
fn merge(otlp: &[u8]) -> Result<Profile> {
    let decoded = formats::otlp::decode(otlp, &formats::Options::default());
    let mut profiles = decoded.profiles.into_iter().map(|decoded| decoded.profile);
    let mut merged = profiles.next().context(
        "no sample was taken: the program used no CPU time, or ended at once; try it for longer",
    )?;
    for profile in profiles {
        merged.merge(&profile);
    }
    Ok(merged)
}
