//! A load of many services with the distributions of life, for benchmarks: profiles come one after
//! the other, so that sets of any size are made in bounded memory.
//!
//! Stacks of a service are a random prefix tree: each new stack leaves an older one a few calls
//! above its leaf. Which stack a sample has follows Zipf's law; so does, where asked for, how many
//! instances a service has. Each sample has its own time and up to four values.

use profile::labels::names;
use profile::{
    Attribute, AttributeValue, FrameType, Function, KeyedMap, Labels, Line, Link, LinkId, Location,
    LocationId, Mapping, Metadata, Profile, Sample, SampleKind, StackId, StackTable, Thread,
};
use stdx::{Rng, TimeRange, Timestamp};

/// What is made.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Services, `service-0` first; the first is the largest where `is_zipf`.
    pub services: usize,
    /// Instances on average; each sends a profile each 15 seconds.
    pub instances: usize,
    /// Whether the number of instances follows Zipf's law; otherwise it is the same for all.
    pub is_zipf: bool,
    /// Distinct stacks of each service.
    pub stacks: usize,
    /// Fewest and most samples of a profile.
    pub samples: (u64, u64),
    /// Functions of each service's own, and those that all services share.
    pub functions: (u64, u64),
    /// When the first window begins.
    pub start: Timestamp,
    /// Seed of everything drawn.
    pub seed: u64,
}

/// Length of a profile's window.
const WINDOW_NANOS: u64 = 15_000_000_000;
/// Mean depth of stacks and how far from it they go.
const DEPTH: (usize, usize, usize) = (10, 35, 60);
/// Threads of an instance.
const THREADS: u64 = 16;
/// Every so many-th service is traced.
const TRACED_EACH: usize = 5;
/// Endpoints of a traced service.
const ENDPOINTS: u64 = 30;

/// A frame: its function (of the shared ones, which come first, or of the service) and line.
type Frame = (u32, u32);

/// One service's stacks.
#[derive(Debug)]
struct Tree {
    /// Caller's node and frame; node 0 is the root.
    nodes: Vec<(u32, Frame)>,
    /// Leaves, the most frequent first.
    stacks: Vec<u32>,
}

/// Makes the profiles of a [`Load`], window by window, without end.
#[derive(Debug)]
pub struct Profiles {
    load: Load,
    rng: Rng,
    trees: Vec<Tree>,
    /// Running sums of the weights of stacks by rank, up to 1.
    ranks: Vec<f64>,
    /// Service and instance of each profile of a window.
    senders: Vec<(usize, usize)>,
    window: u64,
    at: usize,
}

/// Running sums of Zipf's weights, up to 1.
fn zipf(count: usize) -> Vec<f64> {
    let total: f64 = (1..=count).map(|rank| 1.0 / rank as f64).sum();
    let mut sum = 0.0;
    (1..=count)
        .map(|rank| {
            sum += 1.0 / rank as f64 / total;
            sum
        })
        .collect()
}

