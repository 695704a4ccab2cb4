//! From Pyroscope's selectors to selections, and from profile type ids to the labels that Pyroscope
//! makes of them.

use crate::limits::{FLAME_NODES_MAX, PYROSCOPE_IDS_MAX, PYROSCOPE_NODES_DEFAULT};
use crate::question::{parse_id, problem_of};
use crate::state::ApiState;
use ingest::{Principal, Problem};
use profile::ProfileTypeId;
use stdx::{TimeRange, Timestamp};
use views::{CallPath, MatcherOp, Pattern, Selection, ViewError, parse_matchers};
use wire::pyroscope::StackTraceSelector;

/// Milliseconds that a question without a time is about.
const RANGE_MS: i64 = 24 * 3_600_000;

/// The label that holds a profile type id.
pub(super) const TYPE: &str = "__profile_type__";

/// Labels that follow from the profile type, with their position in its id.
const TYPE_PARTS: [(&str, usize); 5] = [
    ("__name__", 0),
    ("__type__", 1),
    ("__unit__", 2),
    ("__period_type__", 3),
    ("__period_unit__", 4),
];

/// All of them.
pub(super) fn type_labels() -> impl Iterator<Item = &'static str> {
    std::iter::once(TYPE).chain(TYPE_PARTS.iter().map(|(name, _)| *name))
}

/// The value of such a label; `None` for other labels.
pub(super) fn type_label(id: &ProfileTypeId, name: &str) -> Option<String> {
    if name == TYPE {
        return Some(id.0.clone());
    }
    let (_, at) = TYPE_PARTS.iter().find(|(have, _)| *have == name)?;
    Some(id.0.splitn(5, ':').nth(*at).unwrap_or_default().to_owned())
}

/// A range in epoch milliseconds; without one, the last day.
pub(super) fn range(state: &ApiState, start: i64, end: i64) -> Result<TimeRange, Problem> {
    let end = if end == 0 { state.clock.now().millis() } else { end };
    let start = if start == 0 { end.saturating_sub(RANGE_MS) } else { start };
    let is_time = |millis: i64| (0..=i64::MAX / 1_000_000).contains(&millis);
    if start > end || !is_time(start) || !is_time(end) {
        let detail = format!("start={start} and end={end} make no range");
        return Err(Problem::bad_request(detail, "give epoch milliseconds, start before end"));
    }
    Ok(TimeRange::new(Timestamp::from_millis(start), Timestamp::from_millis(end)))
}

/// The selection of a label selector. A condition on the profile type becomes the selection's; those
/// on its parts decide whether a type fits.
pub(super) fn selection(
    principal: &Principal,
    range: TimeRange,
    selector: &str,
) -> Result<Chosen, Problem> {
    let mut selection = Selection::everything(principal.tenant.clone(), range);
    let mut on_type = Vec::new();
    for matcher in parse_matchers(selector).map_err(|error| problem_of(&error))? {
        match &matcher.op {
            MatcherOp::Equal(id) if matcher.name == TYPE => {
                selection.profile_type = Some(ProfileTypeId(id.clone()));
            }
            _ if type_labels().any(|name| name == matcher.name) => on_type.push(matcher),
            _ => selection.matchers.push(matcher),
        }
    }
    Ok(Chosen { selection, on_type })
}

/// A selection and the conditions on its types.
#[derive(Clone)]
pub(super) struct Chosen {
    pub(super) selection: Selection,
    on_type: Vec<views::Matcher>,
}

impl Chosen {
    /// Whether a condition names the type.
    pub(super) fn names_types(&self) -> bool {
        self.selection.profile_type.is_some() || !self.on_type.is_empty()
    }

    /// The types with data that fit.
    pub(super) async fn types(&self, state: &ApiState) -> Result<Vec<ProfileTypeId>, Problem> {
        let found = state.views.profile_types(&self.selection).await;
        let ids = found.map_err(|error| problem_of(&error))?.into_iter().map(|found| found.id);
        let wanted = self.selection.profile_type.as_ref();
        let fits = |id: &ProfileTypeId| {
            wanted.is_none_or(|wanted| wanted == id)
                && self.on_type.iter().all(|matcher| {
                    matcher.holds(&type_label(id, &matcher.name).unwrap_or_default())
                })
        };
        Ok(ids.filter(fits).collect())
    }

