//! The tables that all profiles of a request share; index 0 of each means "not set".

use rustc_hash::FxHashMap;
use wire::otlp::common::{AnyValue, any_value::Value};
use wire::otlp::profiles::{
    Function, KeyValueAndUnit, Line, Link, Location, Mapping, ProfilesDictionary, Stack,
};

/// A value of an attribute that can be looked up.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Attribute {
    Text(String),
    Number(i64),
}

type LocationKey = (i32, u64, Vec<(i32, u32)>, i32);

/// Tables under construction.
#[derive(Debug)]
pub(crate) struct Dictionary {
    tables: ProfilesDictionary,
    strings: FxHashMap<String, i32>,
    attributes: FxHashMap<(i32, Attribute), i32>,
    functions: FxHashMap<(i32, i32, i64), i32>,
    mappings: FxHashMap<(i32, i32), i32>,
    locations: FxHashMap<LocationKey, i32>,
    stacks: FxHashMap<Vec<i32>, i32>,
}

pub(crate) fn text_value(text: &str) -> AnyValue {
    AnyValue { value: Some(Value::StringValue(text.to_owned())) }
}

pub(crate) fn int_value(number: i64) -> AnyValue {
    AnyValue { value: Some(Value::IntValue(number)) }
}

impl Dictionary {
    pub(crate) fn new() -> Self {
        let tables = ProfilesDictionary {
            mapping_table: vec![Mapping::default()],
            location_table: vec![Location::default()],
            function_table: vec![Function::default()],
            link_table: vec![Link::default()],
            string_table: vec![String::new()],
            attribute_table: vec![KeyValueAndUnit::default()],
            stack_table: vec![Stack::default()],
        };
        Self {
            tables,
            strings: FxHashMap::from_iter([(String::new(), 0)]),
            attributes: FxHashMap::default(),
            functions: FxHashMap::default(),
            mappings: FxHashMap::default(),
            locations: FxHashMap::default(),
            stacks: FxHashMap::default(),
        }
    }

    pub(crate) fn finish(self) -> ProfilesDictionary {
        self.tables
    }

    pub(crate) fn string(&mut self, text: &str) -> i32 {
        if let Some(index) = self.strings.get(text) {
            return *index;
        }
        let index = self.tables.string_table.len() as i32;
        self.tables.string_table.push(text.to_owned());
        self.strings.insert(text.to_owned(), index);
        index
    }

    pub(crate) fn attribute(&mut self, key: &str, value: Attribute) -> i32 {
        let key = self.string(key);
        let table = &mut self.tables.attribute_table;
        *self.attributes.entry((key, value)).or_insert_with_key(|(key, value)| {
            table.push(KeyValueAndUnit {
                key_strindex: *key,
                value: match value {
                    Attribute::Text(text) => Some(text_value(text)),
                    Attribute::Number(number) => Some(int_value(*number)),
                },
                unit_strindex: 0,
            });
            table.len() as i32 - 1
        })
    }

    pub(crate) fn function(&mut self, name: &str, file: &str, start_line: u32) -> i32 {
        let key = (self.string(name), self.string(file), i64::from(start_line));
        let table = &mut self.tables.function_table;
        *self.functions.entry(key).or_insert_with(|| {
            table.push(Function {
                name_strindex: key.0,
                filename_strindex: key.1,
                start_line: key.2,
                ..Function::default()
            });
            table.len() as i32 - 1
        })
    }

    /// A file of code; addresses are offsets in it.
    pub(crate) fn mapping(&mut self, file: &str, build_id: Option<&str>, limit: u64) -> i32 {
        let build_id = build_id.map_or(0, |it| {
            let key = "process.executable.build_id.gnu";
            self.attribute(key, Attribute::Text(it.to_owned()))
        });
        let key = (self.string(file), build_id);
        let table = &mut self.tables.mapping_table;
        *self.mappings.entry(key).or_insert_with(|| {
            table.push(Mapping {
                memory_limit: limit,
                filename_strindex: key.0,
                attribute_indices: if build_id == 0 { Vec::new() } else { vec![build_id] },
                ..Mapping::default()
            });
            table.len() as i32 - 1
        })
    }

    /// A place in code; `lines` are functions and lines, what was inlined first.
    pub(crate) fn location(
        &mut self,
        mapping: i32,
        address: u64,
        lines: Vec<(i32, u32)>,
        kind: &str,
    ) -> i32 {
        let kind = self.attribute("profile.frame.type", Attribute::Text(kind.to_owned()));
        let table = &mut self.tables.location_table;
        *self.locations.entry((mapping, address, lines, kind)).or_insert_with_key(|key| {
            let lines = key.2.iter().map(|(function, line)| Line {
                function_index: *function,
                line: i64::from(*line),
                column: 0,
            });
            table.push(Location {
                mapping_index: mapping,
                address,
                lines: lines.collect(),
                attribute_indices: vec![kind],
            });
            table.len() as i32 - 1
        })
    }

    pub(crate) fn stack(&mut self, locations: Vec<i32>) -> i32 {
        let table = &mut self.tables.stack_table;
        *self.stacks.entry(locations).or_insert_with_key(|locations| {
            table.push(Stack { location_indices: locations.clone() });
            table.len() as i32 - 1
        })
    }
}
