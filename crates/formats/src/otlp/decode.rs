//! Reads export requests.

use super::dictionary::{Context, Dictionary, Used, damage, numbers};
use super::json::to_protobuf;
use super::layout::{Layout, ProfilePart};
use super::sample::Samples;
use super::tell::{Told, tell};
use super::value::{any_value, into_text};
use crate::compress::decompress;
use crate::decoded::{Decoded, DecodedProfile, IssueKind, Issues, Options};
use crate::intern::{Budget, text};
use crate::labels::LabelValue;
use crate::limits::INFO_ENTRIES_MAX;
use crate::rows::{Rows, unit_name};
use profile::{Labels, Profile};
use stdx::{TimeRange, Timestamp};
use wire::scan::fields;

/// Reads an `ExportProfilesServiceRequest` or `ProfilesData`, compressed or not.
///
/// A timestamp is an event; without values it counts 1. `samples/count` with a period of
/// `cpu/nanoseconds` becomes CPU samples and, times the period, CPU time. Attributes of the
/// resource stand in the labels of each profile.
pub fn decode(bytes: &[u8], options: &Options) -> Decoded {
    let mut issues = Issues::default();
    let body = decompress(bytes, &options.limits, &mut issues);
    read(&body, layout, options, issues)
}

/// The same as protobuf's JSON, in the names of the layouts since v1.9.
pub fn decode_json(bytes: &[u8], options: &Options) -> Decoded {
    let mut issues = Issues::default();
    let body = decompress(bytes, &options.limits, &mut issues);
    let body = to_protobuf(&body, &mut issues);
    read(&body, |_, _, _| Some(Layout::V1_10), options, issues)
}

