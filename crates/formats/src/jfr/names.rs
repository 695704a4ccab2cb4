//! Constants as handles of the profile's tables: stacks, methods, threads, texts.

use super::decode::{Chunk, Out};
use super::input::{Basic, Input, Text};
use super::layout::{Reader, Step, Value, skip, steps_over};
use super::metadata::Class;
use crate::decoded::IssueKind;
use profile::{
    FrameType, Function, FunctionId, KeyedMap, Line, Location, LocationId, Mapping, MappingId,
    StackId, StackTable, StringId, Thread, ThreadId,
};
use std::borrow::Cow;
use std::rc::Rc;

/// How far a constant may lead to others until it is text.
const TEXT_STEPS_MAX: usize = 4;
/// Fields that name a constant, the better ones first.
const NAMING: [&str; 6] = ["name", "string", "type", "description", "cause", "when"];
/// What async-profiler writes as the signature of a function that is no method.
const NO_METHOD: [&str; 2] = ["()L;", ""];
const UNKNOWN_METHOD: &str = "[unknown method]";

/// A method, and what runs it.
#[derive(Clone, Copy, Debug)]
struct Method {
    function: FunctionId,
    /// It belongs to a binary, not to a class.
    is_native: bool,
    binary: Option<MappingId>,
}

/// What is known of one chunk's constants.
#[derive(Debug)]
pub(super) struct Names<'c, 'a> {
    pub(super) chunk: &'c Chunk<'a>,
    stack: Option<Rc<StackLayout>>,
    method: Option<(usize, Rc<Reader>)>,
    thread: Option<Rc<Reader>>,
    strings: Option<usize>,
    /// By position of the type: how its constants are text.
    naming: KeyedMap<usize, Option<Rc<Reader>>>,
    methods: KeyedMap<u64, Method>,
    frame_types: KeyedMap<u64, FrameType>,
    locations: KeyedMap<(u64, i64, u64), LocationId>,
    stacks: KeyedMap<u64, (StackId, bool)>,
    threads: KeyedMap<u64, Option<ThreadId>>,
    texts: KeyedMap<(usize, u64), StringId>,
    /// The texts that constants are, or lead to.
    constants: KeyedMap<(usize, u64), Text<'a>>,
    /// So much has been read that no constant is any more.
    is_spent: bool,
}

/// A frame's method, its line, and where it is said how it runs.
type Frame = (u64, i64, (usize, u64));

/// A stack trace: what stands before its frames, and how a frame reads.
#[derive(Debug)]
struct StackLayout {
    class: usize,
    /// Steps to the frames; whether the stack was cut is the first byte when it is the first field.
    before: Vec<Step>,
    begins_with_truncated: bool,
    frame: Reader,
}

impl StackLayout {
    fn new(chunk: &Chunk<'_>) -> Option<Self> {
        let types = &chunk.types;
        let class = types.position("jdk.types.StackTrace")?;
        let fields = &types.get(class)?.fields;
        let at = fields
            .iter()
            .position(|field| field.name == "frames" && field.is_array && !field.is_pooled)?;
        let before = steps_over(types, &fields[..at])?;
        let begins_with_truncated =
            fields[0].name == "truncated" && steps_over(types, &fields[..1])? == [Step::Bytes(1)];
        let frame = types.find(fields[at].class)?;
        let frame = Reader::new(types, frame, &["method", "lineNumber", "type"])?;
        Some(Self { class, before, begins_with_truncated, frame })
    }

    /// Whether the client cut the stack, and its frames up to `max` or to damage.
    fn read(&self, input: &mut Input<'_>, max: usize) -> Option<(bool, Vec<Frame>)> {
        let mut first = *input;
        let is_truncated = self.begins_with_truncated && first.byte() == Some(1);
        skip(input, &self.before)?;
        let count = input.count()?;
        let frames = (0..count.min(max)).map_while(|_| {
            let (slots, is_whole) = self.frame.read(input);
            let Value::Pooled(_, method) = slots[0] else { return None };
            let line = if let Value::Number(line) = slots[1] { line } else { 0 };
            let kind = if let Value::Pooled(class, key) = slots[2] { (class, key) } else { (0, 0) };
            is_whole.then_some((method, line, kind))
        });
        Some((is_truncated, frames.collect()))
    }
}

