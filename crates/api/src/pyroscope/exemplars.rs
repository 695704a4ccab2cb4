//! Exemplars: the profile, or the span in a profile, with the largest value beside a point of a chart
//! or in a cell of a heat map.

use super::names::pair;
use super::select::is_unknown;
use crate::limits::PYROSCOPE_EXEMPLARS_MAX;
use crate::question::problem_of;
use crate::state::ApiState;
use ingest::Problem;
use profile::Labels;
use std::collections::BTreeMap;
use std::sync::Arc;
use views::{Dot, DotsOf, Selection, Series, SeriesQuery, ViewError};
use wire::pyroscope::{self as message, ExemplarType};

/// What exemplars are asked for, if any.
pub(super) fn asked(exemplar_type: i32) -> Result<Option<DotsOf>, Problem> {
    match ExemplarType::try_from(exemplar_type) {
        Ok(ExemplarType::Unspecified | ExemplarType::None) => Ok(None),
        Ok(ExemplarType::Individual) => Ok(Some(DotsOf::Profiles)),
        Ok(ExemplarType::Span) => Ok(Some(DotsOf::Spans)),
        Err(_) => {
            let detail = format!("exemplar_type {exemplar_type} is not known");
            Err(Problem::bad_request(detail, "ask for 0 to 3"))
        }
    }
}

/// The dots of a selection; a type that nobody has has none.
pub(super) async fn dots(
    state: &ApiState,
    selection: &Selection,
    of: DotsOf,
) -> Result<Vec<Dot>, Problem> {
    match state.views.dots(selection, of).await {
        Err(error) if is_unknown(&error) => Ok(Vec::new()),
        found => found.map_err(|error| problem_of(&error)),
    }
}

/// Exemplars by their place; of equal values the first that is offered stays.
#[derive(Debug)]
pub(super) struct Largest<'a, K>(BTreeMap<K, &'a Dot>);

impl<K> Default for Largest<'_, K> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<'a, K: Ord> Largest<'a, K> {
    /// Keeps a dot if none at its place is as large.
    pub(super) fn offer(&mut self, place: K, dot: &'a Dot) {
        let kept = self.0.entry(place).or_insert(dot);
        if dot.value > kept.value {
            *kept = dot;
        }
    }

    /// Takes the one at a place.
    pub(super) fn take(&mut self, place: &K) -> Option<&'a Dot> {
        self.0.remove(place)
    }

    /// All of them, by place.
    pub(super) fn dots(&self) -> impl Iterator<Item = &'a Dot> {
        self.0.values().copied()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// Refuses more exemplars than an answer may have.
pub(super) fn check(count: usize) -> Result<(), Problem> {
    if count <= PYROSCOPE_EXEMPLARS_MAX {
        return Ok(());
    }
    Err(too_many("exemplars", PYROSCOPE_EXEMPLARS_MAX, "PYROSCOPE_EXEMPLARS_MAX"))
}

/// The refusal of an answer that is too large.
pub(super) fn too_many(what: &str, most: usize, limit: &str) -> Problem {
    let detail = format!("the answer has more than {most} {what} ({limit})");
    problem_of(&ViewError::TooLarge(detail))
}

/// The exemplars of points, by line and point: a profile belongs to the point of the step in which it
/// began, or where its line has none there to the next, or to the last.
pub(super) fn beside<'a>(
    lines: &[Series],
    query: &SeriesQuery,
    dots: &'a [Dot],
) -> Largest<'a, (usize, usize)> {
    let index: BTreeMap<&Labels, usize> =
        lines.iter().zip(0..).map(|(line, at)| (&line.labels, at)).collect();
    // By where the labels are in memory: most profiles of one series share them.
    let mut known: BTreeMap<*const Labels, Option<usize>> = BTreeMap::new();
    let mut largest = Largest::default();
    for dot in dots {
        let line = known.entry(Arc::as_ptr(&dot.labels));
        let line = *line.or_insert_with(|| index.get(&query.group(&dot.labels)).copied());
        let Some(line) = line else { continue };
        let points = &lines[line].points;
        let is_over = |point: &(i64, i64)| point.0.saturating_add(query.step_ms) <= dot.at_ms;
        let point = points.partition_point(is_over).min(points.len().saturating_sub(1));
        largest.offer((line, point), dot);
    }
    largest
}

