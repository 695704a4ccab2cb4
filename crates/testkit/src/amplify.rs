//! Real captures repeated under many services, instances and times, so that nothing of the copies
//! compresses better than life.
//!
//! Each copy has its own window, each sample its own jitter below the millisecond too, every span
//! and trace id is drawn anew, threads are those of the copy's instance, measured values vary where
//! the capture's do, and new stacks appear as they do in life: the number of distinct stacks grows
//! with a power of the number of copies.

use profile::handle::Handle;
use profile::labels::names;
use profile::{
    KindIndex, Link, Location, LocationId, Profile, Sample, StackId, StackTable, Thread, VALUES_MAX,
};
use std::collections::{BTreeMap, BTreeSet};
use stdx::{Rng, TimeRange, Timestamp};

/// A capture without a duration is taken again this much later.
const UNTIMED_NANOS: i64 = 60_000_000_000;
/// A timed sample moves by up to half of this either way.
const JITTER_NANOS: u64 = 10_000_000;
/// Samples of a stack that may become another one: rarer stacks are the newer ones in life.
const RARE_SAMPLES_MAX: u64 = 2;

/// What the copies are spread over.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    /// Services; with one, services keep their names.
    pub services: u64,
    /// Instances of each service, on a host each; with one, instances keep their names.
    pub instances: u64,
    /// The power of the number of copies that the number of distinct stacks grows with: 0.67 to
    /// 0.75 on hosts, 0 repeats the same stacks.
    pub growth: f64,
    /// When the first copies begin.
    pub start: Timestamp,
    /// Seed of everything drawn.
    pub seed: u64,
}

/// Makes copies without end.
#[derive(Debug)]
pub struct Amplifier {
    templates: Vec<Template>,
    spread: Spread,
    rng: Rng,
    /// From the start of the first template to the end of the last, and when they begin.
    length: i64,
    origin: i64,
    round: u64,
    at: usize,
}

#[derive(Debug)]
struct Template {
    profile: Profile,
    /// Distinct stacks of its samples, and those among them that few samples have.
    stacks: usize,
    rare: Vec<StackId>,
    /// By kind and measure: whether nearly every event measured another value.
    varies: Vec<[bool; VALUES_MAX]>,
}

impl Amplifier {
    /// Copies of the given profiles, all of one time in each round; nothing when there are none.
    pub fn new(profiles: Vec<Profile>, spread: Spread) -> Self {
        let starts = profiles.iter().map(|profile| profile.window.start.nanos());
        let ends = profiles.iter().map(|profile| profile.window.end.nanos());
        let origin = starts.min().unwrap_or(0);
        let length = ends.max().unwrap_or(0).saturating_sub(origin);
        Self {
            templates: profiles.into_iter().map(Template::new).collect(),
            rng: Rng::seeded(spread.seed),
            spread,
            length: if length <= 0 { UNTIMED_NANOS } else { length },
            origin,
            round: 0,
            at: 0,
        }
    }

    fn labelled(&self, profile: &mut Profile, service: u64, instance: u64) {
        let name = profile.labels.get(names::SERVICE).unwrap_or("measured").to_owned();
        let is_one = self.spread.services <= 1;
        let name = if is_one { name } else { format!("{name}-{service}") };
        profile.labels.set(names::SERVICE, name);
        if self.spread.instances > 1 {
            profile.labels.set(names::HOST, format!("host-{instance}"));
            profile.labels.set(names::INSTANCE, format!("host-{instance}:{}", 100 + service));
        }
    }
}

impl Iterator for Amplifier {
    type Item = Profile;

    fn next(&mut self) -> Option<Profile> {
        let Spread { services, instances, growth, start, .. } = self.spread;
        let template = self.templates.get(self.at)?;
        let mut profile = template.profile.clone();
        let (services, instances) = (services.max(1), instances.max(1));
        let (service, instance) = (self.round % services, self.round / services % instances);
        let lap = (self.round / services / instances).cast_signed();
        // Instances do not start in step.
        let offset = self.rng.below(1_000_000_000).cast_signed();
        let shift = start.nanos() - self.origin + lap * self.length + offset;
        self.labelled(&mut profile, service, instance);
        move_in_time(&mut profile, shift, &mut self.rng);
        draw_links(&mut profile, &mut self.rng);
        draw_threads(&mut profile, service * instances + instance);
        vary_values(&mut profile, &template.varies, &mut self.rng);
        let (before, after) = (self.round as f64, (self.round + 1) as f64);
        let fresh = (after.powf(growth) - before.powf(growth)) * template.stacks as f64;
        if self.round > 0 && growth > 0.0 {
            vary_stacks(&mut profile, template, fresh as usize, &mut self.rng);
        }
        self.at += 1;
        if self.at == self.templates.len() {
            (self.at, self.round) = (0, self.round + 1);
        }
        Some(profile)
    }
}