    /// The same for one type.
    pub(super) fn of_type(&self, id: ProfileTypeId) -> Selection {
        Selection { profile_type: Some(id), ..self.selection.clone() }
    }
}

/// A question about values: a profile type and a selector.
pub(super) fn values(
    principal: &Principal,
    range: TimeRange,
    profile_type: &str,
    selector: &str,
) -> Result<Selection, Problem> {
    if profile_type.is_empty() {
        let hint = "give profile_typeID, e.g. process_cpu:cpu:nanoseconds:cpu:nanoseconds";
        return Err(Problem::bad_request("the profile type is missing", hint));
    }
    let chosen = selection(principal, range, selector)?;
    Ok(chosen.of_type(ProfileTypeId(profile_type.to_owned())))
}

/// Keeps only stacks below a call site, the outermost frame first.
pub(super) fn call_site(
    selection: &mut Selection,
    selector: Option<&StackTraceSelector>,
) -> Result<(), Problem> {
    let sites = selector.map(|selector| selector.call_site.as_slice()).unwrap_or_default();
    if sites.is_empty() {
        return Ok(());
    }
    let frames = sites.iter().map(|site| Pattern::Literal(site.name.clone())).collect();
    selection.filter.path = Some(CallPath { frames, from_root: true });
    selection.filter.check().map_err(|error| problem_of(&error))
}

/// Ids of profiles, spans and traces that a question is about: one selection each.
pub(super) fn narrowed(
    selection: &Selection,
    profiles: &[String],
    spans: &[String],
    traces: &[String],
) -> Result<Vec<Selection>, Problem> {
    let count = profiles.len().max(1) * spans.len().max(1) * traces.len().max(1);
    if count > PYROSCOPE_IDS_MAX {
        let detail = format!("{count} combinations of profiles, spans and traces");
        return Err(Problem::bad_request(detail, format!("name at most {PYROSCOPE_IDS_MAX}")));
    }
    let mut all = vec![selection.clone()];
    all = spread(all, profiles, |selection, id| {
        selection.profile = Some(parse_id(id)?);
        Ok(())
    })?;
    all = spread(all, spans, |selection, id| {
        let span = (id.len() == 16).then(|| u64::from_str_radix(id, 16).ok()).flatten();
        selection.filter.span = Some(span.ok_or_else(|| no_id("span", id, 16))?);
        Ok(())
    })?;
    spread(all, traces, |selection, id| {
        let trace = (id.len() == 32).then(|| u128::from_str_radix(id, 16).ok()).flatten();
        selection.filter.trace = Some(trace.ok_or_else(|| no_id("trace", id, 32))?);
        Ok(())
    })
}

fn no_id(what: &str, id: &str, digits: usize) -> Problem {
    let id: String = id.chars().take(64).collect();
    Problem::bad_request(format!("{id:?} is no {what} id"), format!("write {digits} hex digits"))
}

fn spread(
    all: Vec<Selection>,
    ids: &[String],
    set: impl Fn(&mut Selection, &str) -> Result<(), Problem>,
) -> Result<Vec<Selection>, Problem> {
    if ids.is_empty() {
        return Ok(all);
    }
    let mut spread = Vec::with_capacity(all.len() * ids.len());
    for id in ids {
        for selection in &all {
            let mut one = selection.clone();
            set(&mut one, id)?;
            spread.push(one);
        }
    }
    Ok(spread)
}

/// The number of nodes of an answer; 0 and less mean as many as there may be.
pub(super) fn nodes(asked: Option<i64>) -> usize {
    match asked {
        None => PYROSCOPE_NODES_DEFAULT,
        Some(asked) if asked <= 0 => FLAME_NODES_MAX,
        Some(asked) => usize::try_from(asked).unwrap_or(usize::MAX).min(FLAME_NODES_MAX),
    }
}

/// Whether a type is not known: where Pyroscope would say that there is no data.
pub(super) fn is_unknown(error: &ViewError) -> bool {
    matches!(error, ViewError::UnknownType(_))
}
