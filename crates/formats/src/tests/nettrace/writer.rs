//! Writes nettrace files: both containers, events with compressed headers and without.

/// 2026-11-22 00:00:00 UTC.
pub(super) const START_NANOS: i64 = 1_795_305_600_000_000_000;
pub(super) const START_TICKS: i64 = 1_000;
/// Of 100 ns.
pub(super) const TICKS_PER_SECOND: i64 = 10_000_000;
pub(super) const RUNTIME: &str = "Microsoft-Windows-DotNETRuntime";
pub(super) const RUNDOWN: &str = "Microsoft-Windows-DotNETRuntimeRundown";
const SAMPLER: &str = "Microsoft-DotNETCore-SampleProfiler";
/// What lies between a thread's id and its key in plain files.
const KEY_OFFSET: u64 = 100;

/// The forms of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Version 4 as the runtime writes it.
    Compressed,
    /// Version 4 with headers in full.
    Full,
    /// Version 6.
    Plain,
    /// Version 6 with headers in full.
    PlainFull,
}

pub(crate) const FORMS: [Form; 4] = [Form::Compressed, Form::Full, Form::Plain, Form::PlainFull];

/// An event.
#[derive(Clone, Debug, Default)]
pub(super) struct Event {
    pub(super) kind: u32,
    pub(super) thread: u64,
    pub(super) stack: u32,
    /// Since the start.
    pub(super) ticks: i64,
    pub(super) labels: u32,
    pub(super) payload: Vec<u8>,
    /// Events that were lost before it.
    pub(super) lost: u32,
}

/// A file that is being written.
#[derive(Debug)]
pub(super) struct Trace {
    form: Form,
    bytes: Vec<u8>,
    sequence: u32,
}

pub(super) fn wide(text: &str) -> Vec<u8> {
    text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
}

pub(super) fn varuint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

pub(super) fn plain(text: &str) -> Vec<u8> {
    [varuint(text.len() as u64), text.as_bytes().to_vec()].concat()
}

pub(super) fn short(text: &str) -> Vec<u8> {
    [(text.len() as u16).to_le_bytes().to_vec(), text.as_bytes().to_vec()].concat()
}