fn unit(rng: &mut Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

fn draw(sums: &[f64], rng: &mut Rng) -> usize {
    let drawn = unit(rng);
    sums.partition_point(|sum| *sum < drawn).min(sums.len().saturating_sub(1))
}

impl Load {
    /// The load of 50 services and 4 instances, with the given number of stacks a service.
    pub fn of_fifty(stacks: usize, is_zipf: bool) -> Self {
        let start = Timestamp::from_millis(crate::profiles::BASE_MS);
        let (samples, functions) = ((500, 1_980), (6_000, 3_000));
        Self { services: 50, instances: 4, is_zipf, stacks, samples, functions, start, seed: 1 }
    }

    /// The load that other servers were measured with: as [`Self::of_fifty`], with as many functions
    /// as give uploads of 252 kB, 77 kB of them compressed.
    pub fn as_compared(stacks: usize) -> Self {
        Self { functions: (1_200, 400), ..Self::of_fifty(stacks, false) }
    }

    /// Its profiles.
    pub fn profiles(self) -> Profiles {
        let trees = (0..self.services).map(|service| Tree::new(self, service)).collect();
        Profiles {
            rng: Rng::seeded(self.seed),
            trees,
            ranks: zipf(self.stacks),
            senders: self.senders(),
            window: 0,
            at: 0,
            load: self,
        }
    }

    /// Service and instance of each sender, the services mixed.
    fn senders(&self) -> Vec<(usize, usize)> {
        let total = self.services * self.instances;
        let sums = zipf(self.services);
        let mut senders = Vec::new();
        for service in 0..self.services {
            let share = sums[service] - if service == 0 { 0.0 } else { sums[service - 1] };
            let wanted = if self.is_zipf { (share * total as f64).round() as usize } else { 0 };
            let count = if self.is_zipf { wanted.max(1) } else { self.instances };
            senders.extend((0..count).map(|instance| (service, instance)));
        }
        let mut rng = Rng::seeded(self.seed ^ 0x5e4d);
        for at in (1..senders.len()).rev() {
            senders.swap(at, rng.below(at as u64 + 1) as usize);
        }
        senders
    }
}

impl Tree {
    fn new(load: Load, service: usize) -> Self {
        let mut rng = Rng::seeded(load.seed.wrapping_mul(1_000_003) ^ service as u64);
        let mut tree = Self { nodes: vec![(0, (0, 0))], stacks: Vec::with_capacity(load.stacks) };
        let mut depths = Vec::with_capacity(load.stacks);
        for at in 0..load.stacks {
            let (mut node, mut depth) = (0, 0);
            if at > 0 {
                let from = rng.below(at as u64) as usize;
                (node, depth) = (tree.stacks[from], depths[from]);
                // Most new stacks turn off near the leaf, some much earlier.
                while depth > 1 && !rng.chance(1, 4) {
                    node = tree.nodes[node as usize].0;
                    depth -= 1;
                }
            }
            let wander = rng.below(7) as usize;
            let wanted = if at == 0 { DEPTH.1 } else { (depth + wander).max(depth + 1) };
            let wanted = if wanted < DEPTH.1 - 15 { DEPTH.1 } else { wanted };
            while depth < wanted.clamp(DEPTH.0, DEPTH.2) {
                tree.nodes.push((node, frame(load.functions, &mut rng)));
                node = (tree.nodes.len() - 1) as u32;
                depth += 1;
            }
            tree.stacks.push(node);
            depths.push(depth);
        }
        // The order of appearance says nothing of how often a stack is seen.
        for at in (1..tree.stacks.len()).rev() {
            tree.stacks.swap(at, rng.below(at as u64 + 1) as usize);
        }
        tree
    }
}

fn frame((own, shared): (u64, u64), rng: &mut Rng) -> Frame {
    let is_shared = rng.chance(1, 4);
    // The smaller of two is drawn more often, as some functions are everywhere.
    let within = |bound: u64, rng: &mut Rng| rng.below(bound).min(rng.below(bound));
    let function = if is_shared { within(shared, rng) } else { shared + within(own, rng) };
    (function as u32, 10 + rng.below(3) as u32 * 7 + (function % 400) as u32)
}

impl Iterator for Profiles {
    type Item = Profile;

    fn next(&mut self) -> Option<Profile> {
        let &(service, instance) = self.senders.get(self.at)?;
        let offset = self.window * WINDOW_NANOS + self.rng.below(WINDOW_NANOS / 2);
        self.at += 1;
        if self.at == self.senders.len() {
            (self.at, self.window) = (0, self.window + 1);
        }
        let start = self.load.start.plus_nanos(offset.cast_signed());
        let mut building = Building::new(self.load, (service, instance), start);
        let (least, most) = self.load.samples;
        for _ in 0..least + self.rng.below(most.saturating_sub(least) + 1) {
            let rank = draw(&self.ranks, &mut self.rng);
            let stack = self.trees[service].stacks.get(rank).copied().unwrap_or(0);
            let stack = building.stack(&self.trees[service], stack);
            building.sample(stack, &mut self.rng);
        }
        Some(building.profile)
    }
}

/// A profile in the making.
struct Building {
    profile: Profile,
    /// Functions that all services share.
    shared: u64,
    service: usize,
    instance: usize,
    stacks: KeyedMap<u32, StackId>,
    locations: KeyedMap<Frame, LocationId>,
    /// The span that each thread is in.
    spans: Vec<Option<LinkId>>,
}

impl Building {
    fn new(load: Load, (service, instance): (usize, usize), start: Timestamp) -> Self {
        let mut profile = Profile { labels: labels(service, instance), ..Profile::default() };
        profile.window = TimeRange::new(start, start.plus_nanos(WINDOW_NANOS.cast_signed()));
        profile.metadata = Metadata {
            period: 10_000_000,
            period_type: "cpu".to_owned(),
            period_unit: "nanoseconds".to_owned(),
            cpu_count: Some(8),
            client: "load 1".to_owned(),
            ..Metadata::default()
        };
        profile.intern_kind(&SampleKind::from_id("stack").expect("a registered kind"));
        let spans = vec![None; THREADS as usize];
        let (stacks, locations) = (KeyedMap::default(), KeyedMap::default());
        Self { profile, shared: load.functions.1, service, instance, stacks, locations, spans }
    }

    fn stack(&mut self, tree: &Tree, node: u32) -> StackId {
        let mut missing = Vec::new();
        let mut at = node;
        let mut stack = loop {
            if at == 0 {
                break StackTable::ROOT;
            }
            if let Some(known) = self.stacks.get(&at) {
                break *known;
            }
            missing.push(at);
            at = tree.nodes[at as usize].0;
        };
        for node in missing.into_iter().rev() {
            let location = self.location(tree.nodes[node as usize].1);
            stack = self.profile.tables.stacks.intern(stack, location);
            self.stacks.insert(node, stack);
        }
        stack
    }

    fn location(&mut self, frame: Frame) -> LocationId {
        if let Some(known) = self.locations.get(&frame) {
            return *known;
        }
        let (number, line) = frame;
        let (is_shared, service) = (u64::from(number) < self.shared, self.service);
        let (package, kind, method) = (number / 97, number / 11, number);
        let tables = &mut self.profile.tables;
        let (name, file, binary) = if is_shared {
            (
                format!("runtime/internal/pkg{package}.(*Type{kind}).method{method}"),
                format!("/usr/lib/runtime/src/internal/pkg{package}/file{kind}.go"),
                "/usr/lib/libruntime.so.6".to_owned(),
            )
        } else {
            (
                format!("example.org/service-{service}/pkg{package}.(*Type{kind}).Method{method}"),
                format!("/src/service-{service}/pkg{package}/file{kind}.go"),
                format!("/usr/bin/service-{service}"),
            )
        };
        let file = tables.strings.intern(&file);
        let name = tables.strings.intern(&name);
        let start_line = number % 400;
        let function =
            tables.functions.intern(Function { name, file, start_line, ..Function::default() });
        let file = tables.strings.intern(&binary);
        let mapping = tables.mappings.intern(Mapping { file, ..Mapping::default() });
        let location = tables.locations.intern(Location {
            mapping: Some(mapping),
            lines: [Line { function, line, column: 0 }].into(),
            frame_type: FrameType::Go,
            ..Location::default()
        });
        self.locations.insert(frame, location);
        location
    }

    fn sample(&mut self, stack: StackId, rng: &mut Rng) {
        let start = self.profile.window.start;
        let time = start.plus_nanos(rng.below(WINDOW_NANOS).cast_signed());
        let thread_at = rng.below(THREADS).min(rng.below(THREADS));
        let name = self.profile.tables.strings.intern(&format!("worker-{thread_at}"));
        let id = (1_000 + self.instance as u64 * 64 + thread_at).cast_signed();
        let thread = self.profile.tables.threads.intern(Thread { id, name });
        let link = self.link(thread_at as usize, rng);
        let attributes = link.map(|link| {
            let strings = &mut self.profile.tables.strings;
            let key = strings.intern("trace endpoint");
            let endpoint = u64::from(link.0) % ENDPOINTS;
            let value = AttributeValue::Text(strings.intern(&format!("/api/v1/items/{endpoint}")));
            self.profile.tables.attributes.intern(vec![Attribute { key, value }])
        });
        let wall = 9_000_000 + rng.below(2_500_000).cast_signed();
        let cpu = if rng.chance(2, 5) { wall - rng.below(1_000_000).cast_signed() } else { 0 };
        self.profile.samples.push(Sample {
            stack,
            time: Some(time),
            thread: Some(thread),
            link,
            attributes,
            values: [cpu, i64::from(cpu != 0), wall, 1],
            ..Sample::default()
        });
    }

    /// Half of a traced service's samples are in a span; a span has about three of them.
    fn link(&mut self, thread: usize, rng: &mut Rng) -> Option<LinkId> {
        if !self.service.is_multiple_of(TRACED_EACH) || rng.chance(1, 2) {
            return None;
        }
        if self.spans[thread].is_none() || rng.chance(1, 3) {
            let trace_id = (u128::from(rng.next_u64()) << 64) | u128::from(rng.next_u64());
            let (span_id, root_span_id) = (rng.next_u64(), rng.next_u64());
            let link = Link { trace_id, span_id, root_span_id };
            self.spans[thread] = Some(self.profile.tables.links.intern(link));
        }
        self.spans[thread]
    }
}

fn labels(service: usize, instance: usize) -> Labels {
    let mut labels = Labels::new();
    labels.set(names::SERVICE, format!("service-{service}"));
    labels.set(names::ENV, if instance.is_multiple_of(8) { "canary" } else { "prod" });
    labels.set(names::VERSION, format!("1.{}.{}", service % 7, instance % 2));
    labels.set(names::HOST, format!("node-{}", (service * 31 + instance * 7) % 40));
    labels.set(names::INSTANCE, format!("service-{service}-{instance}"));
    labels.set(names::RUNTIME, "go");
    labels.set(names::SOURCE, "pyroscope");
    labels.set("zone", ["a", "b", "c"][(service + instance) % 3]);
    labels.set("team", format!("team-{}", service % 9));
    labels
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    fn load() -> Load {
        Load { services: 6, stacks: 400, samples: (50, 150), ..Load::of_fifty(0, true) }
    }

    #[test]
    fn the_same_seed_gives_the_same_profiles() {
        let texts = || {
            let profiles = load().profiles().take(5);
            profiles.map(|one| profile::folded::folded(&one, profile::KindIndex(0), 0))
        };
        assert!(texts().eq(texts()));
    }

    #[test]
    fn services_and_stacks_follow_zipf_s_law() {
        let profiles: Vec<Profile> = load().profiles().take(240).collect();
        let mut services: BTreeMap<String, usize> = BTreeMap::new();
        let mut stacks: BTreeMap<String, usize> = BTreeMap::new();
        for one in &profiles {
            let service = one.labels.get(names::SERVICE).expect("a service").to_owned();
            *services.entry(service.clone()).or_default() += one.samples.len();
            for sample in one.samples.iter().filter(|_| service == "service-0") {
                let names = profile::folded::stack_names(&one.tables, sample.stack);
                *stacks.entry(format!("{names:?}")).or_default() += 1;
            }
        }
        let (first, last) = (services["service-0"], services["service-5"]);
        assert!(first > 4 * last && first < 9 * last, "{first} and {last}");
        assert!(stacks.len() > 350 && stacks.len() <= 400, "{} stacks", stacks.len());
        let all: usize = stacks.values().sum();
        let most = *stacks.values().max().expect("stacks");
        // The first of 400 has 1 / H(400) = 0.152 of all.
        assert!((0.13..0.18).contains(&(most as f64 / all as f64)), "{most} of {all}");
    }

    #[test]
    fn samples_have_their_own_times_several_values_and_deep_stacks_that_share_callers() {
        let profiles: Vec<Profile> = load().profiles().take(40).collect();
        let samples = || profiles.iter().flat_map(|one| one.samples.iter().map(move |s| (one, s)));
        let times: BTreeSet<_> = samples().map(|(_, sample)| sample.time).collect();
        let count = samples().count();
        assert!(times.len() * 1_000 > count * 999, "{} times of {count}", times.len());
        let depths: usize =
            samples().map(|(one, sample)| one.tables.stacks.leaf_first(sample.stack).count()).sum();
        let depth = depths / count;
        assert!((28..=42).contains(&depth), "mean depth {depth}");
        let tree = Tree::new(load(), 0);
        let nodes = tree.nodes.len() / tree.stacks.len();
        assert!((3..=12).contains(&nodes), "{nodes} nodes a stack");
        let linked = samples().filter(|(_, sample)| sample.link.is_some()).count();
        assert!(linked > 0 && linked < count / 2, "{linked} of {count} in a span");
        assert!(samples().all(|(one, sample)| {
            one.window.contains(sample.time.expect("timed")) && sample.values[2] > 0
        }));
    }
}
