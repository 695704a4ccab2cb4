//! Reads the samples of a profile.

use super::dictionary::{Context, LINKS, Used, damage};
use super::layout::SamplePart;
use crate::decoded::IssueKind;
use crate::labels::{LabelText, SampleLabels};
use crate::rows::Rows;
use profile::{Profile, Sample};
use stdx::Timestamp;
use wire::scan::fields;

/// What the samples of one profile have in common.
#[derive(Debug)]
pub(super) struct Samples {
    pub(super) rows: Rows,
    /// The type that counts samples and the CPU time between two of them, where that is known.
    pub(super) cpu: Option<(usize, i64)>,
    /// Values of a sample, one of each type; more than one up to v1.7 only.
    pub(super) measured: usize,
    /// Whether the one value is a number of events.
    pub(super) is_count: bool,
    pub(super) used: Used,
}

/// The fields of a `Sample`.
#[derive(Debug, Default)]
struct Fields {
    stack: u64,
    first: u64,
    depth: u64,
    link: Option<u64>,
    values: Vec<i64>,
    times: Vec<u64>,
}

impl Context<'_> {
    pub(super) fn sample(&mut self, message: &[u8], of: &mut Samples, profile: &mut Profile) {
        let mut labels = SampleLabels::default();
        let read = self.fields(message, &mut labels, profile);
        self.link(read.link, &mut labels);
        let stack = if self.layout.is_old() {
            self.stack_at((read.first, read.depth), &mut of.used, &mut profile.tables)
        } else {
            self.stack(read.stack, &mut of.used, &mut profile.tables)
        };
        let mut sample = Sample { stack, ..Sample::default() };
        labels.apply(&mut sample, &mut profile.tables, &mut self.budget, &mut self.issues);
        let Fields { mut values, times, .. } = read;
        if of.measured > 1 {
            self.check_count(values.len(), of.measured);
            values.resize(of.measured, 0);
            let row = at(times.first().copied(), &sample);
            return self.push(of, &row, &mut values, profile);
        }
        let mut row = Vec::with_capacity(2);
        for (time, value) in self.events(&values, &times, of.is_count) {
            row.clear();
            row.push(value);
            self.push(of, &at(time, &sample), &mut row, profile);
        }
    }

    fn push(&mut self, of: &Samples, row: &Sample, values: &mut Vec<i64>, to: &mut Profile) {
        let events = of.cpu.map(|(at, period)| (values.get(at).copied().unwrap_or(0), period));
        values.extend(events.map(|(events, period)| events.saturating_mul(period)));
        of.rows.push(to, row, values, &mut self.budget, &mut self.issues);
    }

    fn fields(&mut self, message: &[u8], labels: &mut SampleLabels, to: &mut Profile) -> Fields {
        let limits = self.options.limits;
        let max = limits.samples_max;
        let mut read = Fields::default();
        let mut all = fields(message);
        for field in all.by_ref() {
            let Some(part) = self.layout.sample_part(field.number) else { continue };
            match (part, field.value.number()) {
                (SamplePart::Stack, Some(index)) => read.stack = index,
                (SamplePart::First, Some(index)) => read.first = index,
                (SamplePart::Depth, Some(depth)) => read.depth = depth,
                (SamplePart::Link, index @ Some(_)) => read.link = index,
                (SamplePart::Attributes, _) => {
                    for index in field.value.varints().take(limits.labels_per_sample_max) {
                        if let Some((key, value)) = self.attribute(index) {
                            let key = LabelText::new(key.into());
                            let value = value.map(|text| LabelText::new(text.into()));
                            let (value, tables) = (value.as_ref(), &mut to.tables);
                            labels.add(&key, value, tables, &mut self.budget, &mut self.issues);
                        }
                    }
                }
                (SamplePart::Values, _) => {
                    let room = max - read.values.len();
                    read.values.extend(field.value.varints().take(room).map(u64::cast_signed));
                }
                (SamplePart::Times, _) => {
                    let room = max - read.times.len();
                    if self.layout.is_old() {
                        read.times.extend(field.value.varints().take(room));
                    } else {
                        read.times.extend(field.value.fixed64s().take(room));
                    }
                }
                _ => {}
            }
        }
        damage("a sample", all.damage(), &mut self.issues);
        read
    }

    /// The three shapes of a sample: times only, values only, or one value a time.
    fn events(&mut self, values: &[i64], times: &[u64], is_count: bool) -> Vec<(Option<u64>, i64)> {
        let each_once = || times.iter().map(|&time| (Some(time), 1)).collect();
        if values.is_empty() {
            return each_once();
        }
        if values.len() == times.len() {
            return times.iter().map(|&time| Some(time)).zip(values.iter().copied()).collect();
        }
        if self.layout.is_old() && values.len() == 1 {
            // One value is the sum over all times. OpenTelemetry's eBPF profiler wrote 1 for any
            // number of them.
            let is_each = is_count && (values[0] == 1 || values[0] == times.len() as i64);
            if is_each && !times.is_empty() {
                return each_once();
            }
        } else if !times.is_empty() {
            self.check_count(values.len(), times.len());
        }
        let sum = values.iter().fold(0_i64, |sum, value| sum.saturating_add(*value));
        vec![(times.first().copied(), sum)]
    }

    fn check_count(&mut self, values: usize, wanted: usize) {
        if values != wanted {
            let example = || format!("a sample has {values} values for {wanted} times or types");
            self.issues.add(IssueKind::ValueCount, example);
        }
    }

    /// Since v1.8 the first link means none.
    fn link(&mut self, index: Option<u64>, labels: &mut SampleLabels) {
        let index = index.filter(|index| *index != 0 || self.layout.is_old());
        let Some(message) = index.and_then(|index| self.entry(LINKS, index)) else { return };
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

/// A sample at a time, if that is one.
fn at(time: Option<u64>, sample: &Sample) -> Sample {
    let time = time.and_then(|time| i64::try_from(time).ok()).filter(|time| *time > 0);
    Sample { time: time.map(Timestamp::from_nanos).or(sample.time), ..*sample }
}