fn u32s(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

fn u64s(numbers: &[u64]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

impl Trace {
    pub(super) fn new(form: Form) -> Self {
        let mut trace = Self { form, bytes: b"Nettrace".to_vec(), sequence: 0 };
        let time: Vec<u8> =
            [2026_u16, 11, 0, 22, 0, 0, 0, 0].into_iter().flat_map(u16::to_le_bytes).collect();
        let ticks = u64s(&[START_TICKS as u64, TICKS_PER_SECOND as u64]);
        let common = [time, ticks, u32s(&[8])].concat();
        if trace.is_plain() {
            trace.bytes.extend(u32s(&[0, 6, 0]));
            let pairs = [("ProcessId", "42"), ("HardwareThreadCount", "3"), ("Host", "box")];
            let rate = ("ExpectedCPUSamplingRate", "1000000");
            let pairs = pairs.into_iter().chain([rate]);
            let pairs: Vec<u8> =
                pairs.flat_map(|(key, value)| [plain(key), plain(value)].concat()).collect();
            trace.block(1, "Trace", &[common, u32s(&[4]), pairs].concat());
        } else {
            trace.bytes.extend(b"\x14\0\0\0!FastSerialization.1");
            trace.object("Trace", &[common, u32s(&[42, 3, 1_000_000])].concat(), false);
        }
        trace
    }

    fn is_plain(&self) -> bool {
        matches!(self.form, Form::Plain | Form::PlainFull)
    }

    fn object(&mut self, name: &str, body: &[u8], is_sized: bool) {
        self.bytes.extend([5, 5, 1]);
        self.bytes.extend(u32s(&[4, 4, name.len() as u32]));
        self.bytes.extend(name.as_bytes());
        self.bytes.push(6);
        if is_sized {
            self.bytes.extend(u32s(&[body.len() as u32]));
            self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        }
        self.bytes.extend(body);
        self.bytes.push(6);
    }

    fn block(&mut self, number: u32, name: &str, body: &[u8]) {
        if self.is_plain() {
            self.bytes.extend(u32s(&[number << 24 | body.len() as u32]));
            self.bytes.extend(body);
        } else {
            self.object(name, body, true);
        }
    }

    /// Types of events: key, provider, number, name.
    pub(super) fn types(&mut self, types: &[(u32, &str, u32, &str)]) {
        if !self.is_plain() {
            let rows = types.iter().map(|(key, provider, number, name)| {
                let names = [wide(provider), u32s(&[*number]), wide(name)].concat();
                let payload = [u32s(&[*key]), names, vec![0; 8], u32s(&[1, 4, 0])].concat();
                Event { payload, ticks: -START_TICKS, ..Event::default() }
            });
            let rows: Vec<_> = rows.collect();
            return self.rows("MetadataBlock", 3, &rows);
        }
        let rows = types.iter().flat_map(|(key, provider, number, name)| {
            let (key, number) = (varuint(u64::from(*key)), varuint(u64::from(*number)));
            let row = [key, plain(provider), number, plain(name), vec![0; 4]].concat();
            [(row.len() as u16).to_le_bytes().to_vec(), row].concat()
        });
        let body: Vec<u8> = [2, 0, 7, 7].into_iter().chain(rows).collect();
        self.block(3, "", &body);
    }

    /// Stacks of addresses, the leaf's first.
    pub(super) fn stacks(&mut self, first: u32, stacks: &[&[u64]]) {
        let each = stacks.iter().flat_map(|stack| {
            let stack = u64s(stack);
            [u32s(&[stack.len() as u32]), stack].concat()
        });
        let head = u32s(&[first, stacks.len() as u32]);
        let body: Vec<u8> = head.into_iter().chain(each).collect();
        self.block(5, "StackBlock", &body);
    }

    /// Threads of plain files; others have no such thing.
    pub(super) fn threads(&mut self, threads: &[(u64, u64, &str)]) {
        if !self.is_plain() {
            return;
        }
        let rows = threads.iter().flat_map(|(process, id, name)| {
            let mut row = varuint(id + KEY_OFFSET);
            if !name.is_empty() {
                row.extend([vec![1], plain(name)].concat());
            }
            row.extend([vec![2], varuint(*process), vec![3], varuint(*id)].concat());
            row.extend([vec![4], plain("key"), plain("value")].concat());
            [(row.len() as u16).to_le_bytes().to_vec(), row].concat()
        });
        let body: Vec<u8> = rows.collect();
        self.block(6, "", &body);
    }

    /// Lists of labels of plain files.
    pub(super) fn labels(&mut self, first: u32, count: u32, labels: &[u8]) {
        let body = [u32s(&[first, count]), labels.to_vec()].concat();
        self.block(8, "", &body);
    }

    pub(super) fn events(&mut self, events: &[Event]) {
        self.rows("EventBlock", 2, events);
    }

    fn rows(&mut self, name: &str, number: u32, events: &[Event]) {
        let is_compressed = matches!(self.form, Form::Compressed | Form::Plain);
        let mut body: Vec<u8> = [20_u16, u16::from(is_compressed)]
            .into_iter()
            .flat_map(u16::to_le_bytes)
            .chain([0; 16])
            .collect();
        let mut last = Event { ticks: -START_TICKS, thread: u64::MAX, ..Event::default() };
        let before = self.sequence;
        for event in events {
            if number == 2 {
                self.sequence += 1 + event.lost;
            }
            let row = if is_compressed {
                self.compressed(event, &last, last.thread == u64::MAX)
            } else {
                self.full(event)
            };
            body.extend(row);
            last = event.clone();
        }
        if number != 2 {
            self.sequence = before;
        }
        self.block(number, name, &body);
    }

    fn key(&self, thread: u64) -> u64 {
        if self.is_plain() && thread > 0 { thread + KEY_OFFSET } else { thread }
    }

    fn compressed(&self, event: &Event, last: &Event, is_first: bool) -> Vec<u8> {
        let mut flags = 128_u8 | 64;
        let mut fields = Vec::new();
        if is_first || event.kind != last.kind {
            flags |= 1;
            fields.extend(varuint(u64::from(event.kind)));
        }
        if event.kind != 0 && (is_first || event.lost > 0) {
            flags |= 2;
            // Counted from 0 in each block, and the event itself counts too.
            let delta = if is_first { self.sequence - 1 } else { event.lost };
            fields.extend([varuint(u64::from(delta)), varuint(self.key(9)), varuint(0)].concat());
        }
        if is_first || event.thread != last.thread {
            flags |= 4;
            fields.extend(varuint(self.key(event.thread)));
        }
        if is_first || event.stack != last.stack {
            flags |= 8;
            fields.extend(varuint(u64::from(event.stack)));
        }
        fields.extend(varuint((event.ticks - last.ticks) as u64));
        if self.is_plain() && (is_first || event.labels != last.labels) {
            flags |= 16;
            fields.extend(varuint(u64::from(event.labels)));
        } else if !self.is_plain() {
            flags |= 16 | 32;
            fields.extend([0xab; 32]);
        }
        fields.extend(varuint(event.payload.len() as u64));
        [vec![flags], fields, event.payload.clone()].concat()
    }

    fn full(&self, event: &Event) -> Vec<u8> {
        let threads = u64s(&[self.key(event.thread), self.key(9)]);
        let ticks = (START_TICKS + event.ticks) as u64;
        let head = [u32s(&[event.kind, self.sequence]), threads, u32s(&[0, event.stack])].concat();
        let ids = if self.is_plain() { u32s(&[event.labels]) } else { vec![0xab; 32] };
        let size = u32s(&[event.payload.len() as u32]);
        let mut row = [head, u64s(&[ticks]), ids, size, event.payload.clone()].concat();
        row.resize(row.len().next_multiple_of(4), 0);
        [u32s(&[row.len() as u32]), row].concat()
    }

    /// Stacks are forgotten; the thread that captures has counted so many events beyond the last.
    pub(super) fn sequence_point(&mut self, lost: u32) {
        self.sequence += lost;
        let head = if self.is_plain() { u32s(&[0, 0, 0, 1]) } else { u32s(&[0, 0, 1]) };
        let entry = if self.is_plain() {
            [varuint(self.key(9)), varuint(u64::from(self.sequence))].concat()
        } else {
            [u64s(&[9]), u32s(&[self.sequence])].concat()
        };
        self.block(4, "SPBlock", &[head, entry].concat());
    }

    pub(super) fn end(mut self) -> Vec<u8> {
        if self.is_plain() {
            self.bytes.extend([0; 4]);
        } else {
            self.bytes.push(1);
        }
        self.bytes
    }
}

pub(super) const TYPES: &[(u32, &str, u32, &str)] = &[
    (1, SAMPLER, 0, ""),
    (2, RUNTIME, 10, ""),
    (3, RUNTIME, 80, ""),
    (4, RUNTIME, 81, ""),
    (5, RUNTIME, 91, ""),
    (6, RUNTIME, 301, ""),
    (7, RUNTIME, 302, ""),
    (8, RUNTIME, 61, ""),
    (9, RUNTIME, 62, ""),
    (10, RUNTIME, 55, ""),
    (11, RUNTIME, 1, ""),
    (12, RUNTIME, 2, ""),
    (13, RUNTIME, 9, ""),
    (14, RUNTIME, 3, ""),
    (15, RUNTIME, 303, ""),
    (16, "My-Source", 5, "Hello"),
    (20, RUNDOWN, 144, "MethodDCEndVerbose"),
    (21, RUNDOWN, 154, "ModuleDCEnd"),
    (22, RUNDOWN, 187, ""),
    (30, "Universal.Events", 0, "cpu"),
    (31, "Universal.Events", 0, "cswitch"),
    (32, "Universal.System", 0, "ProcessMapping"),
    (33, "Universal.System", 0, "ProcessSymbol"),
];

/// An event of thread 7 on stack 1.
pub(super) fn event(kind: u32, ticks: i64, payload: Vec<u8>) -> Event {
    Event { kind, thread: 7, stack: 1, ticks, payload, ..Event::default() }
}

pub(super) fn sample(ticks: i64, mode: u32) -> Event {
    event(1, ticks, u32s(&[mode]))
}

pub(super) fn tick(ticks: i64, bytes: u64, class: &str) -> Event {
    let head = [u32s(&[1, 1]), vec![0; 2], u64s(&[bytes, 0xdead])].concat();
    event(2, ticks, [head, wide(class), u32s(&[0])].concat())
}

pub(super) fn sampled(ticks: i64, bytes: u64, class: &str) -> Event {
    let head = [u32s(&[0]), vec![0; 2], u64s(&[0xdead])].concat();
    event(15, ticks, [head, wide(class), u64s(&[0xbeef, bytes, 0])].concat())
}

pub(super) fn method(start: u64, size: u32, class: &str, name: &str) -> Event {
    let head = [u64s(&[77, 500, start]), u32s(&[size, 0, 0])].concat();
    event(20, 9_000_000, [head, wide(class), wide(name), wide("void ()"), vec![0; 10]].concat())
}

pub(super) fn module(path: &str) -> Event {
    event(21, 9_000_000, [u64s(&[500, 1]), u32s(&[0, 0]), wide(path), wide("")].concat())
}

/// One event of each type that becomes a sample of .NET, and what names them.
pub(crate) fn small(form: Form) -> Vec<u8> {
    let mut trace = Trace::new(form);
    trace.threads(&[(42, 7, ""), (42, 8, ""), (42, 9, "")]);
    trace.types(TYPES);
    trace.stacks(1, &[&[0x1010, 0x2040], &[0x1010]]);
    let number = |number: u32| u32s(&[number]);
    let duration = [vec![1, 0, 0], 2_500_000_f64.to_bits().to_le_bytes().to_vec()].concat();
    let thrown = [wide("System.FormatException"), wide("no number"), vec![0; 16]].concat();
    trace.events(&[
        sample(100, 2),
        tick(200, 106_496, "System.String[]"),
        event(3, 300, thrown),
        event(4, 400, vec![0; 3]),
        event(5, 25_400, duration),
        event(4, 26_000, vec![0; 3]),
        event(5, 27_000, vec![0; 3]),
        event(6, 28_000, vec![1]),
        event(7, 28_010, vec![0; 2]),
    ]);
    trace.events(&[
        event(8, 29_000, u64s(&[0xabc])),
        Event { thread: 8, ..event(9, 29_500, u64s(&[0xabc])) },
        event(10, 30_000, [u64s(&[0]), u32s(&[12, 6]), vec![0; 2]].concat()),
        event(13, 31_000, number(1)),
        event(11, 31_100, u32s(&[17, 2, 1, 0])),
        Event { thread: 8, ..event(12, 31_900, number(17)) },
        event(14, 32_000, vec![0; 2]),
        // Suspended by the profiler itself.
        event(13, 33_000, number(0)),
        event(14, 33_500, vec![0; 2]),
        event(16, 34_000, Vec::new()),
        Event { stack: 2, ..sample(35_100, 1) },
    ]);
    trace.sequence_point(0);
    trace.events(&[
        method(0x1000, 0x20, "Shop.Cart", "Add"),
        method(0x2000, 0x40, "Shop.Program", "Main"),
        method(0x9000, 0x40, "Never", "Used"),
        module("/app/Shop.dll"),
        event(22, 9_000_000, [vec![0; 12], vec![8, 0, 0, 0, 11, 0], vec![0; 2]].concat()),
    ]);
    trace.end()
}
