//! From the links of samples to requests. Of all spans only those are kept that links may lead to:
//! their number is that of the samples, not that of the traffic.

use crate::limits::Settings;
use profile::hasher::BuildKeyed;
use profile::{KeyedMap, Link, Span};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use views::spans::cpu::same_id_tie;
use views::{SpanInfo, ViewError};

/// A span by its service's number, its id and its trace.
type Key = (u32, u64, u128);

/// What leads from a span to a request.
#[derive(Debug)]
struct Node {
    /// The span without texts but its resource.
    span: Span,
    is_profiled: bool,
}

/// Where a span leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lead {
    Unknown,
    /// It is being looked for.
    Asked,
    /// To a span, or nowhere.
    Known(Option<usize>),
}

/// CPU nanoseconds of links, and the spans that they may lead to.
#[derive(Debug)]
pub(super) struct Requests {
    links_max: usize,
    spans_max: usize,
    services: BTreeMap<Arc<str>, u32>,
    sums: KeyedMap<(u32, Link), i128>,
    /// Traces of which all spans are kept.
    traces: HashSet<u128, BuildKeyed>,
    /// Spans that are kept whatever their trace is.
    ids: HashSet<u64, BuildKeyed>,
    nodes: BTreeMap<Key, Node>,
}

fn ids_of(link: &Link) -> impl Iterator<Item = u64> {
    [link.root_span_id, link.span_id].into_iter().filter(|id| *id != 0)
}

impl Requests {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            links_max: settings.cpu_links_max,
            spans_max: settings.cpu_spans_max,
            services: BTreeMap::new(),
            sums: KeyedMap::default(),
            traces: HashSet::default(),
            ids: HashSet::default(),
            nodes: BTreeMap::new(),
        }
    }

    /// Adds what samples of a link took.
    pub(super) fn add(&mut self, service: &str, link: Link, nanos: i128) -> Result<(), ViewError> {
        let next = u32::try_from(self.services.len()).unwrap_or(u32::MAX);
        let service = match self.services.get(service) {
            Some(number) => *number,
            None => *self.services.entry(service.into()).or_insert(next),
        };
        *self.sums.entry((service, link)).or_default() += nanos;
        if self.sums.len() > self.links_max {
            return Err(too_many("spans that samples name", self.links_max, "cpu_links_max"));
        }
        if link.trace_id == 0 {
            self.ids.extend(ids_of(&link));
        } else {
            self.traces.insert(link.trace_id);
        }
        Ok(())
    }

    /// Keeps a span if a link may lead to it.
    pub(super) fn offer(&mut self, info: &SpanInfo, is_profiled: bool) -> Result<(), ViewError> {
        let span = &info.span;
        if !self.traces.contains(&span.trace_id) && !self.ids.contains(&span.span_id) {
            return Ok(());
        }
        let Some(service) = self.services.get(info.service()) else { return Ok(()) };
        let key = (*service, span.span_id, span.trace_id);
        let known = self.nodes.get(&key);
        let is_first = known.is_none_or(|known| {
            same_id_tie(span, is_profiled) < same_id_tie(&known.span, known.is_profiled)
        });
        if is_first {
            let empty: Arc<str> = Arc::default();
            let (name, message) = (Arc::clone(&empty), empty);
            let resource = Arc::clone(&span.resource);
            let span = Span { name, message, resource, attributes: Vec::new(), ..*span };
            self.nodes.insert(key, Node { span, is_profiled });
        }
        if self.nodes.len() > self.spans_max {
            return Err(too_many("spans of traces with samples", self.spans_max, "cpu_spans_max"));
        }
        Ok(())
    }

    /// Whether spans are to be looked through once more: for the parents of spans that links name
    /// without a trace, and that are no requests.
    pub(super) fn look_for_parents(&mut self) -> bool {
        let mut traces = HashSet::default();
        for (service, link) in self.sums.keys().filter(|(_, link)| link.trace_id == 0) {
            for id in ids_of(link) {
                match self.find(*service, 0, id) {
                    Some((_, node)) if node.span.is_entry => break,
                    Some((key, _)) if !self.traces.contains(&key.2) => {
                        traces.insert(key.2);
                    }
                    _ => {}
                }
            }
        }
        self.ids.clear();
        self.traces = traces;
        !self.traces.is_empty()
    }

    /// A span of a service; without a trace, the only one of its id.
    fn find(&self, service: u32, trace_id: u128, id: u64) -> Option<(&Key, &Node)> {
        let traces = if trace_id == 0 { 0..=u128::MAX } else { trace_id..=trace_id };
        let range = (service, id, *traces.start())..=(service, id, *traces.end());
        let mut found = self.nodes.range(range);
        found.next().filter(|_| found.next().is_none())
    }

    /// CPU nanoseconds of profiled requests, by service and resource; each may come more than once.
    pub(super) fn finish(self) -> Vec<(Arc<str>, Arc<str>, i128)> {
        let names: BTreeMap<u32, &Arc<str>> =
            self.services.iter().map(|(name, number)| (*number, name)).collect();
        let leads = Leads::of(&self);
        let mut known = vec![Lead::Unknown; leads.nodes.len()];
        let mut sums = Vec::new();
        for ((service, link), nanos) in &self.sums {
            let spans = ids_of(link).filter_map(|id| self.find(*service, link.trace_id, id));
            let mut places = spans.filter_map(|(key, _)| leads.places.get(key).copied());
            let request = places.find_map(|at| leads.lead(at, &mut known));
            let Some((_, node)) = request.and_then(|at| leads.nodes.get(at)) else { continue };
            if let (true, Some(name)) = (node.is_profiled, names.get(service)) {
                sums.push((Arc::clone(name), Arc::clone(&node.span.resource), *nanos));
            }
        }
        sums
    }
}

/// Spans by their place.
struct Leads<'a> {
    nodes: Vec<(&'a Key, &'a Node)>,
    places: KeyedMap<&'a Key, usize>,
}

impl<'a> Leads<'a> {
    fn of(requests: &'a Requests) -> Self {
        let nodes: Vec<_> = requests.nodes.iter().collect();
        let places = nodes.iter().enumerate().map(|(at, (key, _))| (*key, at)).collect();
        Self { nodes, places }
    }

    /// The request that a span leads to. Each span is asked once, however long the ways are.
    fn lead(&self, at: usize, known: &mut [Lead]) -> Option<usize> {
        let (mut way, mut here) = (Vec::new(), Some(at));
        let request = loop {
            let Some(at) = here else { break None };
            let (key, node) = self.nodes[at];
            match known[at] {
                Lead::Known(request) => break request,
                // Spans that are each other's parents.
                Lead::Asked => break None,
                Lead::Unknown if node.span.is_entry => break Some(at),
                Lead::Unknown => {}
            }
            known[at] = Lead::Asked;
            way.push(at);
            here = self.places.get(&(key.0, node.span.parent_id, key.2)).copied();
        };
        for at in way {
            known[at] = Lead::Known(request);
        }
        request
    }
}

fn too_many(what: &str, most: usize, name: &str) -> ViewError {
    ViewError::TooLarge(format!(
        "there are more than {most} {what} ({name}): name a service, or a shorter time"
    ))
}