impl Template {
    fn new(profile: Profile) -> Self {
        let mut stacks: BTreeMap<StackId, u64> = BTreeMap::new();
        for sample in &profile.samples {
            *stacks.entry(sample.stack).or_default() += 1;
        }
        let rare = stacks
            .iter()
            .filter(|(stack, count)| **stack != StackTable::ROOT && **count <= RARE_SAMPLES_MAX);
        let rare = rare.map(|(stack, _)| *stack).collect();
        let kinds = 0..profile.kinds.len();
        let varies = kinds.map(|kind| varying(&profile, KindIndex::from_index(kind))).collect();
        Self { stacks: stacks.len(), rare, varies, profile }
    }
}

/// Which measures of a kind nearly always have another value.
fn varying(profile: &Profile, kind: KindIndex) -> [bool; VALUES_MAX] {
    std::array::from_fn(|at| {
        let samples = profile.samples.iter().filter(|sample| sample.kind == kind);
        let values: Vec<i64> =
            samples.map(|sample| sample.values[at]).filter(|value| *value != 0).collect();
        let distinct: BTreeSet<i64> = values.iter().copied().collect();
        distinct.len() * 5 > values.len() && distinct.len() > 1
    })
}

fn move_in_time(profile: &mut Profile, shift: i64, rng: &mut Rng) {
    let window = profile.window;
    let (start, end) = (window.start.plus_nanos(shift), window.end.plus_nanos(shift));
    profile.window = TimeRange::new(start, end);
    for time in profile.samples.iter_mut().filter_map(|sample| sample.time.as_mut()) {
        let jitter = rng.below(JITTER_NANOS).cast_signed() - (JITTER_NANOS / 2).cast_signed();
        let (moved, jittered) = (time.plus_nanos(shift), time.plus_nanos(shift + jitter));
        *time = if profile.window.contains(jittered) { jittered } else { moved };
    }
}

/// Fresh ids that are equal where the capture's are; 0 stays "unknown".
fn draw_links(profile: &mut Profile, rng: &mut Rng) {
    let mut traces: BTreeMap<u128, u128> = BTreeMap::from([(0, 0)]);
    let mut spans: BTreeMap<u64, u64> = BTreeMap::from([(0, 0)]);
    let mut links = profile::Table::default();
    for link in profile.tables.links.rows() {
        let wide = |rng: &mut Rng| (u128::from(rng.next_u64()) << 64) | u128::from(rng.next_u64());
        let trace_id = *traces.entry(link.trace_id).or_insert_with(|| wide(rng));
        let mut span = |id| *spans.entry(id).or_insert_with(|| rng.next_u64() | 1);
        let (span_id, root_span_id) = (span(link.span_id), span(link.root_span_id));
        links.intern(Link { trace_id, span_id, root_span_id });
    }
    profile.tables.links = links;
}

fn draw_threads(profile: &mut Profile, instance: u64) {
    let mut threads = profile::Table::default();
    let base = (instance * 4_099).cast_signed();
    for thread in profile.tables.threads.rows() {
        let id = if thread.id == 0 { 0 } else { thread.id.wrapping_add(base) };
        threads.intern(Thread { id, ..*thread });
    }
    profile.tables.threads = threads;
}

fn vary_values(profile: &mut Profile, varies: &[[bool; VALUES_MAX]], rng: &mut Rng) {
    for sample in &mut profile.samples {
        let Some(varies) = varies.get(sample.kind.index()) else { continue };
        for (value, _) in sample.values.iter_mut().zip(varies).filter(|(_, varies)| **varies) {
            let by = rng.below(4_001).cast_signed() - 2_000;
            let varied = i128::from(*value) * i128::from(100_000 + by) / 100_000;
            if varied != 0 {
                *value = stdx::saturate(varied);
            }
        }
    }
}

/// Gives samples of `fresh` rare stacks stacks that no copy before had: each leaves its old way up
/// to three calls above its leaf.
fn vary_stacks(profile: &mut Profile, template: &Template, fresh: usize, rng: &mut Rng) {
    let mut changed: BTreeMap<StackId, StackId> = BTreeMap::new();
    for _ in 0..fresh.min(template.rare.len()) {
        let stack = template.rare[rng.below(template.rare.len() as u64) as usize];
        changed.entry(stack).or_insert_with(|| varied_stack(profile, stack, rng));
    }
    let moved = |sample: &mut Sample| {
        if let Some(other) = changed.get(&sample.stack) {
            sample.stack = *other;
        }
    };
    profile.samples.iter_mut().for_each(moved);
}

