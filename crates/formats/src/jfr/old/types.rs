//! What a chunk of version 0.9 says of its types, and how their values are rewritten.

use crate::jfr::input::Input;
use crate::limits::{JFR_ELEMENTS_MAX, JFR_NESTING_MAX, JFR_STEPS_MAX, JFR_TYPE_TEXT_BYTES_MAX};
use profile::KeyedMap;

/// Where ids of constants, of parts and of basic types begin: version 2 has one row of ids.
pub(super) const CONTENTS: u64 = 1 << 40;
pub(super) const PARTS: u64 = 2 << 40;
pub(super) const BASICS: u64 = 3 << 40;
pub(super) const TIMESPAN: u64 = 4 << 40;
pub(super) const THREADS: i32 = 7;
pub(super) const STACKS: i32 = 9;
/// Contents that are no constants: bytes, times, addresses, shares.
const PLAIN_CONTENTS: [i32; 8] = [0, 1, 2, 3, 4, 5, 6, 11];

/// The basic types in the format's order, their sizes, and what they are in version 2.
pub(super) const NAMES: [(usize, &str); 13] = [
    (1, "boolean"),
    (1, "byte"),
    (1, "byte"),
    (2, "short"),
    (2, "char"),
    (4, "int"),
    (4, "int"),
    (8, "long"),
    (8, "long"),
    (4, "float"),
    (8, "double"),
    (0, "java.lang.String"),
    (0, "java.lang.String"),
];
const PLAIN_TEXT: u8 = 11;
const WIDE_TEXT: u8 = 12;
const ARRAY: u8 = 13;
const PART: u8 = 14;
const PARTS_IN_ROW: u8 = 15;

/// Types of events in the words of today's JDK, by how their addresses end.
const EVENTS: &[(&str, &str)] = &[
    ("jvm/vm/prof/execution_sample", "jdk.ExecutionSample"),
    ("jvm/java/object_alloc_in_new_TLAB", "jdk.ObjectAllocationInNewTLAB"),
    ("jvm/java/object_alloc_outside_TLAB", "jdk.ObjectAllocationOutsideTLAB"),
    ("jvm/java/monitor_enter", "jdk.JavaMonitorEnter"),
    ("jvm/java/monitor_wait", "jdk.JavaMonitorWait"),
    ("jvm/java/thread_park", "jdk.ThreadPark"),
    ("jvm/java/thread_sleep", "jdk.ThreadSleep"),
    ("jdk/java/file_read", "jdk.FileRead"),
    ("jdk/java/file_write", "jdk.FileWrite"),
    ("jdk/java/socket_read", "jdk.SocketRead"),
    ("jdk/java/socket_write", "jdk.SocketWrite"),
    ("jdk/java/exception_throw", "jdk.JavaExceptionThrow"),
    ("jdk/java/error_throw", "jdk.JavaErrorThrow"),
    ("jvm/os/processor/cpu_information", "jdk.CPUInformation"),
    ("jvm/os/information", "jdk.OSInformation"),
    ("jvm/vm/info", "jdk.JVMInformation"),
    (SETTING, "jdk.ActiveSetting"),
];
const SETTING: &str = "jfr-info/recordings/recording_setting";
const ROOT: &str = "http://www.oracle.com/hotspot/";

/// A value of a structure.
#[derive(Clone, Debug)]
pub(super) struct Value {
    pub(super) name: String,
    /// Its position among the basic types, or what it is made of.
    pub(super) kind: u8,
    pub(super) content: i32,
    /// The position of the structure it is made of, or of the basic type.
    of: usize,
}

impl Value {
    /// The type in version 2.
    pub(super) fn class(&self) -> u64 {
        match self.kind {
            PART | PARTS_IN_ROW => PARTS + self.of as u64,
            ARRAY => BASICS + self.of as u64,
            _ if self.is_key() => CONTENTS + u64::from(self.content.cast_unsigned()),
            kind => BASICS + u64::from(kind),
        }
    }

    /// Whether it is a key of constants.
    pub(super) fn is_key(&self) -> bool {
        (1..PLAIN_TEXT).contains(&self.kind) && !PLAIN_CONTENTS.contains(&self.content)
    }

