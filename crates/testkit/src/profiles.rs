//! Strategies that make profiles as clients send them, small enough for property tests.

use profile::labels::names;
use profile::{
    Attribute, AttributeValue, AttributesId, FrameType, Function, Labels, Line, Lines, Link,
    LinkId, Location, Mapping, MappingId, Metadata, Profile, Sample, SampleKind, StackId, Thread,
    ThreadId,
};
use proptest::prelude::*;
use stdx::{TimeRange, Timestamp};

/// Where generated windows begin: 2026-11-21 00:00 UTC, in milliseconds since the epoch.
pub const BASE_MS: i64 = 1_795_219_200_000;
/// Generated windows start within this many milliseconds after [`BASE_MS`].
pub const SPAN_MS: i64 = 3_600_000;
/// Services that generated profiles belong to.
pub const SERVICES: [&str; 3] = ["cart", "checkout", "search"];

/// One sample as numbers that [`any_profile`] turns into handles.
#[derive(Clone, Debug)]
struct RawSample {
    kind: usize,
    stack: Vec<u8>,
    time_nanos: Option<i64>,
    thread: Option<u8>,
    link: Option<u8>,
    attribute: Option<u8>,
    values: [i64; 4],
}

/// A profile of one of three services with up to 40 samples of up to three kinds, some of them
/// timed, on threads, in spans and with attributes. Many values are equal, some profiles hold values
/// at the ends of their type, and one function is often seen at several addresses.
pub fn any_profile() -> impl Strategy<Value = Profile> {
    let labels = (0..SERVICES.len(), 0..3_u8, 0..3_u8, 0..3_u8, 0..3_u8);
    let window = (0..SPAN_MS * 1_000_000, 1_i64..60_000_000_000);
    let samples = prop_oneof![
        7 => prop::collection::vec(any_sample(any_value().boxed()), 0..40),
        1 => prop::collection::vec(any_sample(any_extreme().boxed()), 0..40),
    ];
    (labels, window, any_metadata(), samples).prop_map(
        |(labels, (start, length), metadata, samples)| {
            let start = Timestamp::from_millis(BASE_MS).plus_nanos(start);
            let window = TimeRange::new(start, start.plus_nanos(length));
            build(any_labels(labels), window, metadata, &samples)
        },
    )
}

/// Between one and `most` profiles.
pub fn any_profiles(most: usize) -> impl Strategy<Value = Vec<Profile>> {
    prop::collection::vec(any_profile(), 1..=most.max(1))
}

fn any_labels((service, env, host, source, extra): (usize, u8, u8, u8, u8)) -> Labels {
    let mut labels = Labels::new();
    labels.set(names::SERVICE, SERVICES[service]);
    labels.set(names::ENV, ["", "prod", "test"][usize::from(env)]);
    labels.set(names::HOST, ["", "a", "b"][usize::from(host)]);
    labels.set(names::SOURCE, ["agent", "ddtrace", "pyroscope"][usize::from(source)]);
    labels.set(names::INSTANCE, format!("h{host}:{extra}"));
    labels.set("team", ["", "blue", "grün"][usize::from(extra)]);
    labels
}

fn any_metadata() -> impl Strategy<Value = Metadata> {
    (0_i64..20_000_000, prop::option::of(1_u32..128), prop::option::of(1_u8..9), 0_u64..5).prop_map(
        |(period, cpu_count, quota, lost)| Metadata {
            period,
            period_type: "cpu".to_owned(),
            period_unit: "nanoseconds".to_owned(),
            cpu_count,
            cpu_quota: quota.map(|quota| f64::from(quota) / 2.0),
            lost,
            broken: lost / 2,
            unsymbolized: lost / 3,
            client: "generator 1".to_owned(),
            info: if lost > 2 { vec![("os".to_owned(), "linux".to_owned())] } else { Vec::new() },
        },
    )
}

fn any_value() -> impl Strategy<Value = i64> {
    prop_oneof![3 => Just(0_i64), 3 => 1_i64..50_000_000, 2 => 1_i64..4, 1 => -5_i64..0]
}

fn any_extreme() -> impl Strategy<Value = i64> {
    let end = prop::sample::select(vec![i64::MAX, i64::MIN, i64::MAX - 1, i64::MIN + 3]);
    prop_oneof![3 => any_value(), 1 => end]
}

fn any_sample(value: BoxedStrategy<i64>) -> impl Strategy<Value = RawSample> {
    (
        0..3_usize,
        prop::collection::vec(0_u8..18, 0..8),
        prop::option::of(0_i64..60_000_000_000),
        prop::option::of(0_u8..4),
        prop::option::of(0_u8..4),
        prop::option::of(0_u8..3),
        [value.clone(), value.clone(), value.clone(), value],
    )
        .prop_map(|(kind, stack, time_nanos, thread, link, attribute, values)| RawSample {
            kind,
            stack,
            time_nanos,
            thread,
            link,
            attribute,
            values,
        })
}

