//! JSON of the answers, and how they come from views.

use profile::Labels;
use serde::Serialize;
use std::collections::BTreeMap;
use stdx::TimeRange;
use utoipa::ToSchema;
use views::{AnswerMeta, ProfileInfo, ProfileTypeInfo};

/// A range of time.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Range {
    /// Start in epoch milliseconds.
    pub from_ms: i64,
    /// End in epoch milliseconds.
    pub to_ms: i64,
}

impl From<TimeRange> for Range {
    fn from(range: TimeRange) -> Self {
        Self { from_ms: range.start.millis(), to_ms: range.end.millis() }
    }
}

/// A profile type.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct ProfileType {
    /// Id: `name:sample_type:sample_unit:period_type:period_unit`.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// Kind of the events.
    pub kind: String,
    /// Which of the kind's values.
    pub measure: String,
    /// Unit of the values.
    pub unit: String,
    /// `sum` or `gauge`.
    pub aggregation: &'static str,
    /// What is measured and how.
    pub description: String,
}

impl From<&ProfileTypeInfo> for ProfileType {
    fn from(info: &ProfileTypeInfo) -> Self {
        Self {
            id: info.id.0.clone(),
            name: info.measure.name.to_string(),
            kind: info.kind.clone(),
            measure: info.measure.sample_type.to_string(),
            unit: info.measure.unit.to_string(),
            aggregation: info.measure.aggregation.name(),
            description: info.measure.description.to_string(),
        }
    }
}

/// A source and whether the answer uses it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SourceUse {
    /// Value of the label `source`.
    pub source: String,
    /// Whether its samples are in the answer.
    pub used: bool,
    /// Its profiles in the selection.
    pub profiles: u64,
}

/// What collectors report of their own losses.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct Quality {
    /// Samples lost.
    pub lost: u64,
    /// Samples whose stack does not reach its root.
    pub broken: u64,
    /// Frames without a name.
    pub unsymbolized: u64,
    /// Samples that these figures are of.
    pub samples: u64,
}

impl From<views::Quality> for Quality {
    fn from(quality: views::Quality) -> Self {
        let views::Quality { samples, lost, broken, unsymbolized } = quality;
        Self { lost, broken, unsymbolized, samples }
    }
}

/// What an answer was made of.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct Meta {
    /// The profile type.
    #[serde(rename = "type")]
    pub profile_type: ProfileType,
    /// Unit of all values.
    pub unit: String,
    /// Sum over the selection.
    pub total: i64,
    /// Weight of what was left out of a flame graph.
    pub trimmed: i64,
    /// Nodes of a flame graph; functions of a table.
    pub nodes: u64,
    /// Profiles that contributed.
    pub profiles: u64,
    /// Events that contributed.
    pub samples: u64,
    /// Series that contributed.
    pub series: u64,
    /// Sources of the selection.
    pub sources: Vec<SourceUse>,
    /// Quality of what contributed.
    pub quality: Quality,
    /// The range asked for.
    #[schema(value_type = Range)]
    pub range: Option<Range>,
    /// What part came from hourly rollups; absent where all is made of samples.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollups: Option<Rollups>,
}

/// What part of an answer came from hourly rollups. Long ranges are answered from them, and hours whose
/// samples are gone.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Rollups {
    /// Whole hours answered from rollups.
    pub hours: u64,
    /// Start of the first of them, in epoch milliseconds.
    pub from_ms: i64,
    /// End of the last of them, in epoch milliseconds.
    pub to_ms: i64,
    /// Weight of callees that were too small to be kept: it stands under `[pruned]`.
    pub pruned: i64,
}

impl From<views::RollupUse> for Rollups {
    fn from(used: views::RollupUse) -> Self {
        let views::RollupUse { hours, from_ms, to_ms, pruned } = used;
        Self { hours, from_ms, to_ms, pruned }
    }
}

impl Meta {
    /// The meta of an answer of `nodes` rows.
    pub fn of(meta: &AnswerMeta, range: TimeRange, nodes: usize, trimmed: i64) -> Self {
        let profile_type = meta.profile_type.as_ref().map(ProfileType::from).unwrap_or_default();
        let sources = meta.sources.iter().map(|one| SourceUse {
            source: one.source.clone(),
            used: one.used,
            profiles: one.profiles,
        });
        Self {
            unit: profile_type.unit.clone(),
            profile_type,
            total: meta.total,
            trimmed,
            nodes: nodes as u64,
            profiles: meta.profiles,
            samples: meta.samples,
            series: meta.series,
            sources: sources.collect(),
            quality: meta.quality.into(),
            range: Some(range.into()),
            rollups: meta.rollups.map(Rollups::from),
        }
    }
}

/// Labels as an object.
pub fn labels(labels: &Labels) -> BTreeMap<String, String> {
    labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// A sum of one profile.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Total {
    /// Profile type id.
    #[serde(rename = "type")]
    pub profile_type: String,
    /// The sum.
    pub value: i64,
    /// Its unit.
    pub unit: String,
}

/// A stored profile.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ProfileSummary {
    /// Its id.
    pub id: String,
    /// Start of its window in epoch milliseconds.
    pub start_ms: i64,
    /// End of its window in epoch milliseconds.
    pub end_ms: i64,
    /// Its series.
    pub labels: BTreeMap<String, String>,
    /// Number of samples.
    pub samples: u64,
    /// Sums by profile type.
    pub totals: Vec<Total>,
    /// Name and version of the client that sent it.
    pub client: Option<String>,
}

impl From<&ProfileInfo> for ProfileSummary {
    fn from(info: &ProfileInfo) -> Self {
        let types = views::infos::profile_types([info]);
        let total = |found: &ProfileTypeInfo| {
            let kind = info.kinds.iter().find(|kind| *kind.kind == *found.kind)?;
            let value = *kind.totals.get(found.measure_index)?;
            let unit = found.measure.unit.to_string();
            Some(Total { profile_type: found.id.0.clone(), value, unit })
        };
        let client = &info.metadata.client;
        Self {
            id: info.id.to_string(),
            start_ms: info.window.start.millis(),
            end_ms: info.window.end.millis(),
            labels: labels(&info.labels),
            samples: info.samples(),
            totals: types.iter().filter_map(total).collect(),
            client: (!client.is_empty()).then(|| client.clone()),
        }
    }
}

/// An error; its media type is `application/problem+json`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Problem {
    /// Stable kind.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// What and where.
    pub detail: String,
    /// What to do.
    pub hint: String,
    /// Names the request in the server's log.
    pub request_id: String,
}
