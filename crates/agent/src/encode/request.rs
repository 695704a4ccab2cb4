//! One export request of one batch.

use crate::batch::{Batch, Place, ProcessBatch, RawFrame};
use crate::encode::dictionary::{Attribute, Dictionary, int_value, text_value};
use crate::encode::generated::PerfMaps;
use crate::encode::names::{Name, Names};
use crate::process::{Host, Identity};
use rustc_hash::FxHashMap;
use wire::Message as _;
use wire::otlp::collector_profiles::ExportProfilesServiceRequest;
use wire::otlp::common::{AnyValue, InstrumentationScope, KeyValue, any_value::Value};
use wire::otlp::profiles::{Profile, ResourceProfiles, Sample, ScopeProfiles, ValueType};
use wire::otlp::resource::Resource;

/// Note on processes whose interpreter's own frames are shown instead of Python's.
const PYTHON_NOTE: &str = "Python frames not read yet";
const PYTHON_FRAME: &str = "[Python frames not read yet]";
/// Function of code that a runtime made and whose names it keeps to itself: addresses in it mean
/// nothing outside its process, so all of it is one frame.
const GENERATED_FRAME: &str = "[generated code]";

/// Makes requests; keeps what it learnt about code.
#[derive(Debug)]
pub(crate) struct Encoder {
    host: Host,
    names: Names,
    perf_maps: PerfMaps,
    own_pid: u32,
    requested_hz: u32,
}

/// Locations of the frames of one process and of the files all share.
#[derive(Debug, Default)]
struct Locations {
    shared: FxHashMap<RawFrame, i32>,
    own: FxHashMap<u64, i32>,
}

fn key_value(key: &str, value: AnyValue) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
}

fn frame_type(identity: &Identity, name: &str) -> &'static str {
    match identity.runtime {
        Some("jvm") => "jvm",
        Some("nodejs") if !name.is_empty() => "v8js",
        _ => "native",
    }
}

impl Encoder {
    /// `requested_hz` is said beside the period of each profile, which may be longer.
    pub(crate) fn new(host: Host, requested_hz: u32) -> Self {
        Self {
            host,
            names: Names::default(),
            perf_maps: PerfMaps::default(),
            own_pid: std::process::id(),
            requested_hz,
        }
    }

    /// Names the addresses of a batch and encodes it.
    pub(crate) fn encode(&mut self, batch: &Batch) -> Vec<u8> {
        self.names.learn(batch);
        self.perf_maps.begin();
        let mut dictionary = Dictionary::new();
        let mut locations = Locations::default();
        let mut resource_profiles = Vec::with_capacity(batch.processes.len());
        for process in batch.processes.values() {
            locations.own.clear();
            let profile = self.profile(batch, process, &mut dictionary, &mut locations);
            resource_profiles.push(self.resource(&process.identity, profile));
        }
        let is_own = |it: &&ProcessBatch| it.identity.pid == self.own_pid;
        if batch.lost > 0 && !batch.processes.values().any(|it| is_own(&it)) {
            let own = self.losses(batch, &mut dictionary);
            resource_profiles.push(own);
        }
        let request = ExportProfilesServiceRequest {
            resource_profiles,
            dictionary: Some(dictionary.finish()),
        };
        request.encode_to_vec()
    }

    /// A profile of the agent without samples, to carry what was lost.
    fn losses(&self, batch: &Batch, dictionary: &mut Dictionary) -> ResourceProfiles {
        let identity = Identity {
            pid: self.own_pid,
            service: "vesta-agent".to_owned(),
            service_source: "executable",
            executable: "vesta-agent".to_owned(),
            ..Identity::default()
        };
        let mut profile = Self::frame_of(batch, dictionary);
        let lost = Attribute::Number(batch.lost as i64);
        profile.attribute_indices.push(dictionary.attribute("vesta.samples.lost", lost));
        self.resource(&identity, profile)
    }