fn read(
    body: &[u8],
    layout: impl FnOnce(&[u8], &Dictionary<'_>, &mut Issues) -> Option<Layout>,
    options: &Options,
    mut issues: Issues,
) -> Decoded {
    let mut dictionary = Dictionary::default();
    let mut all = fields(body);
    for field in all.by_ref().filter(|field| field.number == 2) {
        dictionary.scan(field.value.bytes().unwrap_or_default(), options, &mut issues);
    }
    damage("the request", all.damage(), &mut issues);
    let Some(layout) = layout(body, &dictionary, &mut issues) else {
        return Decoded::new(Vec::new(), issues);
    };
    let budget = Budget::new(options.limits);
    let mut context = Context { layout, dictionary, options, budget, issues };
    let mut profiles = Vec::new();
    for resource in fields(body).filter(|field| field.number == 1) {
        context.resource(resource.value.bytes().unwrap_or_default(), &mut profiles);
    }
    Decoded::new(profiles, context.issues)
}

/// The layout of a request; says where it is not certain. `None` for one that cannot be read.
fn layout(body: &[u8], dictionary: &Dictionary<'_>, issues: &mut Issues) -> Option<Layout> {
    match tell(body, dictionary) {
        Told::Surely(layout) => Some(layout),
        Told::Likely(layout) => {
            let (read_as, other) = match layout {
                Layout::V1_10 => ("v1.10", "v1.9"),
                _ => ("v1.9", "v1.10"),
            };
            issues.add(IssueKind::Uncertain, || {
                format!(
                    "these profiles may be in the layout of OTLP {read_as} or {other} and are read \
                     as {read_as}: update the sender to v1.10 or newer"
                )
            });
            Some(layout)
        }
        Told::Unreadable => {
            issues.add(IssueKind::UnknownFormat, || {
                "these are OTLP profiles without their tables, as v1.6 sends them: names and \
                 stacks are missing; update the sender to v1.7 or newer"
                    .to_owned()
            });
            None
        }
    }
}

/// How often the names of a type are kept in one profile.
const TYPE_COPIES: usize = 4;
/// A type's temporality (up to v1.8) where values count from some start on.
const CUMULATIVE: u64 = 2;

/// The fields of a `Profile` message but its samples.
#[derive(Default)]
struct Head {
    /// One; up to v1.7 there may be several.
    sample_types: Vec<(String, String)>,
    period_type: (String, String),
    start: u64,
    duration: u64,
    period: i64,
    attributes: Vec<u64>,
    /// Up to v1.7.
    location_indices: Vec<u32>,
}

impl Head {
    /// Bytes of the names of types; a profile keeps them as types, kinds and metadata.
    fn text_bytes(&self) -> usize {
        let types = self.sample_types.iter().chain([&self.period_type]);
        types.map(|(name, unit)| (name.len() + unit.len()) * TYPE_COPIES).sum()
    }
}

impl<'a> Context<'a> {
    fn resource(&mut self, message: &'a [u8], profiles: &mut Vec<DecodedProfile>) {
        let mut labels = Labels::new();
        let mut all = fields(message);
        for field in all.by_ref().filter(|field| field.number == 1) {
            let attributes = fields(field.value.bytes().unwrap_or_default())
                .filter(|field| field.number == 1)
                .filter_map(|field| field.value.bytes());
            for attribute in attributes {
                if labels.len() >= INFO_ENTRIES_MAX {
                    self.issues.add(IssueKind::Limit, || {
                        format!("only {INFO_ENTRIES_MAX} attributes of a resource are read")
                    });
                    break;
                }
                let (key, value) = self.key_value(attribute);
                labels.set(key, value);
            }
        }
        damage("a resource", all.damage(), &mut self.issues);
        for scope in fields(message).filter(|field| field.number == 2) {
            let mut all = fields(scope.value.bytes().unwrap_or_default());
            for field in all.by_ref().filter(|field| field.number == 2) {
                let max = self.options.limits.profiles_max;
                if profiles.len() >= max {
                    self.issues.add(IssueKind::Limit, || format!("only {max} profiles are read"));
                    return;
                }
                let message = field.value.bytes().unwrap_or_default();
                profiles.extend(self.profile(message, &labels));
            }
            damage("a scope", all.damage(), &mut self.issues);
        }
    }

    /// A `KeyValue` as text; keys and texts may point into the dictionary (v1.10).
    fn key_value(&mut self, message: &[u8]) -> (String, String) {
        let (mut key, mut index, mut value) = (None, None, &[][..]);
        for field in fields(message) {
            match (field.number, field.value.bytes(), field.value.number()) {
                (1, bytes @ Some(_), _) => key = bytes,
                (2, Some(bytes), _) => value = bytes,
                (3, _, number @ Some(_)) => index = number,
                _ => {}
            }
        }
        let (budget, issues) = (&mut self.budget, &mut self.issues);
        let value = any_value(value, &self.dictionary, budget, issues);
        let key = match (key, index) {
            (Some(bytes), _) => text(bytes, &budget.limits, issues).into_owned(),
            (None, index) => self.dictionary.string(index.unwrap_or(0), budget, issues),
        };
        (key, into_text(value))
    }

    fn value_type(&mut self, message: &[u8]) -> (String, String) {
        let [_, name, unit, temporality] = numbers::<4>(message);
        if temporality == Some(CUMULATIVE) {
            self.issues.add(IssueKind::Uncertain, || {
                "values count from some start on (cumulative temporality) and are taken as they \
                 are: send differences"
                    .to_owned()
            });
        }
        (self.string(name.unwrap_or(0)), self.string(unit.unwrap_or(0)))
    }

    fn head(&mut self, message: &[u8]) -> Head {
        let mut head = Head::default();
        let limits = self.options.limits;
        let mut all = fields(message);
        for field in all.by_ref() {
            let Some(part) = self.layout.profile_part(field.number) else { continue };
            match (part, field.value.bytes(), field.value.number()) {
                (ProfilePart::SampleType, Some(bytes), _)
                    if head.sample_types.len() < limits.sample_types_max =>
                {
                    let kind = self.value_type(bytes);
                    head.sample_types.push(kind);
                }
                (ProfilePart::Start, _, Some(number)) => head.start = number,
                (ProfilePart::Duration, _, Some(number)) => head.duration = number,
                (ProfilePart::PeriodType, Some(bytes), _) => {
                    head.period_type = self.value_type(bytes);
                }
                (ProfilePart::Period, _, Some(number)) => head.period = number.cast_signed(),
                (ProfilePart::Attributes, _, _) if head.attributes.len() < INFO_ENTRIES_MAX => {
                    head.attributes.extend(field.value.varints().take(INFO_ENTRIES_MAX));
                }
                (ProfilePart::Locations, _, _) => {
                    let room = limits.stack_nodes_max - head.location_indices.len();
                    let indices = field.value.varints().take(room);
                    let index = |index| u32::try_from(index).unwrap_or(u32::MAX);
                    head.location_indices.extend(indices.map(index));
                }
                _ => {}
            }
        }
        if !self.layout.is_old() {
            // There is one, and the last counts.
            head.sample_types.drain(..head.sample_types.len().saturating_sub(1));
        }
        damage("a profile", all.damage(), &mut self.issues);
        head
    }

    fn profile(&mut self, message: &'a [u8], labels: &Labels) -> Option<DecodedProfile> {
        if self.layout == Layout::V1_5 {
            self.dictionary = Dictionary::of_profile(message, self.options, &mut self.issues);
        }
        let head = self.head(message);
        let labels_bytes: usize = labels.iter().map(|(name, value)| name.len() + value.len()).sum();
        if !self.budget.text(labels_bytes + head.text_bytes(), &mut self.issues) {
            return None;
        }
        let mut profile = Profile { labels: labels.clone(), ..Profile::default() };
        self.metadata(&head, &mut profile);
        let Head { sample_types: mut types, period_type: (name, unit), .. } = head;
        let is_blank = types.iter().all(|(name, _)| name.is_empty());
        if types.is_empty() {
            types.push(Default::default());
        }
        let is_events =
            |(name, unit): &(String, String)| name == "samples" && unit_name(unit) == "count";
        let is_cpu = (name.as_str(), unit_name(&unit)) == ("cpu", "nanoseconds")
            && types.iter().all(|(name, _)| name != "cpu");
        let events = types.iter().position(is_events).filter(|_| is_cpu);
        let measured = types.len();
        let is_count = measured == 1 && unit_name(&types[0].1) == "count";
        if events.is_some() {
            types.push(("cpu".to_owned(), "nanoseconds".to_owned()));
        }
        let rows = Rows::new(types, (&name, &unit), self.options, &mut profile);
        let cpu = events.map(|events| (events, head.period.max(0)));
        let mut reader = Samples { rows, cpu, measured, is_count, used: Used::default() };
        reader.used.location_indices = head.location_indices;
        for field in fields(message).filter(|field| field.number == 2) {
            let message = field.value.bytes().unwrap_or_default();
            self.sample(message, &mut reader, &mut profile);
        }
        let is_blank = profile.samples.is_empty() && is_blank;
        (!is_blank).then(|| reader.rows.finish(profile))
    }

    fn metadata(&mut self, head: &Head, profile: &mut Profile) {
        let start = Timestamp::from_nanos(i64::try_from(head.start).unwrap_or(0));
        let end = start.plus_nanos(i64::try_from(head.duration).unwrap_or(0));
        profile.window = TimeRange::new(start, end);
        let metadata = &mut profile.metadata;
        metadata.period = head.period;
        metadata.period_type.clone_from(&head.period_type.0);
        unit_name(&head.period_type.1).clone_into(&mut metadata.period_unit);
        let label = |name: &str| profile.labels.get(name);
        metadata.cpu_count = label("vesta.cpu.count").and_then(|text| text.parse().ok());
        metadata.cpu_quota = label("vesta.cpu.quota")
            .and_then(|text| text.parse().ok())
            .filter(|quota: &f64| quota.is_finite() && *quota > 0.0);
        for &index in &head.attributes {
            let Some((key, value)) = self.attribute(index) else { continue };
            let count = match &value {
                LabelValue::Number(number, _) => u64::try_from(*number).ok(),
                LabelValue::Text(text) => text.parse().ok(),
            };
            match (key.as_str(), count) {
                ("vesta.samples.lost", Some(count)) => metadata.lost = count,
                ("vesta.stacks.broken", Some(count)) => metadata.broken = count,
                ("vesta.frames.unsymbolized", Some(count)) => metadata.unsymbolized = count,
                _ => {
                    let value = into_text(value);
                    if self.budget.text(key.len() + value.len(), &mut self.issues) {
                        metadata.info.push((key, value));
                    }
                }
            }
        }
    }
}