/// The kinds that generated samples are of: two registered ones and a client's own.
fn kinds() -> [SampleKind; 3] {
    let registered = |id| SampleKind::from_id(id).expect("a registered kind");
    let custom = SampleKind::custom("widgets", &[("made", "count")], ("", ""));
    [registered("stack"), registered("heap"), custom]
}

fn build(labels: Labels, window: TimeRange, metadata: Metadata, samples: &[RawSample]) -> Profile {
    let mut profile = Profile { labels, window, metadata, ..Profile::default() };
    let kinds = kinds();
    for raw in samples {
        let kind = &kinds[raw.kind];
        let mut values = raw.values;
        values.iter_mut().skip(kind.measures.len()).for_each(|value| *value = 0);
        let sample = Sample {
            kind: profile.intern_kind(kind),
            stack: stack(&mut profile, &raw.stack),
            time: raw.time_nanos.map(|nanos| window.start.plus_nanos(nanos)),
            thread: raw.thread.map(|at| thread(&mut profile, at)),
            link: raw.link.map(|at| link(&mut profile, at)),
            attributes: raw.attribute.map(|at| attributes(&mut profile, at)),
            values,
        };
        profile.samples.push(sample);
    }
    profile
}

fn stack(profile: &mut Profile, frames: &[u8]) -> StackId {
    let mut at = StackId(0);
    for &frame in frames {
        let location = match frame {
            // Not symbolized: build id and address.
            0 | 1 => unnamed(profile, frame),
            // Two functions inlined into one location; a row each time, as a client may send it.
            2 => {
                let lines = Lines::from_vec(vec![line(profile, 20), line(profile, 21)]);
                profile.tables.locations.push(Location { lines, ..Location::default() })
            }
            // The function of a frame below, at another address.
            12..=16 => {
                let (mapping, address) = (mapping(profile), 0x2000 + u64::from(frame));
                let lines = Lines::from_vec(vec![line(profile, frame - 6)]);
                let mapping = Some(mapping);
                let frame_type = FrameType::Go;
                let row = Location { mapping, address, lines, frame_type, ..Location::default() };
                profile.tables.locations.intern(row)
            }
            // Inlined code of which only one function has a name.
            17 => {
                let mapping = Some(mapping(profile));
                let function = profile.tables.functions.push(Function::default());
                let lines =
                    Lines::from_vec(vec![Line { function, ..Line::default() }, line(profile, 21)]);
                let row = Location { mapping, address: 0x3000, lines, ..Location::default() };
                profile.tables.locations.intern(row)
            }
            named => {
                let mapping = Some(mapping(profile));
                let lines = Lines::from_vec(vec![line(profile, named)]);
                let frame_type = FrameType::Go;
                let row = Location { mapping, lines, frame_type, ..Location::default() };
                profile.tables.locations.intern(row)
            }
        };
        at = profile.tables.stacks.intern(at, location);
    }
    at
}

fn mapping(profile: &mut Profile) -> MappingId {
    let strings = &mut profile.tables.strings;
    let (file, build_id) = (strings.intern("/usr/lib/libc.so.6"), strings.intern("abcdef"));
    let mapping = Mapping { start: 0x1000, limit: 0x9000, offset: 0, file, build_id };
    profile.tables.mappings.intern(mapping)
}

fn unnamed(profile: &mut Profile, frame: u8) -> profile::LocationId {
    let mapping = Some(mapping(profile));
    let address = 0x1000 + u64::from(frame);
    profile.tables.locations.intern(Location { mapping, address, ..Location::default() })
}

fn line(profile: &mut Profile, at: u8) -> Line {
    let name = profile.tables.strings.intern(&format!("function{at}"));
    let file = profile.tables.strings.intern(&format!("file{}.rs", at / 4));
    let function = Function { name, file, start_line: u32::from(at), ..Function::default() };
    let function = profile.tables.functions.intern(function);
    Line { function, line: u32::from(at) * 10, column: 0 }
}

fn thread(profile: &mut Profile, at: u8) -> ThreadId {
    let name = profile.tables.strings.intern(&format!("worker-{at}"));
    profile.tables.threads.intern(Thread { id: i64::from(at) + 100, name })
}

fn link(profile: &mut Profile, at: u8) -> LinkId {
    profile.tables.links.intern(Link {
        trace_id: (u128::from(at) << 64) | 7,
        span_id: u64::from(at) + 1,
        root_span_id: 1,
    })
}

fn attributes(profile: &mut Profile, at: u8) -> AttributesId {
    let strings = &mut profile.tables.strings;
    let key = strings.intern("endpoint");
    let text = AttributeValue::Text(strings.intern(&format!("/api/{at}")));
    let size = strings.intern("size");
    let number = AttributeValue::Number(i64::from(at), strings.intern("bytes"));
    let mut set = vec![Attribute { key, value: text }, Attribute { key: size, value: number }];
    set.sort_unstable();
    profile.tables.attributes.intern(set)
}