    fn resource(&self, identity: &Identity, profile: Profile) -> ResourceProfiles {
        let mut attributes = Vec::new();
        let mut text = |key: &str, value: Option<&str>| {
            if let Some(value) = value {
                attributes.push(key_value(key, text_value(value)));
            }
        };
        let instance = format!("{}:{}", self.host.name, identity.pid);
        text("service.name", Some(&identity.service));
        text("vesta.service.name.source", Some(identity.service_source));
        text("service.instance.id", Some(&instance));
        text("service.version", identity.version.as_deref());
        text("deployment.environment", identity.environment.as_deref());
        text("host.name", Some(&self.host.name));
        text("process.executable.name", Some(&identity.executable));
        text("process.executable.path", identity.path.as_deref());
        text("container.id", identity.container.as_deref());
        text("process.runtime.name", Some(identity.runtime.unwrap_or("native")));
        text("vesta.source", Some("agent"));
        attributes.push(key_value("process.pid", int_value(i64::from(identity.pid))));
        let cpus = int_value(i64::from(self.host.cpu_count));
        attributes.push(key_value("vesta.cpu.count", cpus));
        let requested = int_value(i64::from(self.requested_hz));
        attributes.push(key_value("vesta.sampling.requested_hz", requested));
        if let Some(quota) = identity.cpu_quota {
            let value = AnyValue { value: Some(Value::DoubleValue(quota)) };
            attributes.push(key_value("vesta.cpu.quota", value));
        }
        let scope = InstrumentationScope {
            name: "vesta-agent".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..InstrumentationScope::default()
        };
        ResourceProfiles {
            resource: Some(Resource { attributes, ..Resource::default() }),
            scope_profiles: vec![ScopeProfiles {
                scope: Some(scope),
                profiles: vec![profile],
                ..ScopeProfiles::default()
            }],
            ..ResourceProfiles::default()
        }
    }

    fn frame_of(batch: &Batch, dictionary: &mut Dictionary) -> Profile {
        let mut kind = |name, unit| {
            Some(ValueType {
                type_strindex: dictionary.string(name),
                unit_strindex: dictionary.string(unit),
            })
        };
        Profile {
            sample_type: kind("samples", "count"),
            period_type: kind("cpu", "nanoseconds"),
            period: batch.period_nanos as i64,
            time_unix_nano: batch.start.saturating_add(batch.unix_offset),
            duration_nano: batch.end.saturating_sub(batch.start),
            ..Profile::default()
        }
    }

    fn profile(
        &mut self,
        batch: &Batch,
        process: &ProcessBatch,
        dictionary: &mut Dictionary,
        locations: &mut Locations,
    ) -> Profile {
        let identity = &*process.identity;
        if process.stacks.keys().flatten().any(|it| it.place == Place::Generated) {
            self.perf_maps.refresh(identity);
        }
        let is_python = identity.runtime == Some("cpython");
        let mut stacks = vec![(0, 0); process.stacks.len()];
        for (frames, number) in &process.stacks {
            let mut unnamed = 0;
            let mut places = Vec::with_capacity(frames.len() + 1);
            for frame in frames {
                let (location, is_named) =
                    self.location(batch, identity, frame, dictionary, locations);
                unnamed += u64::from(!is_named);
                let is_more_of_it = frame.place == Place::Generated && !is_named;
                if !is_more_of_it || places.last() != Some(&location) {
                    places.push(location);
                }
            }
            if is_python {
                let function = dictionary.function(PYTHON_FRAME, "", 0);
                places.push(dictionary.location(0, 0, vec![(function, 0)], "cpython"));
            }
            if let Some(place) = stacks.get_mut(*number as usize) {
                *place = (dictionary.stack(places), unnamed);
            }
        }
        let mut unnamed = 0;
        let mut profile = Self::frame_of(batch, dictionary);
        for ((stack, tid), times) in &process.samples {
            let (stack_index, unnamed_frames) =
                stacks.get(*stack as usize).copied().unwrap_or((0, 0));
            unnamed += unnamed_frames * times.len() as u64;
            profile.samples.push(Sample {
                stack_index,
                attribute_indices: thread_attributes(process, *tid, dictionary),
                timestamps_unix_nano: times
                    .iter()
                    .map(|time| time.saturating_add(batch.unix_offset))
                    .collect(),
                ..Sample::default()
            });
        }
        let lost = if identity.pid == self.own_pid { batch.lost } else { 0 };
        let counters = [
            ("vesta.samples.lost", lost),
            ("vesta.stacks.broken", process.broken),
            ("vesta.frames.unsymbolized", unnamed),
        ];
        for (key, count) in counters {
            let count = Attribute::Number(count as i64);
            profile.attribute_indices.push(dictionary.attribute(key, count));
        }
        if is_python {
            let note = Attribute::Text(PYTHON_NOTE.to_owned());
            profile.attribute_indices.push(dictionary.attribute("vesta.note", note));
        }
        profile
    }

