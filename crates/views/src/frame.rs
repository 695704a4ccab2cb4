//! What a frame of a call tree is, made from the tables of profiles.

use crate::classify::{Class, Facts, Overrides, classify};
use profile::{FrameType, Function, FunctionId, LocationId, MappingId, StringId, Tables};
use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// A frame as people see it; trees of different profiles merge where frames are equal.
#[derive(Clone, Debug, Default)]
pub struct Frame {
    /// Function name; an address in hex where there is no name.
    pub name: Arc<str>,
    /// File name of the binary, without its folder.
    pub library: Arc<str>,
    /// Source file.
    pub file: Arc<str>,
    /// Whether the name is an address.
    pub unsymbolized: bool,
    /// Whether the kernel ran it.
    pub kernel: bool,
    /// What else is known of it where it was first seen; equal frames may differ in it.
    pub origin: Origin,
}

/// What a frame was made of and does not show, for [`classify`].
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// Path of the binary.
    pub path: Arc<str>,
    /// Function name in the binary, where it differs.
    pub system_name: Arc<str>,
    /// What executed it.
    pub frame_type: FrameType,
    /// Build id of the binary, of a frame without a name: one address in two binaries is two frames.
    pub build_id: Arc<str>,
}

/// What makes a frame equal to another: name, library, file, whether it has no name, whether it is
/// the kernel's, and the build id of one without a name.
pub(crate) type Shown<'a> = (&'a str, &'a str, &'a str, bool, bool, &'a str);

impl Frame {
    pub(crate) fn shown(&self) -> Shown<'_> {
        let build_id = &self.origin.build_id;
        (&self.name, &self.library, &self.file, self.unsymbolized, self.kernel, build_id)
    }

    /// Whose code it is.
    pub fn class(&self) -> Class {
        let facts = Facts {
            name: if self.unsymbolized { "" } else { &self.name },
            system_name: &self.origin.system_name,
            file: &self.file,
            mapping: &self.origin.path,
            frame_type: self.origin.frame_type,
            runtime: "",
        };
        classify(&facts).class
    }

    /// Whose code it is where the user's rules come first.
    pub fn class_with(&self, rules: &Overrides) -> Class {
        rules.class_of(&self.name, &self.file, &self.library, self.class())
    }
}

impl PartialEq for Frame {
    fn eq(&self, other: &Self) -> bool {
        self.shown() == other.shown()
    }
}

impl Eq for Frame {}

impl PartialOrd for Frame {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Frame {
    fn cmp(&self, other: &Self) -> Ordering {
        self.shown().cmp(&other.shown())
    }
}

impl Hash for Frame {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.shown().hash(state);
    }
}

fn shared(tables: &Tables, id: StringId) -> Arc<str> {
    let text = tables.text(id);
    if text.is_empty() { Arc::default() } else { text.into() }
}

/// The file name of a binary without its folder.
pub(crate) fn library_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// A frame without a name yet.
fn unnamed_frame(
    tables: &Tables,
    function: Option<&Function>,
    mapping: Option<MappingId>,
    frame_type: FrameType,
) -> Frame {
    let mapping = mapping.and_then(|id| tables.mappings.get(id));
    let path = mapping.map_or_else(Arc::default, |mapping| shared(tables, mapping.file));
    let text = |of: fn(&Function) -> StringId| {
        function.map_or_else(Arc::default, |function| shared(tables, of(function)))
    };
    Frame {
        name: Arc::default(),
        library: library_of(&path).into(),
        file: text(|function| function.file),
        unsymbolized: false,
        kernel: frame_type == FrameType::Kernel,
        origin: Origin {
            path,
            system_name: text(|function| function.system_name),
            frame_type,
            build_id: Arc::default(),
        },
    }
}

/// The frames of a location, outermost first.
pub fn frames_of(tables: &Tables, location: LocationId) -> Vec<Frame> {
    let Some(location) = tables.locations.get(location) else { return Vec::new() };
    let names = profile::folded::frame_names(tables, location);
    let mut frames = Vec::with_capacity(names.len());
    for (at, name) in names.into_iter().enumerate() {
        let function = location.lines.get(at).and_then(|line| tables.functions.get(line.function));
        let mut frame = unnamed_frame(tables, function, location.mapping, location.frame_type);
        frame.name = name.into();
        frame.unsymbolized = function.is_none_or(|function| !tables.is_named(function));
        if let Some(mapping) = location.mapping.filter(|_| frame.unsymbolized) {
            let mapping = tables.mappings.get(mapping);
            frame.origin.build_id =
                mapping.map_or_else(Arc::default, |row| shared(tables, row.build_id));
        }
        frames.push(frame);
    }
    frames.reverse();
    frames
}

/// The frame of a function that has a name.
pub(crate) fn named_frame(
    tables: &Tables,
    id: FunctionId,
    mapping: Option<MappingId>,
    frame_type: FrameType,
) -> Frame {
    let function = tables.functions.get(id);
    let name = function.map_or_else(Arc::default, |function| shared(tables, function.name));
    Frame { name, ..unnamed_frame(tables, function, mapping, frame_type) }
}