impl<'c, 'a> Names<'c, 'a> {
    pub(super) fn new(chunk: &'c Chunk<'a>) -> Self {
        let types = &chunk.types;
        let method = types.position("jdk.types.Method");
        let thread = types.position("java.lang.Thread");
        let thread_fields = ["osName", "osThreadId", "javaName", "javaThreadId"];
        Self {
            chunk,
            stack: StackLayout::new(chunk).map(Rc::new),
            method: method.and_then(|at| {
                let reader = Reader::new(types, at, &["type", "name", "descriptor"])?;
                Some((at, Rc::new(reader)))
            }),
            thread: thread.and_then(|at| Reader::new(types, at, &thread_fields)).map(Rc::new),
            strings: types.position("java.lang.String"),
            naming: KeyedMap::default(),
            methods: KeyedMap::default(),
            frame_types: KeyedMap::default(),
            locations: KeyedMap::default(),
            stacks: KeyedMap::default(),
            threads: KeyedMap::default(),
            texts: KeyedMap::default(),
            constants: KeyedMap::default(),
            is_spent: false,
        }
    }

    /// The stack of a key, and whether the client cut it. Key 0 is no stack.
    pub(super) fn stack(&mut self, key: u64, out: &mut Out) -> (StackId, bool) {
        if let Some(&known) = self.stacks.get(&key) {
            return known;
        }
        let found = self.read_stack(key, out);
        if found.is_none() && key != 0 {
            self.is_missing("stack", key, out);
        }
        let found = found.unwrap_or((StackTable::ROOT, false));
        self.stacks.insert(key, found);
        found
    }

    fn read_stack(&mut self, key: u64, out: &mut Out) -> Option<(StackId, bool)> {
        let layout = self.stack.clone()?;
        let max = out.budget.frames_to_read();
        let (is_truncated, frames) =
            self.read(layout.class, key, out, |input| layout.read(input, max))??;
        let locations = frames.into_iter();
        let leaf_first: Vec<_> = locations
            .map_while(|(method, line, (class, kind))| {
                self.location((method, line, kind), class, out)
            })
            .collect();
        let stack = out.budget.stack(&mut out.profile.tables, &leaf_first, &mut out.issues);
        Some((stack, is_truncated))
    }