fn varied_stack(profile: &mut Profile, stack: StackId, rng: &mut Rng) -> StackId {
    let mut below = Vec::new();
    let mut at = stack;
    for _ in 0..=rng.below(3) {
        let Some((parent, location)) = profile.tables.stacks.node(at) else { break };
        below.push(location);
        at = parent;
    }
    let Some(turn) = below.pop() else { return stack };
    // Most new stacks are known code reached another way; some are lines not seen before.
    let turn = if rng.chance(1, 4) {
        another_line(profile, turn, rng)
    } else {
        LocationId(rng.below(profile.tables.locations.len() as u64) as u32)
    };
    at = profile.tables.stacks.intern(at, turn);
    for location in below.into_iter().rev() {
        at = profile.tables.stacks.intern(at, location);
    }
    at
}

fn another_line(profile: &mut Profile, location: LocationId, rng: &mut Rng) -> LocationId {
    let mut row: Location = profile.tables.locations.get(location).cloned().unwrap_or_default();
    match row.lines.first_mut() {
        Some(line) => line.line = line.line.saturating_add(1 + rng.below(400) as u32),
        None => row.address = row.address.wrapping_add(1 + rng.below(4_096)),
    }
    profile.tables.locations.intern(row)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(growth: f64) -> Spread {
        let start = Timestamp::from_millis(crate::profiles::BASE_MS);
        Spread { services: 3, instances: 2, growth, start, seed: 5 }
    }

    fn capture() -> Profile {
        let line = |at: i64| format!("main;f{};g{at} {}\n", at % 7, at * 1_003 + 1);
        let text: String = (0..200).map(line).collect();
        let mut profile = profile::folded::from_folded(&text);
        let start = Timestamp::from_millis(1_000);
        profile.window = TimeRange::new(start, start.plus_nanos(5_000_000_000));
        let link = Link { trace_id: 5, span_id: 6, root_span_id: 6 };
        let link = profile.tables.links.intern(link);
        for sample in &mut profile.samples {
            sample.time = Some(start.plus_nanos(1_000_000_000));
            sample.link = Some(link);
        }
        profile
    }

    fn stacks(profiles: &[Profile]) -> usize {
        let texts = profiles.iter().flat_map(|profile| {
            let of = |sample: &Sample| profile::folded::stack_names(&profile.tables, sample.stack);
            profile.samples.iter().map(move |sample| format!("{:?}", of(sample)))
        });
        texts.collect::<BTreeSet<_>>().len()
    }

    #[test]
    fn copies_differ_in_what_differs_in_life_and_keep_their_shape() {
        let copies: Vec<Profile> = Amplifier::new(vec![capture()], spread(0.0)).take(8).collect();
        let services: BTreeSet<_> =
            copies.iter().map(|copy| copy.labels.get(names::SERVICE)).collect();
        assert_eq!(services.len(), 3);
        let trace = |copy: &Profile| copy.tables.links.rows()[0].trace_id;
        let traces: BTreeSet<u128> = copies.iter().map(trace).collect();
        assert_eq!(traces.len(), 8);
        for copy in &copies {
            let link = copy.tables.links.rows()[0];
            assert_eq!(link.span_id, link.root_span_id, "equal ids stay equal");
            assert_eq!(copy.samples.len(), 200);
            let times: BTreeSet<_> = copy.samples.iter().filter_map(|one| one.time).collect();
            assert!(times.len() > 190, "{} distinct times", times.len());
            assert!(times.iter().all(|time| copy.window.contains(*time)));
        }
        assert!(copies[6].window.start > copies[0].window.end.plus_nanos(-1_000_000_000));
        assert_eq!(stacks(&copies), 200, "without growth the stacks are the same");
    }

    #[test]
    fn distinct_stacks_grow_with_the_power_asked_for() {
        let copies: Vec<Profile> = Amplifier::new(vec![capture()], spread(0.7)).take(40).collect();
        let grown = stacks(&copies) as f64 / 200.0;
        // Lines are not part of names here, so a quarter of the new stacks cannot be told apart.
        let wanted = 40_f64.powf(0.7);
        assert!(grown > wanted * 0.5 && grown < wanted * 1.1, "{grown} times, wanted {wanted}");
    }
}
