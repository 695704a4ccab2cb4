//! Writes small JFR chunks, so that tests say what is in them.

const START_NANOS: u64 = 1_700_000_000_000_000_000;
pub(super) const START_TICKS: u64 = 5_000;

/// A type: id, name, and fields as `name:type` with `*` for constants, `[]` for arrays, `@T` for
/// ticks.
pub(super) type Class = (u64, &'static str, &'static [&'static str]);

/// The types every chunk needs for stacks and threads.
pub(super) const BASE: &[Class] = &[
    (10, "boolean", &[]),
    (11, "int", &[]),
    (12, "long", &[]),
    (13, "float", &[]),
    (14, "java.lang.String", &[]),
    (15, "byte", &[]),
    (20, "java.lang.Class", &["classLoader:12", "name:24*"]),
    (21, "java.lang.Thread", &["osName:14", "osThreadId:12", "javaName:14", "javaThreadId:12"]),
    (22, "jdk.types.StackTrace", &["truncated:10", "frames:23[]"]),
    (23, "jdk.types.StackFrame", &["method:25*", "lineNumber:11", "bytecodeIndex:11", "type:26*"]),
    (24, "jdk.types.Symbol", &["string:14"]),
    (25, "jdk.types.Method", &["type:20*", "name:24*", "descriptor:24*", "modifiers:11"]),
    (26, "jdk.types.FrameType", &["description:14"]),
    (27, "jdk.types.ThreadState", &["name:14"]),
    (30, "jdk.jfr.Timespan", &["value:14"]),
];

/// A chunk being written.
#[derive(Clone, Debug)]
pub(super) struct Chunk {
    pub(super) is_compressed: bool,
    pub(super) ticks_per_second: u64,
    pub(super) version: u16,
    pub(super) classes: Vec<Class>,
    events: Vec<Vec<u8>>,
    /// Type and number of constants, and their bytes.
    pools: Vec<(u64, u64, Vec<u8>)>,
}

impl Chunk {
    pub(super) fn new(is_compressed: bool) -> Self {
        let (classes, events, pools) = (BASE.to_vec(), Vec::new(), Vec::new());
        let ticks_per_second = 2_000_000_000;
        Self { is_compressed, ticks_per_second, version: 2, classes, events, pools }
    }

    pub(super) fn number(&self, number: u64, bytes: usize) -> Vec<u8> {
        if !self.is_compressed {
            return number.to_be_bytes()[8 - bytes..].to_vec();
        }
        let (mut out, mut rest) = (Vec::new(), number);
        while rest > 0x7f && out.len() < 8 {
            out.push(rest as u8 & 0x7f | 0x80);
            rest >>= 7;
        }
        out.push(rest as u8);
        out
    }

    pub(super) fn long(&self, number: u64) -> Vec<u8> {
        self.number(number, 8)
    }

    pub(super) fn int(&self, number: u64) -> Vec<u8> {
        self.number(number, 4)
    }

    pub(super) fn text(&self, text: &str) -> Vec<u8> {
        [&[3], self.int(text.len() as u64).as_slice(), text.as_bytes()].concat()
    }

    /// An event of its bytes after the type.
    pub(super) fn event(&mut self, kind: u64, parts: &[Vec<u8>]) -> &mut Self {
        let event = self.sized(&[self.long(kind), parts.concat()].concat());
        self.events.push(event);
        self
    }

    /// A further event of type descriptions.
    pub(super) fn descriptions(&mut self, classes: Vec<Class>) -> &mut Self {
        let event = Self { classes, ..Self::new(self.is_compressed) }.metadata();
        self.events.push(event);
        self
    }

    fn sized(&self, rest: &[u8]) -> Vec<u8> {
        let mut size = rest.len() + 1;
        while self.int(size as u64).len() + rest.len() != size {
            size += 1;
        }
        [self.int(size as u64).as_slice(), rest].concat()
    }

    /// A constant of a type.
    pub(super) fn constant(&mut self, class: u64, key: u64, parts: &[Vec<u8>]) -> &mut Self {
        let bytes = [self.long(key), parts.concat()].concat();
        self.pools.push((class, 1, bytes));
        self
    }

    /// A pool as it is said to be: so many constants in these bytes.
    pub(super) fn pool(&mut self, class: u64, count: u64, bytes: Vec<u8>) -> &mut Self {
        self.pools.push((class, count, bytes));
        self
    }

    /// A method of a class and a stack that is only it; both with that key.
    pub(super) fn stack(&mut self, key: u64, class: &str, method: &str, line: u64) -> &mut Self {
        let symbols = [key * 10, key * 10 + 1, key * 10 + 2];
        for (symbol, text) in symbols.iter().zip([class, method, "()V"]) {
            self.constant(24, *symbol, &[self.text(text)]);
        }
        self.constant(20, key, &[self.long(0), self.long(symbols[0])]);
        let method = [self.long(key), self.long(symbols[1]), self.long(symbols[2]), self.int(1)];
        self.constant(25, key, &method);
        let frame = [self.long(key), self.int(line), self.int(0), self.long(1)].concat();
        self.constant(26, 1, &[self.text("JIT compiled")]);
        self.constant(22, key, &[vec![0], self.int(1), frame])
    }

    pub(super) fn thread(&mut self, key: u64, name: &str, id: u64) -> &mut Self {
        let parts = [self.text("os"), self.long(id), self.text(name), self.long(7)];
        self.constant(21, key, &parts)
    }

    fn metadata(&self) -> Vec<u8> {
        let mut texts: Vec<String> = Vec::new();
        let mut index = |text: &str| {
            let at = texts.iter().position(|have| have == text).unwrap_or_else(|| {
                texts.push(text.to_owned());
                texts.len() - 1
            });
            self.int(at as u64)
        };
        let mut element = |name: &str, attributes: &[(&str, &str)], children: usize| {
            let mut out = index(name);
            out.extend(self.int(attributes.len() as u64));
            for (key, value) in attributes {
                out.extend(index(key));
                out.extend(index(value));
            }
            out.extend(self.int(children as u64));
            out
        };
        let mut tree = element("root", &[], 1);
        tree.extend(element("metadata", &[], self.classes.len()));
        for (id, name, fields) in &self.classes {
            let id = id.to_string();
            tree.extend(element("class", &[("id", &id), ("name", name)], fields.len()));
            for field in *fields {
                let (name, kind) = field.split_once(':').expect("name and type");
                let class = kind.trim_end_matches(['*', '[', ']', '@', 'T']);
                let mut attributes = vec![("name", name), ("class", class)];
                if kind.contains('*') {
                    attributes.push(("constantPool", "true"));
                }
                if kind.contains('[') {
                    attributes.push(("dimension", "1"));
                }
                let is_ticks = kind.contains('@');
                tree.extend(element("field", &attributes, usize::from(is_ticks)));
                if is_ticks {
                    tree.extend(element("annotation", &[("class", "30"), ("value", "TICKS")], 0));
                }
            }
        }
        let mut out = [self.long(0), self.long(START_TICKS), self.long(0), self.long(1)].concat();
        out.extend(self.int(texts.len() as u64));
        for text in &texts {
            out.extend(self.text(text));
        }
        out.extend(tree);
        self.sized(&out)
    }

    fn checkpoint(&self, pools: &[(u64, u64, Vec<u8>)], delta: i64) -> Vec<u8> {
        let mut out = [self.long(1), self.long(START_TICKS), self.long(0)].concat();
        out.extend(self.long(delta.cast_unsigned()));
        out.push(0);
        out.extend(self.int(pools.len() as u64));
        for (class, count, bytes) in pools {
            out.extend(self.long(*class));
            out.extend(self.int(*count));
            out.extend(bytes);
        }
        self.sized(&out)
    }

    /// The chunk: events, two events of constants (the second leads to the first), metadata.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut body = self.events.concat();
        let (front, back) = self.pools.split_at(self.pools.len() / 2);
        let first = 68 + body.len();
        body.extend(self.checkpoint(front, 0));
        let second = 68 + body.len();
        body.extend(self.checkpoint(back, first as i64 - second as i64));
        let metadata = 68 + body.len();
        body.extend(self.metadata());
        let longs = [
            (68 + body.len()) as u64,
            second as u64,
            metadata as u64,
            START_NANOS,
            1_000_000_000,
            START_TICKS,
            self.ticks_per_second,
        ];
        let mut out = b"FLR\0".to_vec();
        out.extend(self.version.to_be_bytes());
        out.extend([0, 0]);
        out.extend(longs.iter().flat_map(|number| number.to_be_bytes()));
        out.extend([0, 0, 0, u8::from(self.is_compressed)]);
        out.extend(body);
        out
    }
}

/// An event with a time, a thread and a stack.
pub(super) const SAMPLE: &[&str] =
    &["startTime:12@T", "sampledThread:21*", "stackTrace:22*", "state:27*"];
/// One with a duration.
pub(super) const WAIT: &[&str] =
    &["startTime:12@T", "duration:12@T", "eventThread:21*", "stackTrace:22*", "monitorClass:20*"];

/// A chunk with three samples of two threads, two waits, a collection and an event that is not kept.
pub(in crate::tests) fn small(is_compressed: bool) -> Vec<u8> {
    let mut chunk = Chunk::new(is_compressed);
    chunk.classes.push((101, "jdk.ExecutionSample", SAMPLE));
    chunk.classes.push((102, "jdk.JavaMonitorEnter", WAIT));
    chunk.classes.push((103, "jdk.GarbageCollection", &["startTime:12@T", "name:14"]));
    let settings = &["startTime:12@T", "id:12", "name:14", "value:14"];
    chunk.classes.push((104, "jdk.ActiveSetting", settings));
    chunk.classes.push((105, "jdk.GCPhaseParallel", &["startTime:12@T"]));
    chunk.stack(1, "shop/Cart", "add", 12).stack(2, "shop/Cart", "pay", 34);
    chunk.thread(5, "http-1", 55).thread(6, "http-2", 66);
    chunk.constant(27, 1, &[chunk.text("STATE_RUNNABLE")]);
    let setting = |c: &Chunk| vec![c.long(0), c.long(101), c.text("period"), c.text("20 ms")];
    chunk.event(104, &setting(&chunk));
    for (ticks, thread, stack) in [(100, 5, 1), (300, 6, 2), (500, 5, 1)] {
        let at = chunk.long(START_TICKS + ticks);
        chunk.event(101, &[at, chunk.long(thread), chunk.long(stack), chunk.long(1)]);
    }
    for ticks in [4_000, 6_001] {
        let at = chunk.long(START_TICKS);
        let parts = [at, chunk.long(ticks), chunk.long(5), chunk.long(2), chunk.long(1)];
        chunk.event(102, &parts);
    }
    chunk.event(103, &[chunk.long(START_TICKS), chunk.text("G1New")]);
    chunk.event(105, &[chunk.long(START_TICKS)]);
    chunk.bytes()
}
