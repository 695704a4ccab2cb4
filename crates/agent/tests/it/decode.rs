//! Reads an encoded export request back into names and counts.

use std::collections::BTreeMap;
use wire::Message as _;
use wire::otlp::collector_profiles::ExportProfilesServiceRequest;
use wire::otlp::common::{AnyValue, KeyValue, any_value::Value};
use wire::otlp::profiles::ProfilesDictionary;

/// One process.
#[derive(Debug, Default)]
pub(crate) struct Process {
    pub(crate) attributes: BTreeMap<String, String>,
    /// Attributes of the profile.
    pub(crate) counters: BTreeMap<String, String>,
    /// Leaf-first names, thread names, and number of samples.
    pub(crate) stacks: Vec<(Vec<String>, String, u64)>,
    pub(crate) period: i64,
}

/// All processes of a request.
#[derive(Debug)]
pub(crate) struct Decoded(pub(crate) Vec<Process>);

fn text(value: Option<&AnyValue>) -> String {
    match value.and_then(|it| it.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::DoubleValue(number)) => number.to_string(),
        _ => String::new(),
    }
}

fn attributes(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    attributes.iter().map(|it| (it.key.clone(), text(it.value.as_ref()))).collect()
}

struct Tables(ProfilesDictionary);

impl Tables {
    fn string(&self, index: i32) -> String {
        self.0.string_table[index as usize].clone()
    }

    fn attributes(&self, indices: &[i32]) -> BTreeMap<String, String> {
        let all = indices.iter().map(|index| &self.0.attribute_table[*index as usize]);
        all.map(|it| (self.string(it.key_strindex), text(it.value.as_ref()))).collect()
    }

    fn stack(&self, index: i32) -> Vec<String> {
        let stack = &self.0.stack_table[index as usize];
        let mut names = Vec::new();
        for index in &stack.location_indices {
            let location = &self.0.location_table[*index as usize];
            for line in &location.lines {
                let function = &self.0.function_table[line.function_index as usize];
                names.push(self.string(function.name_strindex));
            }
            if location.lines.is_empty() {
                names.push("?".to_owned());
            }
        }
        names
    }
}

impl Decoded {
    pub(crate) fn read(bytes: &[u8]) -> Self {
        let request = ExportProfilesServiceRequest::decode(bytes).expect("a valid request");
        let tables = Tables(request.dictionary.expect("a dictionary"));
        let mut processes = Vec::new();
        for resource in request.resource_profiles {
            let profile = &resource.scope_profiles[0].profiles[0];
            let mut process = Process {
                attributes: attributes(&resource.resource.expect("a resource").attributes),
                counters: tables.attributes(&profile.attribute_indices),
                period: profile.period,
                ..Process::default()
            };
            for sample in &profile.samples {
                assert!(sample.values.is_empty(), "samples are counted by their times");
                let thread = tables.attributes(&sample.attribute_indices);
                process.stacks.push((
                    tables.stack(sample.stack_index),
                    thread.get("thread.name").cloned().unwrap_or_default(),
                    sample.timestamps_unix_nano.len() as u64,
                ));
            }
            processes.push(process);
        }
        Self(processes)
    }

    pub(crate) fn of_service(&self, name: &str) -> &Process {
        let find = |it: &&Process| it.attributes.get("service.name").is_some_and(|it| it == name);
        self.0.iter().find(find).unwrap_or_else(|| {
            let names: Vec<_> = self.0.iter().map(|it| &it.attributes["service.name"]).collect();
            panic!("no service {name:?} among {names:?}")
        })
    }
}

impl Process {
    pub(crate) fn total(&self) -> u64 {
        self.stacks.iter().map(|it| it.2).sum()
    }

    /// Samples in whose stack `function` is.
    pub(crate) fn with(&self, function: &str) -> u64 {
        let has = |names: &[String]| names.iter().any(|it| it == function);
        self.stacks.iter().filter(|it| has(&it.0)).map(|it| it.2).sum()
    }

    /// Share of samples whose stack reached its root.
    pub(crate) fn complete(&self) -> f64 {
        let broken: f64 = self.counters["vesta.stacks.broken"].parse().expect("a number");
        1.0 - broken / self.total() as f64
    }
}
