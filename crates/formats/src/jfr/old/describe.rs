//! Types of version 0.9 in the form of version 2: a table of texts and a tree of elements.

use super::types::{
    BASICS, CONTENTS, Event, NAMES, PARTS, STACKS, THREADS, TIMESPAN, Types, Value,
};
use std::collections::HashMap;

/// What constants are called today.
const CONTENT_NAMES: [(&str, &str); 7] = [
    ("Thread", "java.lang.Thread"),
    ("Class", "java.lang.Class"),
    ("Method", "jdk.types.Method"),
    ("UTFConstant", "jdk.types.Symbol"),
    ("ThreadState", "jdk.types.ThreadState"),
    ("StackTrace", "jdk.types.StackTrace"),
    ("FrameType", "jdk.types.FrameType"),
];

/// What a field is called today; some names mean different things in different types.
fn field_name<'a>(class: &str, name: &'a str) -> &'a str {
    match (class, name) {
        ("java.lang.Thread", "name") => "javaName",
        ("jdk.types.Method", "class") => "type",
        ("jdk.types.Method", "signature") => "descriptor",
        ("jdk.types.Symbol", "utf8") => "string",
        ("jdk.types.FrameType", "desc") => "description",
        ("jdk.ThreadPark", "klass") => "parkedClass",
        ("jdk.JavaMonitorEnter" | "jdk.JavaMonitorWait", "klass") => "monitorClass",
        (_, "class") => "objectClass",
        (_, "line") => "lineNumber",
        _ => name,
    }
}

/// A field of version 2.
struct Field<'a> {
    name: &'a str,
    class: u64,
    is_key: bool,
    is_array: bool,
    unit: Option<&'static str>,
}

impl<'a> Field<'a> {
    fn of(class: &str, value: &'a Value) -> Self {
        Self {
            name: field_name(class, &value.name),
            class: value.class(),
            is_key: value.is_key(),
            is_array: value.is_array(),
            unit: match value.content {
                3 => Some("MILLISECONDS"),
                4 => Some("NANOSECONDS"),
                5 => Some("TICKS"),
                _ => None,
            },
        }
    }

    fn number(name: &'a str, unit: Option<&'static str>) -> Self {
        Self { name, class: BASICS + 7, is_key: false, is_array: false, unit }
    }

    fn text(name: &'a str) -> Self {
        Self { name, class: BASICS + 11, is_key: false, is_array: false, unit: None }
    }

    fn key(name: &'a str, content: i32) -> Self {
        let class = CONTENTS + u64::from(content.cast_unsigned());
        Self { name, class, is_key: true, is_array: false, unit: None }
    }
}

/// The event of types, after its size.
pub(super) fn metadata(types: &Types) -> Vec<u8> {
    let mut tree = Tree::default();
    let count = NAMES.len() + 1 + types.parts.len() + types.contents.len() + types.events.len();
    tree.element("root", &[], 1);
    tree.element("metadata", &[], count);
    for (at, (_, name)) in NAMES.iter().enumerate() {
        tree.class(BASICS + at as u64, name, &[]);
    }
    tree.class(TIMESPAN, "jdk.jfr.Timespan", &[]);
    for (at, part) in types.parts.iter().enumerate() {
        let fields: Vec<_> = part.iter().map(|value| Field::of("", value)).collect();
        tree.class(PARTS + at as u64, "part", &fields);
    }
    for content in &types.contents {
        let known = CONTENT_NAMES.iter().find(|(old, _)| *old == content.name);
        let name = known.map_or(content.name.as_str(), |(_, name)| name);
        let system_id = content.is_thread.then(|| Field::number("osThreadId", None));
        let own = types.parts[content.part].iter().map(|value| Field::of(name, value));
        let fields: Vec<_> = system_id.into_iter().chain(own).collect();
        tree.class(content.class, name, &fields);
    }
    for event in &types.events {
        tree.class(event.kind, &event.name, &fields(event, types));
    }
    tree.finish()
}

fn fields<'a>(event: &'a Event, types: &'a Types) -> Vec<Field<'a>> {
    let mut fields = vec![Field::number("startTime", Some("TICKS"))];
    if event.is_setting {
        fields.extend([Field::number("id", None), Field::text("name"), Field::text("value")]);
        return fields;
    }
    if event.has_start {
        fields.push(Field::number("duration", Some("TICKS")));
    }
    if event.has_thread {
        fields.push(Field::key("eventThread", THREADS));
    }
    if event.has_stack {
        fields.push(Field::key("stackTrace", STACKS));
    }
    fields.extend(types.parts[event.part].iter().map(|value| Field::of(&event.name, value)));
    fields
}

#[derive(Default)]
struct Tree {
    texts: Vec<String>,
    known: HashMap<String, i32>,
    bytes: Vec<u8>,
}

impl Tree {
    fn text(&mut self, text: &str) {
        let at = self.known.get(text).copied().unwrap_or_else(|| {
            let at = self.texts.len() as i32;
            self.texts.push(text.to_owned());
            self.known.insert(text.to_owned(), at);
            at
        });
        self.int(at);
    }

    fn int(&mut self, number: i32) {
        self.bytes.extend(number.to_be_bytes());
    }

    fn element(&mut self, name: &str, attributes: &[(&str, &str)], children: usize) {
        self.text(name);
        self.int(attributes.len() as i32);
        for (key, value) in attributes {
            self.text(key);
            self.text(value);
        }
        self.int(children as i32);
    }

    fn class(&mut self, id: u64, name: &str, fields: &[Field<'_>]) {
        self.element("class", &[("id", &id.to_string()), ("name", name)], fields.len());
        for field in fields {
            let class = field.class.to_string();
            let mut attributes = vec![("name", field.name), ("class", class.as_str())];
            if field.is_key {
                attributes.push(("constantPool", "true"));
            }
            if field.is_array {
                attributes.push(("dimension", "1"));
            }
            self.element("field", &attributes, usize::from(field.unit.is_some()));
            if let Some(unit) = field.unit {
                let class = TIMESPAN.to_string();
                self.element("annotation", &[("class", &class), ("value", unit)], 0);
            }
        }
    }

    fn finish(self) -> Vec<u8> {
        // Type, start, duration, number.
        let mut out: Vec<u8> = [0_u64, 0, 0, 1].into_iter().flat_map(u64::to_be_bytes).collect();
        out.extend((self.texts.len() as i32).to_be_bytes());
        for text in &self.texts {
            out.push(super::PLAIN);
            out.extend((text.len() as i32).to_be_bytes());
            out.extend(text.as_bytes());
        }
        out.extend(self.bytes);
        out
    }
}
