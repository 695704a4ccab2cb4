//! Reads export requests.

use super::dictionary::{Context, Dictionary, LINKS, Used, damage, numbers};
use super::value::{any_value, into_text};
use crate::compress::decompress;
use crate::decoded::{Decoded, DecodedProfile, IssueKind, Issues, Options};
use crate::intern::{Budget, text};
use crate::labels::{LabelValue, SampleLabels};
use crate::limits::INFO_ENTRIES_MAX;
use crate::rows::{Rows, unit_name};
use profile::{Labels, Profile, Sample};
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
    let mut dictionary = Dictionary::default();
    let mut all = fields(&body);
    for field in all.by_ref().filter(|field| field.number == 2) {
        dictionary.scan(field.value.bytes().unwrap_or_default(), options, &mut issues);
    }
    damage("the request", all.damage(), &mut issues);
    let budget = Budget::new(options.limits);
    let mut context = Context { dictionary, options, budget, issues };
    let mut profiles = Vec::new();
    for resource in fields(&body).filter(|field| field.number == 1) {
        context.resource(resource.value.bytes().unwrap_or_default(), &mut profiles);
    }
    Decoded::new(profiles, context.issues)
}

/// How often the names of a type are kept in one profile.
const TYPE_COPIES: usize = 4;

/// The fields of a `Profile` message but its samples.
#[derive(Default)]
struct Head {
    sample_type: (String, String),
    period_type: (String, String),
    start: u64,
    duration: u64,
    period: i64,
    attributes: Vec<u64>,
}

impl Head {
    /// Bytes of the names of types; a profile keeps them as types, kinds and metadata.
    fn text_bytes(&self) -> usize {
        let types = [&self.sample_type, &self.period_type];
        types.iter().map(|(name, unit)| (name.len() + unit.len()) * TYPE_COPIES).sum()
    }
}

impl Context<'_> {
    fn resource(&mut self, message: &[u8], profiles: &mut Vec<DecodedProfile>) {
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
        let [_, name, unit] = numbers::<3>(message);
        (self.string(name.unwrap_or(0)), self.string(unit.unwrap_or(0)))
    }

    fn head(&mut self, message: &[u8]) -> Head {
        let mut head = Head::default();
        let mut all = fields(message);
        for field in all.by_ref() {
            match (field.number, field.value.bytes(), field.value.number()) {
                (1, Some(bytes), _) => head.sample_type = self.value_type(bytes),
                (3, _, Some(number)) => head.start = number,
                (4, _, Some(number)) => head.duration = number,
                (5, Some(bytes), _) => head.period_type = self.value_type(bytes),
                (6, _, Some(number)) => head.period = number.cast_signed(),
                (11, _, _) if head.attributes.len() < INFO_ENTRIES_MAX => {
                    head.attributes.extend(field.value.varints().take(INFO_ENTRIES_MAX));
                }
                _ => {}
            }
        }
        damage("a profile", all.damage(), &mut self.issues);
        head
    }

    fn profile(&mut self, message: &[u8], labels: &Labels) -> Option<DecodedProfile> {
        let head = self.head(message);
        let labels_bytes: usize = labels.iter().map(|(name, value)| name.len() + value.len()).sum();
        if !self.budget.text(labels_bytes + head.text_bytes(), &mut self.issues) {
            return None;
        }
        let mut profile = Profile { labels: labels.clone(), ..Profile::default() };
        self.metadata(&head, &mut profile);
        let period = (head.period_type.0.as_str(), head.period_type.1.as_str());
        let is_cpu = head.sample_type.0 == "samples"
            && unit_name(&head.sample_type.1) == "count"
            && (period.0, unit_name(period.1)) == ("cpu", "nanoseconds");
        let mut types = vec![head.sample_type.clone()];
        if is_cpu {
            types.push(("cpu".to_owned(), "nanoseconds".to_owned()));
        }
        let rows = Rows::new(types, period, self.options, &mut profile);
        let cpu_period = is_cpu.then_some(head.period.max(0));
        let mut used = Used::default();
        for field in fields(message).filter(|field| field.number == 2) {
            let message = field.value.bytes().unwrap_or_default();
            self.sample(message, cpu_period, &rows, &mut used, &mut profile);
        }
        let is_blank = profile.samples.is_empty() && head.sample_type.0.is_empty();
        (!is_blank).then(|| rows.finish(profile))
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

    fn sample(
        &mut self,
        message: &[u8],
        cpu_period: Option<i64>,
        rows: &Rows,
        used: &mut Used,
        profile: &mut Profile,
    ) {
        let max = self.options.limits.samples_max;
        let (mut stack, mut link) = (0, 0);
        let (mut values, mut times): (Vec<i64>, Vec<u64>) = (Vec::new(), Vec::new());
        let mut labels = SampleLabels::default();
        let mut all = fields(message);
        for field in all.by_ref() {
            match (field.number, field.value.number()) {
                (1, Some(index)) => stack = index,
                (2, _) => {
                    let most = self.options.limits.labels_per_sample_max;
                    for index in field.value.varints().take(most) {
                        if let Some((key, value)) = self.attribute(index) {
                            let tables = &mut profile.tables;
                            labels.add(&key, value, tables, &mut self.budget, &mut self.issues);
                        }
                    }
                }
                (3, Some(index)) => link = index,
                (4, _) => values
                    .extend(field.value.varints().take(max - values.len()).map(u64::cast_signed)),
                (5, _) => times.extend(field.value.fixed64s().take(max - times.len())),
                _ => {}
            }
        }
        damage("a sample", all.damage(), &mut self.issues);
        self.link(link, &mut labels);
        let stack = self.stack(stack, used, &mut profile.tables);
        let mut sample = Sample { stack, ..Sample::default() };
        labels.apply(&mut sample, &mut profile.tables, &mut self.budget, &mut self.issues);
        for (time, value) in self.events(&values, &times) {
            let time = time.and_then(|time| i64::try_from(time).ok()).filter(|time| *time > 0);
            let row = Sample { time: time.map(Timestamp::from_nanos).or(sample.time), ..sample };
            let cpu = cpu_period.map_or(0, |period| value.saturating_mul(period));
            rows.push(profile, &row, &[value, cpu], &mut self.budget, &mut self.issues);
        }
    }

    /// The three shapes of a sample: times only, values only, or one value a time.
    fn events(&mut self, values: &[i64], times: &[u64]) -> Vec<(Option<u64>, i64)> {
        if values.is_empty() {
            return times.iter().map(|&time| (Some(time), 1)).collect();
        }
        if values.len() == times.len() {
            return times.iter().map(|&time| Some(time)).zip(values.iter().copied()).collect();
        }
        if !times.is_empty() {
            self.issues.add(IssueKind::ValueCount, || {
                format!("a sample has {} values for {} times", values.len(), times.len())
            });
        }
        let sum = values.iter().fold(0_i64, |sum, value| sum.saturating_add(*value));
        vec![(times.first().copied(), sum)]
    }

    fn link(&mut self, index: u64, labels: &mut SampleLabels) {
        if index == 0 {
            return;
        }
        let Some(message) = self.entry(LINKS, index) else { return };
        let (mut trace_id, mut span_id) = (0, 0);
        for field in fields(message) {
            let bytes = field.value.bytes().unwrap_or_default();
            match field.number {
                1 => trace_id = bytes.try_into().map_or(0, u128::from_be_bytes),
                2 => span_id = bytes.try_into().map_or(0, u64::from_be_bytes),
                _ => {}
            }
        }
        labels.set_link(trace_id, span_id);
    }
}