    pub(super) fn is_array(&self) -> bool {
        matches!(self.kind, ARRAY | PARTS_IN_ROW)
    }
}

/// How a value is rewritten.
#[derive(Clone, Debug)]
pub(super) enum Op {
    /// So many bytes as they are.
    Copy(usize),
    /// A key of so many bytes.
    Key(usize),
    Plain,
    Wide,
    Array(Vec<Op>),
}

/// A type of events.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "flags of the file, and one of ours")]
pub(super) struct Event {
    pub(super) kind: u64,
    pub(super) name: String,
    pub(super) has_start: bool,
    pub(super) has_thread: bool,
    pub(super) has_stack: bool,
    pub(super) is_setting: bool,
    pub(super) part: usize,
    pub(super) ops: Vec<Op>,
    /// Names of the values, one an op.
    pub(super) names: Vec<String>,
}

/// A type of constants.
#[derive(Clone, Debug)]
pub(super) struct Content {
    pub(super) class: u64,
    pub(super) name: String,
    pub(super) key_bytes: usize,
    pub(super) is_thread: bool,
    pub(super) part: usize,
    pub(super) ops: Vec<Op>,
}

/// All that a chunk describes.
#[derive(Debug, Default)]
pub(super) struct Types {
    pub(super) parts: Vec<Vec<Value>>,
    pub(super) events: Vec<Event>,
    pub(super) contents: Vec<Content>,
    event_at: KeyedMap<i32, usize>,
    content_at: KeyedMap<i32, usize>,
    pub(super) start_millis: i64,
    pub(super) end_millis: i64,
    pub(super) start_ticks: u64,
    pub(super) ticks_per_second: u64,
    elements: usize,
    text_bytes: usize,
    /// Values that were looked at for types of events and of constants.
    steps: usize,
}

impl Types {
    /// Reads the event that describes them.
    pub(super) fn read(mut input: Input<'_>) -> Option<Self> {
        let (_size, _kind) = (input.int()?, input.int()?);
        let mut types = Self::default();
        for _ in 0..input.count()? {
            types.producer(&mut input)?;
        }
        types.start_millis = input.long()?.cast_signed();
        types.end_millis = input.long()?.cast_signed();
        types.start_ticks = input.long()?;
        types.ticks_per_second = input.long()?;
        Some(types)
    }

    pub(super) fn event(&self, kind: i32) -> Option<&Event> {
        self.events.get(*self.event_at.get(&kind)?)
    }

    pub(super) fn content(&self, id: i32) -> Option<&Content> {
        self.contents.get(*self.content_at.get(&id)?)
    }

    fn producer(&mut self, input: &mut Input<'_>) -> Option<()> {
        let _id = input.int()?;
        self.skip_texts(2, input)?;
        let address = self.text(input)?;
        let relations = input.count()?;
        self.skip_texts(relations, input)?;
        let base = self.parts.len();
        for _ in 0..input.count()? {
            self.element()?;
            let part = (0..input.count()?).map(|_| self.value(base, input));
            let part = part.collect::<Option<Vec<_>>>()?;
            self.parts.push(part);
        }
        for _ in 0..input.count()? {
            self.event_type(&address, base, input)?;
        }
        for _ in 0..input.count()? {
            self.content_type(base, input)?;
        }
        Some(())
    }

    fn value(&mut self, base: usize, input: &mut Input<'_>) -> Option<Value> {
        self.element()?;
        let name = self.text(input)?;
        self.skip_texts(2, input)?;
        let (_transition, kind) = (input.byte()?, input.byte()?);
        let (content, of, _) = (input.int()?, input.int()?, input.int()?);
        let of = usize::try_from(of).unwrap_or(0);
        let of = if matches!(kind, PART | PARTS_IN_ROW) { base.checked_add(of)? } else { of };
        Some(Value { name, kind, content, of })
    }

