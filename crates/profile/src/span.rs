//! Spans: what a service did for one request, from its beginning to its end, as tracers report it.
//!
//! A [`SpanBatch`] is what one upload says of one series: its labels, and [`Span`]s. Samples name
//! spans by their [`crate::Link`].

use crate::Labels;
use std::sync::Arc;
use stdx::Timestamp;

/// Spans of one series.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpanBatch {
    /// What names the series; the service is among them.
    pub labels: Labels,
    /// The spans.
    pub spans: Vec<Span>,
}

/// One span. Texts are shared, because most come again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The trace it belongs to, never 0. Ids of 64 bits stand in the lower half.
    pub trace_id: u128,
    /// Its own id, never 0.
    pub span_id: u64,
    /// Id of the span that caused it; 0 for none.
    pub parent_id: u64,
    /// Whether it is the first of its service in the trace, as far as the client says: a request.
    pub is_entry: bool,
    /// Its side of a call.
    pub kind: SpanKind,
    /// How it ended.
    pub status: SpanStatus,
    /// What was done, e.g. `http.request`.
    pub name: Arc<str>,
    /// To what it was done: the endpoint of a request, e.g. `GET /items/{id}`.
    pub resource: Arc<str>,
    /// What its status says in words; empty most often.
    pub message: Arc<str>,
    /// When it began.
    pub start: Timestamp,
    /// How long it took, in nanoseconds; never negative.
    pub duration_nanos: i64,
    /// What else is said of it, by name, each name once.
    pub attributes: Vec<(Arc<str>, Arc<str>)>,
}

/// The side of a call that a span stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SpanKind {
    /// Not said.
    #[default]
    Unspecified,
    /// Work within a service.
    Internal,
    /// A request that was answered.
    Server,
    /// A request that was made.
    Client,
    /// A message that was sent.
    Producer,
    /// A message that was taken.
    Consumer,
}

/// How a span ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SpanStatus {
    /// Not said.
    #[default]
    Unset,
    /// Somebody says it went well.
    Ok,
    /// With an error.
    Error,
}

impl SpanKind {
    /// All of them; the position is the number.
    pub const ALL: [Self; 6] = [
        Self::Unspecified,
        Self::Internal,
        Self::Server,
        Self::Client,
        Self::Producer,
        Self::Consumer,
    ];

    /// The kind of a number, which is OTLP's.
    pub fn from_number(number: u8) -> Self {
        Self::ALL.get(usize::from(number)).copied().unwrap_or_default()
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::Internal => "internal",
            Self::Server => "server",
            Self::Client => "client",
            Self::Producer => "producer",
            Self::Consumer => "consumer",
        }
    }

    /// The kind of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether it answers somebody outside of the service.
    pub fn is_inbound(self) -> bool {
        matches!(self, Self::Server | Self::Consumer)
    }
}

impl SpanStatus {
    /// The status of a number, which is OTLP's.
    pub fn from_number(number: u8) -> Self {
        match number {
            1 => Self::Ok,
            2 => Self::Error,
            _ => Self::Unset,
        }
    }

    /// The status of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Unset, Self::Ok, Self::Error].into_iter().find(|status| status.name() == name)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unset => "unset",
            Self::Ok => "ok",
            Self::Error => "error",
        }
    }
}

impl Span {
    /// When it ended.
    pub fn end(&self) -> Timestamp {
        self.start.plus_nanos(self.duration_nanos)
    }

    /// The value of an attribute.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(have, _)| **have == *name);
        found.map(|(_, value)| &**value)
    }

    /// Estimated bytes in memory, shared texts not counted.
    pub fn estimated_bytes(&self) -> usize {
        size_of::<Self>() + self.attributes.len() * size_of::<(Arc<str>, Arc<str>)>()
    }
}

impl SpanBatch {
    /// First start and last end, in nanoseconds since the epoch; `None` without spans.
    pub fn time_bounds(&self) -> Option<(i64, i64)> {
        let bounds = self.spans.iter().map(|span| (span.start.nanos(), span.end().nanos()));
        bounds.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
    }

    /// Estimated bytes in memory; a text counts as often as it is named.
    pub fn estimated_bytes(&self) -> usize {
        let labels = self.labels.iter().map(|(name, value)| name.len() + value.len() + 48);
        let texts = |span: &Span| {
            let values = span.attributes.iter().map(|(_, value)| value.len() + 16);
            span.message.len() + values.sum::<usize>()
        };
        let spans = self.spans.iter().map(|span| span.estimated_bytes() + texts(span));
        size_of::<Self>() + labels.sum::<usize>() + spans.sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_of_kinds_lead_back() {
        for (number, kind) in SpanKind::ALL.into_iter().enumerate() {
            assert_eq!(SpanKind::from_number(number as u8), kind);
            assert_eq!(SpanKind::from_name(kind.name()), Some(kind));
        }
        assert_eq!(SpanKind::from_number(200), SpanKind::Unspecified);
        assert_eq!(SpanStatus::from_number(SpanStatus::Error as u8), SpanStatus::Error);
    }
}