    /// Reads a constant where it stands, and charges the bytes that were walked. `None` when there is
    /// none of that key, or when too much has been read.
    fn read<T>(
        &mut self,
        class: usize,
        key: u64,
        out: &mut Out,
        read: impl FnOnce(&mut Input<'a>) -> T,
    ) -> Option<T> {
        let mut input = self.chunk.input;
        let start = self.chunk.pools.get(class, key).filter(|_| !self.is_spent)?;
        input.at = start;
        let found = read(&mut input);
        self.is_spent = !out.budget.work(input.at - start, &mut out.issues);
        Some(found)
    }

    /// Says that there is no such constant, where that is why it was not read.
    fn is_missing(&self, what: &str, key: u64, out: &mut Out) {
        if !self.is_spent {
            out.issues.add(IssueKind::Reference, || format!("there is no {what} {key}"));
        }
    }

    fn location(
        &mut self,
        frame: (u64, i64, u64),
        kind_class: usize,
        out: &mut Out,
    ) -> Option<LocationId> {
        if let Some(&known) = self.locations.get(&frame) {
            return Some(known);
        }
        if !out.budget.location(&mut out.issues) || !out.budget.line(&mut out.issues) {
            return None;
        }
        let (method, line, kind) = frame;
        let method = self.method(method, out);
        let frame_type =
            if method.is_native { self.native_type(kind_class, kind, out) } else { FrameType::Jvm };
        let line = u32::try_from(line).unwrap_or(0);
        let lines = smallvec_of(Line { function: method.function, line, column: 0 });
        let location =
            Location { mapping: method.binary, lines, frame_type, ..Location::default() };
        let id = out.profile.tables.locations.intern(location);
        self.locations.insert(frame, id);
        Some(id)
    }

    fn native_type(&mut self, class: usize, key: u64, out: &mut Out) -> FrameType {
        if let Some(&known) = self.frame_types.get(&key) {
            return known;
        }
        let name = self.constant(class, key, out);
        let found = if name == "Kernel" { FrameType::Kernel } else { FrameType::Native };
        self.frame_types.insert(key, found);
        found
    }

    fn method(&mut self, key: u64, out: &mut Out) -> Method {
        if let Some(&known) = self.methods.get(&key) {
            return known;
        }
        let found = self.read_method(key, out).unwrap_or_else(|| {
            self.is_missing("method", key, out);
            let name = out.budget.intern(&mut out.profile.tables, UNKNOWN_METHOD, &mut out.issues);
            let function = Function { name, ..Function::default() };
            let function = out.profile.tables.functions.intern(function);
            Method { function, is_native: false, binary: None }
        });
        self.methods.insert(key, found);
        found
    }

    fn read_method(&mut self, key: u64, out: &mut Out) -> Option<Method> {
        let (class, reader) = self.method.clone()?;
        let (slots, _) = self.read(class, key, out, |input| reader.read(input))?;
        let owner = self.value_text(slots[0], out);
        let name = self.value_text(slots[1], out);
        let descriptor = self.value_text(slots[2], out);
        let is_native = reader.has(2) && NO_METHOD.contains(&descriptor.as_ref());
        let owner = if is_native { owner } else { Cow::Owned(class_name(&owner)) };
        let full = match (owner.as_ref(), name.as_ref()) {
            ("", name) => name.to_owned(),
            (owner, name) => format!("{owner}.{name}"),
        };
        let Out { profile, budget, issues } = out;
        let tables = &mut profile.tables;
        let name = budget.intern(tables, &full, issues);
        let function = tables.functions.intern(Function { name, ..Function::default() });
        let binary = (is_native && !owner.is_empty()).then(|| {
            let file = budget.intern(tables, &owner, issues);
            tables.mappings.intern(Mapping { file, ..Mapping::default() })
        });
        Some(Method { function, is_native, binary })
    }

    /// Whether constants of the type are threads.
    pub(super) fn is_thread(&self, class: usize) -> bool {
        let class = self.chunk.types.get(class);
        class.is_some_and(|class| class.name == "java.lang.Thread")
    }

    /// The thread of a key.
    pub(super) fn thread(&mut self, class: usize, key: u64, out: &mut Out) -> Option<ThreadId> {
        if let Some(known) = self.threads.get(&key) {
            return *known;
        }
        let found = self.read_thread(class, key, out);
        if found.is_none() && key != 0 {
            self.is_missing("thread", key, out);
        }
        self.threads.insert(key, found);
        found
    }

    fn read_thread(&mut self, class: usize, key: u64, out: &mut Out) -> Option<ThreadId> {
        let reader = self.thread.clone()?;
        let (slots, _) = self.read(class, key, out, |input| reader.read(input))?;
        let number = |value| if let Value::Number(number) = value { number } else { 0 };
        let id = match number(slots[1]) {
            // Virtual threads have none of the operating system.
            0 => number(slots[3]),
            id => id,
        };
        let mut name = self.value_text(slots[2], out);
        if name.is_empty() {
            name = self.value_text(slots[0], out);
        }
        let name = out.budget.intern(&mut out.profile.tables, &name, &mut out.issues);
        Some(out.profile.tables.threads.intern(Thread { id, name }))
    }

    /// The text of a constant as a handle, read once; classes as people write them.
    pub(super) fn interned(&mut self, class: usize, key: u64, out: &mut Out) -> StringId {
        if let Some(&known) = self.texts.get(&(class, key)) {
            return known;
        }
        let mut text = self.constant(class, key, out);
        let name = self.chunk.types.get(class).map_or("", |class| class.name.as_str());
        match name {
            "java.lang.Class" | "jdk.types.OldObject" => text = Cow::Owned(shown_class(&text)),
            "jdk.types.ThreadState" => {
                text = Cow::Owned(text.strip_prefix("STATE_").unwrap_or(&text).to_owned());
            }
            _ => {}
        }
        let id = out.budget.intern(&mut out.profile.tables, &text, &mut out.issues);
        // Keys of nothing may be as many as events.
        if self.chunk.pools.get(class, key).is_some() {
            self.texts.insert((class, key), id);
        }
        id
    }

    /// The text of a value; empty when it is none.
    pub(super) fn value_text(&mut self, value: Value<'a>, out: &mut Out) -> Cow<'a, str> {
        match value {
            Value::Text(Text::Pooled(key)) => match self.strings {
                Some(class) => self.constant(class, key, out),
                None => Cow::Borrowed(""),
            },
            Value::Text(text) => plain(text, out),
            Value::Pooled(class, key) => self.constant(class, key, out),
            Value::None | Value::Number(_) | Value::Fraction(_) => Cow::Borrowed(""),
        }
    }

    /// The text of a constant; empty when it leads to none.
    fn constant(&mut self, class: usize, key: u64, out: &mut Out) -> Cow<'a, str> {
        let text = self.text_of(class, key, TEXT_STEPS_MAX, out);
        text.map_or(Cow::Borrowed(""), |text| plain(text, out))
    }

    /// The text that a constant is, or that it leads to in so many steps.
    fn text_of(&mut self, class: usize, key: u64, steps: usize, out: &mut Out) -> Option<Text<'a>> {
        if let Some(&known) = self.constants.get(&(class, key)) {
            return Some(known);
        }
        let steps = steps.checked_sub(1)?;
        let text = match self.naming_value(class, key, out)? {
            Value::Pooled(class, key) => self.text_of(class, key, steps, out)?,
            Value::Text(Text::Pooled(key)) => self.text_of(self.strings?, key, steps, out)?,
            Value::Text(text) => text,
            Value::None | Value::Number(_) | Value::Fraction(_) => return None,
        };
        self.constants.insert((class, key), text);
        Some(text)
    }

