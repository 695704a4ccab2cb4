//! What single profiles, or the spans that their samples name, hold of a selection: the dots of heat
//! maps, and the examples beside a chart.
//!
//! - A dot of **profiles** stands for a profile with at least one sample that the selection keeps.
//! - A dot of **spans** stands for a span that at least one such sample of a profile belongs to: its
//!   local root span, else the span that it names. So each sample is in one dot, and a
//!   [`crate::Filter`] with the span keeps what the dot is made of.
//!
//! Its value is the sum over these samples, of gauges, too: in one profile a level is no mean.

use crate::ProfileInfo;
use profile::{Labels, Link};
use std::sync::Arc;
use stdx::{TimeRange, Timestamp, Ulid, saturate};

/// What a dot stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DotsOf {
    /// A profile.
    Profiles,
    /// A span in a profile.
    Spans,
}

/// A profile, or a span in it, and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dot {
    /// The profile.
    pub profile: Ulid,
    /// Its labels.
    pub labels: Arc<Labels>,
    /// When it began in milliseconds; where that is outside of the range, the end of the range that
    /// is nearer.
    pub at_ms: i64,
    /// The span, where dots stand for spans.
    pub span: Option<DotSpan>,
    /// Sum over the samples, in the type's unit.
    pub value: i64,
}

/// The span that a sample belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DotSpan {
    /// Its id, not 0.
    pub id: u64,
    /// Its trace; of several that samples name, the largest id. 0 when none does.
    pub trace: u128,
}

impl DotSpan {
    /// The span of a sample with this link; none where it names none.
    pub fn of(link: &Link) -> Option<Self> {
        let id = if link.root_span_id == 0 { link.span_id } else { link.root_span_id };
        (id != 0).then_some(Self { id, trace: link.trace_id })
    }
}

impl Dot {
    /// The dot of a profile for a range in whole milliseconds.
    pub fn new(info: &ProfileInfo, range: &TimeRange, span: Option<DotSpan>, value: i128) -> Self {
        let last = Timestamp::from_millis(range.end.millis() - 1);
        Self {
            profile: info.id,
            labels: Arc::clone(&info.labels),
            at_ms: info.window.start.min(last).max(range.start).millis(),
            span,
            value: saturate(value),
        }
    }

    /// What dots are ordered by in an answer.
    pub fn key(&self) -> (Ulid, u64) {
        (self.profile, self.span.map_or(0, |span| span.id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infos::tests::info;

    #[test]
    fn a_sample_belongs_to_its_local_root_else_to_its_span() {
        let link = |span_id, root_span_id| Link { trace_id: 7, span_id, root_span_id };
        let of = |link: Link| DotSpan::of(&link).map(|span| (span.id, span.trace));
        assert_eq!(of(link(1, 2)), Some((2, 7)));
        assert_eq!(of(link(1, 0)), Some((1, 7)));
        assert_eq!(of(link(0, 2)), Some((2, 7)));
        assert_eq!(of(link(0, 0)), None);
    }

    #[test]
    fn a_dot_is_where_its_profile_began_or_at_the_edge_of_the_range() {
        let mut info = info(&[("service_name", "a")], "stack");
        let range = TimeRange::new(Timestamp::from_millis(100), Timestamp::from_millis(200));
        for (start, wanted) in [(150, 150), (50, 100), (200, 199), (900, 199)] {
            info.window.start = Timestamp::from_millis(start);
            assert_eq!(Dot::new(&info, &range, None, 1).at_ms, wanted, "{start}");
        }
    }
}