    fn event_type(&mut self, address: &str, base: usize, input: &mut Input<'_>) -> Option<()> {
        self.element()?;
        let id = input.int()?;
        self.skip_texts(2, input)?;
        let address = format!("{address}{}", self.text(input)?);
        let flags = [input.byte()?, input.byte()?, input.byte()?, input.byte()?];
        let [has_start, has_thread, has_stack, _] = flags.map(|flag| flag != 0);
        let (part, _) = (base.checked_add(usize::try_from(input.int()?).ok()?)?, input.int()?);
        let short = address.strip_prefix(ROOT).unwrap_or(&address);
        let known = EVENTS.iter().find(|(known, _)| *known == short);
        // 0 and 1 are types and constants. One whose values are not understood is left out.
        if let (Some(ops), 2..) = (self.ops(part), id) {
            let names = self.parts[part].iter().map(|value| value.name.clone()).collect();
            self.event_at.insert(id, self.events.len());
            self.events.push(Event {
                kind: u64::from(id.cast_unsigned()),
                name: known.map_or(short, |(_, name)| name).to_owned(),
                has_start,
                has_thread,
                has_stack,
                is_setting: short == SETTING,
                part,
                ops,
                names,
            });
        }
        Some(())
    }

    fn content_type(&mut self, base: usize, input: &mut Input<'_>) -> Option<()> {
        self.element()?;
        let id = input.int()?;
        let name = self.text(input)?;
        self.skip_texts(1, input)?;
        let kind = usize::from(input.byte()?);
        let part = base.checked_add(usize::try_from(input.int()?).ok()?)?;
        if let (Some(ops), Some((key_bytes @ 1.., _))) = (self.ops(part), NAMES.get(kind)) {
            self.content_at.insert(id, self.contents.len());
            self.contents.push(Content {
                class: CONTENTS + u64::from(id.cast_unsigned()),
                name,
                key_bytes: *key_bytes,
                is_thread: id == THREADS,
                part,
                ops,
            });
        }
        Some(())
    }

    /// How the values of a structure are rewritten, one op a value but for those within others.
    fn ops(&mut self, part: usize) -> Option<Vec<Op>> {
        let (mut ops, mut left) = (Vec::new(), JFR_STEPS_MAX);
        let known = self.add_ops(part, 0, &mut left, &mut ops);
        // Many types may be of one large structure.
        self.steps += JFR_STEPS_MAX - left;
        known.filter(|()| !self.is_cut()).map(|()| ops)
    }

    /// Whether types were left out as they take too much.
    pub(super) fn is_cut(&self) -> bool {
        self.steps > JFR_ELEMENTS_MAX
    }

    fn add_ops(
        &self,
        part: usize,
        depth: usize,
        left: &mut usize,
        ops: &mut Vec<Op>,
    ) -> Option<()> {
        if depth > JFR_NESTING_MAX {
            return None;
        }
        for value in self.parts.get(part)? {
            *left = left.checked_sub(1)?;
            match value.kind {
                PART => self.add_ops(value.of, depth + 1, left, ops)?,
                PARTS_IN_ROW => {
                    let mut inner = Vec::new();
                    self.add_ops(value.of, depth + 1, left, &mut inner)?;
                    ops.push(Op::Array(inner));
                }
                ARRAY => ops.push(Op::Array(vec![basic(u8::try_from(value.of).ok()?)?])),
                kind if value.is_key() => ops.push(Op::Key(NAMES.get(usize::from(kind))?.0)),
                kind => ops.push(basic(kind)?),
            }
        }
        Some(())
    }

    fn element(&mut self) -> Option<()> {
        self.elements += 1;
        (self.elements <= JFR_ELEMENTS_MAX).then_some(())
    }

    fn text(&mut self, input: &mut Input<'_>) -> Option<String> {
        let bytes = input.take(2)?;
        let text = input.take(usize::from(u16::from_be_bytes([bytes[0], bytes[1]])))?;
        self.text_bytes += text.len();
        let is_within = self.text_bytes <= JFR_TYPE_TEXT_BYTES_MAX;
        is_within.then(|| String::from_utf8_lossy(text).into_owned())
    }

    fn skip_texts(&mut self, count: usize, input: &mut Input<'_>) -> Option<()> {
        (0..count).try_for_each(|_| self.text(input).map(drop))
    }
}

fn basic(kind: u8) -> Option<Op> {
    Some(match kind {
        PLAIN_TEXT => Op::Plain,
        WIDE_TEXT => Op::Wide,
        kind => Op::Copy(NAMES.get(usize::from(kind))?.0),
    })
}