    /// What names a constant: a text, or another constant.
    fn naming_value(&mut self, class: usize, key: u64, out: &mut Out) -> Option<Value<'a>> {
        let types = &self.chunk.types;
        if types.get(class).and_then(Class::basic) == Some(Basic::Text) {
            return self.read(class, key, out, |input| input.text().map(Value::Text))?;
        }
        self.chunk.pools.get(class, key)?;
        let reader = self.naming.entry(class);
        let reader =
            reader.or_insert_with(|| Reader::new(types, class, &NAMING).map(Rc::new)).clone()?;
        let (slots, _) = self.read(class, key, out, |input| reader.read(input))?;
        slots.into_iter().find(|value| !matches!(value, Value::None))
    }
}

fn smallvec_of(line: Line) -> profile::Lines {
    std::iter::once(line).collect()
}

/// A text that stands where it is referred to; empty when texts have been read too often already.
fn plain<'a>(text: Text<'a>, out: &mut Out) -> Cow<'a, str> {
    let limits = out.budget.limits;
    if !out.budget.work(text.len().min(limits.string_bytes_max), &mut out.issues) {
        return Cow::Borrowed("");
    }
    text.read(&limits, &mut out.issues)
}

/// A class as Java writes it.
fn class_name(name: &str) -> String {
    name.replace('/', ".")
}

/// A class as people write it: arrays with brackets behind.
fn shown_class(name: &str) -> String {
    let item = name.trim_start_matches('[');
    let dimensions = name.len() - item.len();
    if dimensions == 0 {
        return class_name(name);
    }
    let item = match item {
        "Z" => "boolean",
        "B" => "byte",
        "C" => "char",
        "S" => "short",
        "I" => "int",
        "J" => "long",
        "F" => "float",
        "D" => "double",
        other => other.strip_prefix('L').unwrap_or(other).trim_end_matches(';'),
    };
    // A limit keeps a name of brackets from growing.
    class_name(item) + &"[]".repeat(dimensions.min(255))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_shown_as_java_writes_them() {
        for (name, expected) in [
            ("java/util/Map$Entry", "java.util.Map$Entry"),
            ("[B", "byte[]"),
            ("[[Ljava/lang/String;", "java.lang.String[][]"),
            ("", ""),
            ("byte[]", "byte[]"),
        ] {
            assert_eq!(shown_class(name), expected);
        }
    }
}