/// A dot in Pyroscope's words, with the labels that it is not grouped by.
pub(super) fn exemplar(dot: &Dot, group_by: &[String]) -> message::Exemplar {
    let own = |(name, value): &(&str, &str)| {
        !value.is_empty() && group_by.iter().all(|grouped| grouped != name)
    };
    let labels = dot.labels.iter().filter(own);
    message::Exemplar {
        timestamp: dot.at_ms,
        profile_id: dot.profile.to_string(),
        span_id: dot.span.map(|span| format!("{:016x}", span.id)).unwrap_or_default(),
        value: dot.value,
        labels: labels.map(|(name, value)| pair((name.to_owned(), value.to_owned()))).collect(),
        trace_id: dot
            .span
            .filter(|span| span.trace != 0)
            .map(|span| format!("{:032x}", span.trace))
            .unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stdx::Ulid;
    use views::DotSpan;

    fn dot(service: &str, at_ms: i64, value: i64) -> Dot {
        let labels = [("service_name", service), ("env", "test"), ("zone", "")];
        let labels = Arc::new(labels.into_iter().collect());
        Dot { profile: Ulid::nil(), labels, at_ms, span: None, value }
    }

    #[test]
    fn the_largest_profile_that_began_in_a_step_stands_beside_its_point() {
        let query = SeriesQuery { step_ms: 10, group_by: vec!["service_name".to_owned()] };
        let line = |service: &str, points: &[i64]| Series {
            labels: [("service_name", service)].into_iter().collect(),
            points: points.iter().map(|at| (*at, 1)).collect(),
        };
        let lines = [line("a", &[0, 20, 30]), line("b", &[0])];
        let dots = [
            dot("a", 9, 1),
            dot("a", 0, 2),
            dot("a", 1, 2),
            // The step has no point, the next has.
            dot("a", 15, 7),
            dot("a", 29, 3),
            dot("a", 99, 4),
            dot("b", 50, 5),
            dot("c", 0, 6),
        ];
        let mut found = beside(&lines, &query, &dots);
        let mut at = |place| found.take(&place).map(|dot| (dot.at_ms, dot.value));
        assert_eq!([at((0, 0)), at((0, 1))], [Some((0, 2)), Some((15, 7))]);
        assert_eq!([at((0, 2)), at((1, 0))], [Some((99, 4)), Some((50, 5))]);
        assert!(found.0.is_empty());
    }

    #[test]
    fn ids_are_written_as_selectors_take_them() {
        let mut one = dot("a", 1_234, 5);
        let plain = exemplar(&one, &["service_name".to_owned()]);
        assert_eq!((plain.span_id.as_str(), plain.trace_id.as_str()), ("", ""));
        assert_eq!(plain.profile_id, Ulid::nil().to_string());
        let labels: Vec<_> = plain.labels.iter().map(|pair| pair.name.as_str()).collect();
        assert_eq!(labels, ["env"], "neither what it is grouped by nor what is empty");
        one.span = Some(DotSpan { id: 0xab, trace: 0 });
        let of_span = exemplar(&one, &[]);
        assert_eq!(of_span.span_id, "00000000000000ab");
        assert_eq!((of_span.trace_id.as_str(), of_span.labels.len()), ("", 2));
        one.span = Some(DotSpan { id: 0xab, trace: 0xcd });
        assert_eq!(exemplar(&one, &[]).trace_id, format!("{:032x}", 0xcd));
    }
}
