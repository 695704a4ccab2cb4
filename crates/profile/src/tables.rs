//! Everything that samples point to, each distinct thing once.

use crate::table::{Strings, Table};
use crate::{
    AttributesId, FunctionId, LinkId, LocationId, MappingId, StackTable, StringId, ThreadId,
};
use smallvec::SmallVec;

/// What executed a frame: OTLP's `profile.frame.type`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum FrameType {
    /// Not said by the client.
    #[default]
    Unknown = 0,
    /// Machine code compiled ahead of time.
    Native = 1,
    /// The operating system's kernel.
    Kernel = 2,
    /// Go.
    Go = 3,
    /// Java virtual machine.
    Jvm = 4,
    /// CPython.
    Cpython = 5,
    /// V8 JavaScript.
    V8js = 6,
    /// .NET.
    Dotnet = 7,
    /// Ruby.
    Ruby = 8,
    /// PHP.
    Php = 9,
    /// Perl.
    Perl = 10,
    /// BEAM.
    Beam = 11,
    /// Rust.
    Rust = 12,
}

impl FrameType {
    const NAMES: [&'static str; 13] = [
        "", "native", "kernel", "go", "jvm", "cpython", "v8js", "dotnet", "ruby", "php", "perl",
        "beam", "rust",
    ];
    const ALL: [Self; 13] = [
        Self::Unknown,
        Self::Native,
        Self::Kernel,
        Self::Go,
        Self::Jvm,
        Self::Cpython,
        Self::V8js,
        Self::Dotnet,
        Self::Ruby,
        Self::Php,
        Self::Perl,
        Self::Beam,
        Self::Rust,
    ];

    /// OTLP's name; empty for unknown.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    /// From OTLP's name; unknown names give [`FrameType::Unknown`].
    pub fn from_name(name: &str) -> Self {
        let at = Self::NAMES.iter().position(|have| *have == name).unwrap_or(0);
        Self::ALL[at]
    }

    /// From the discriminant; unknown numbers give [`FrameType::Unknown`].
    pub fn from_number(number: u8) -> Self {
        Self::ALL.get(usize::from(number)).copied().unwrap_or_default()
    }
}

/// A function as its runtime names it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Function {
    /// Name for people (demangled).
    pub name: StringId,
    /// Name in the binary, empty when the same.
    pub system_name: StringId,
    /// Source file.
    pub file: StringId,
    /// First line; 0 when unknown.
    pub start_line: u32,
}

/// A mapped binary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Mapping {
    /// First address.
    pub start: u64,
    /// First address after.
    pub limit: u64,
    /// Offset in the file of `start`.
    pub offset: u64,
    /// Path of the file.
    pub file: StringId,
    /// Build id in hex; empty when unknown.
    pub build_id: StringId,
}

/// A function and line inside a location.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Line {
    /// The function.
    pub function: FunctionId,
    /// Line in the function's file; 0 when unknown.
    pub line: u32,
    /// Column; 0 when unknown.
    pub column: u32,
}

/// Lines of a location: nearly always one.
pub type Lines = SmallVec<[Line; 1]>;

/// An address or line in a stack. Several lines mean inlining: the innermost first, as in pprof.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Location {
    /// The binary, if known.
    pub mapping: Option<MappingId>,
    /// Address as the client sent it; 0 when it sent none.
    pub address: u64,
    /// Functions, innermost inline first; empty when not symbolized.
    pub lines: Lines,
    /// What executed it.
    pub frame_type: FrameType,
    /// pprof's `is_folded`: several addresses were folded into this one.
    pub is_folded: bool,
}

/// A thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Thread {
    /// The operating system's or runtime's id; 0 when unknown.
    pub id: i64,
    /// Its name; empty when unknown.
    pub name: StringId,
}

/// The span and trace a sample belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Link {
    /// Trace id; 0 when unknown.
    pub trace_id: u128,
    /// Span id; 0 when unknown.
    pub span_id: u64,
    /// Span id of the local root span; 0 when unknown.
    pub root_span_id: u64,
}

/// The value of a sample attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AttributeValue {
    /// Text.
    Text(StringId),
    /// A number with its unit (empty when none).
    Number(i64, StringId),
}

/// One sample attribute (pprof's label).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attribute {
    /// Its name.
    pub key: StringId,
    /// Its value.
    pub value: AttributeValue,
}

/// All tables of a profile (or of a segment, which holds many profiles).
#[derive(Clone, Debug, Default)]
pub struct Tables {
    /// Strings.
    pub strings: Strings,
    /// Functions.
    pub functions: Table<FunctionId, Function>,
    /// Mapped binaries.
    pub mappings: Table<MappingId, Mapping>,
    /// Locations.
    pub locations: Table<LocationId, Location>,
    /// Stacks.
    pub stacks: StackTable,
    /// Threads.
    pub threads: Table<ThreadId, Thread>,
    /// Span links.
    pub links: Table<LinkId, Link>,
    /// Sets of sample attributes, each sorted by key.
    pub attributes: Table<AttributesId, Vec<Attribute>>,
}

/// What a collector writes in place of the name of a function of which it only knows the start:
/// `[function at 0x1234]`.
const PLACE_PREFIX: &str = "[function at ";
/// What a collector writes for code that a runtime made and whose names it does not tell.
const GENERATED: &str = "[generated code]";

impl Tables {
    /// Bytes in memory, about; with the indexes that tables have which something was interned in.
    pub fn estimated_bytes(&self) -> usize {
        let attributes = self.attributes.rows().iter();
        self.strings.text_bytes()
            + self.strings.len() * 32
            + self.functions.bytes()
            + self.mappings.bytes()
            + self.locations.bytes()
            + self.stacks.bytes()
            + self.threads.bytes()
            + self.links.bytes()
            + self.attributes.bytes()
            + attributes.map(|set| set.len() * size_of::<Attribute>()).sum::<usize>()
    }

    /// The text of a string handle.
    #[inline]
    pub fn text(&self, id: StringId) -> &str {
        self.strings.get(id)
    }

    /// Whether a function has a name; an address in words is none.
    pub fn is_named(&self, function: &Function) -> bool {
        let name = self.text(function.name);
        let name = if name.is_empty() { self.text(function.system_name) } else { name };
        !name.is_empty() && !name.starts_with(PLACE_PREFIX) && name != GENERATED
    }

    /// The address that stands in place of a function's name, as its file states it.
    pub fn place_in_words(&self, function: &Function) -> Option<u64> {
        let place = self.text(function.name).strip_prefix(PLACE_PREFIX)?.strip_suffix(']')?;
        u64::from_str_radix(place.strip_prefix("0x")?, 16).ok()
    }

    /// A function of which only the name is known.
    pub fn named_function(&mut self, name: &str) -> FunctionId {
        let name = self.strings.intern(name);
        self.functions.intern(Function { name, ..Function::default() })
    }

    /// A location without address or mapping that is one named function: what text formats have.
    pub fn named_location(&mut self, name: &str) -> LocationId {
        let function = self.named_function(name);
        let lines = smallvec::smallvec![Line { function, ..Line::default() }];
        self.locations.intern(Location { lines, ..Location::default() })
    }
}