    /// The location of a frame, and whether it has a name.
    fn location(
        &self,
        batch: &Batch,
        identity: &Identity,
        frame: &RawFrame,
        dictionary: &mut Dictionary,
        locations: &mut Locations,
    ) -> (i32, bool) {
        if frame.place == Place::Generated {
            let name = self.perf_maps.find(identity.pid, frame.address);
            let is_named = name.is_some();
            let location = *locations.own.entry(frame.address).or_insert_with(|| {
                let Some(name) = name else {
                    let function = dictionary.function(GENERATED_FRAME, "", 0);
                    let kind = frame_type(identity, "");
                    return dictionary.location(0, 0, vec![(function, 0)], kind);
                };
                let function = dictionary.function(&name.function, &name.file, name.start_line);
                let kind = frame_type(identity, &name.function);
                dictionary.location(0, 0, vec![(function, 0)], kind)
            });
            return (location, is_named);
        }
        let name = self.names.find(frame);
        // All of a function without a name is one location: it is one line on the page.
        let address = if let Name::Start(start) = name { *start } else { frame.address };
        let key = RawFrame { address, ..*frame };
        let location = *locations.shared.entry(key).or_insert_with(|| {
            let module = match frame.place {
                Place::Module(id) => batch.modules.get(&id),
                _ => None,
            };
            let (mapping, kind) = match module {
                Some(it) => {
                    let limit = it.module.bytes().len() as u64;
                    let mapping = dictionary.mapping(&it.path, it.module.build_id(), limit);
                    (mapping, if it.module.is_go() { "go" } else { "native" })
                }
                None if frame.place == Place::Kernel => {
                    (dictionary.mapping("[kernel]", None, u64::MAX), "kernel")
                }
                None => (0, "native"),
            };
            match name {
                Name::Known(frames) => {
                    let lines = frames.iter().map(|it| {
                        (dictionary.function(&it.function, &it.file, it.start_line), it.line)
                    });
                    let lines = lines.collect();
                    dictionary.location(mapping, 0, lines, kind)
                }
                Name::Start(start) => {
                    let stated = module.and_then(|it| it.module.address_of(*start));
                    let text = format!("[function at {:#x}]", stated.unwrap_or(*start));
                    let lines = vec![(dictionary.function(&text, "", 0), 0)];
                    dictionary.location(mapping, *start, lines, kind)
                }
                Name::Unknown => dictionary.location(mapping, frame.address, Vec::new(), kind),
            }
        });
        (location, matches!(name, Name::Known(_)))
    }
}

fn thread_attributes(process: &ProcessBatch, tid: u32, dictionary: &mut Dictionary) -> Vec<i32> {
    let mut indices = vec![dictionary.attribute("thread.id", Attribute::Number(i64::from(tid)))];
    if let Some(name) = process.threads.get(&tid) {
        let name = Attribute::Text(name.to_string());
        indices.push(dictionary.attribute("thread.name", name));
    }
    indices
}
