//! Names that come later: an address that came without a name stays as build id and address where it
//! is stored, and is named when a frame is made of it. Nothing stored changes.
//!
//! [`Naming`] is the seam: the oracle and the engine are given the same one, and ask it for the
//! addresses that are shown or searched.

use crate::frame::{Frame, Origin, frames_of, library_of};
use profile::{FrameType, Location, LocationId, Tables};
use std::fmt::Debug;
use std::sync::Arc;

/// An address without a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unnamed<'a> {
    /// Build id of the binary.
    pub build_id: &'a str,
    /// First address of its mapping; 0 where addresses are not those of a process.
    pub start: u64,
    /// Offset of that in the file.
    pub offset: u64,
    /// The address: of the process, of the file, or an offset in the file.
    pub address: u64,
    /// Whether it is one that the file states.
    pub is_stated: bool,
}

/// A function that an address turned out to be in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LateFunction {
    /// Its name.
    pub name: Arc<str>,
    /// Source file, or empty.
    pub file: Arc<str>,
}

/// Names addresses.
pub trait Naming: Send + Sync + Debug {
    /// The functions at an address, innermost first; empty when nothing is known.
    fn functions(&self, tenant: &str, unnamed: &Unnamed<'_>) -> Vec<LateFunction>;

    /// A number that changes whenever answers may: for caches of what was made with them.
    fn version(&self) -> u64 {
        0
    }
}

/// Who names the addresses of a tenant; nobody by default.
#[derive(Clone, Debug, Default)]
pub struct LateNames {
    naming: Option<(Arc<dyn Naming>, Arc<str>)>,
}

impl LateNames {
    /// Those of a tenant.
    pub fn of(naming: Option<&Arc<dyn Naming>>, tenant: &str) -> Self {
        Self { naming: naming.map(|naming| (Arc::clone(naming), tenant.into())) }
    }

    /// Tables with these names over them.
    pub fn over<'a>(&'a self, tables: &'a Tables) -> NamedTables<'a> {
        let late = self.naming.as_ref().map(|(naming, tenant)| (&**naming, &**tenant));
        NamedTables { tables, late }
    }
}

/// Tables, and who names the addresses that have no name in them.
#[derive(Clone, Copy, Debug)]
pub struct NamedTables<'a> {
    /// The tables.
    pub tables: &'a Tables,
    late: Option<(&'a dyn Naming, &'a str)>,
}

impl<'a> From<&'a Tables> for NamedTables<'a> {
    fn from(tables: &'a Tables) -> Self {
        Self { tables, late: None }
    }
}

impl<'a> From<&'a Arc<Tables>> for NamedTables<'a> {
    fn from(tables: &'a Arc<Tables>) -> Self {
        Self { tables, late: None }
    }
}

impl<'a> NamedTables<'a> {
    /// The frames of a location, outermost first.
    pub fn frames(&self, id: LocationId) -> Vec<Frame> {
        self.late_frames(id).unwrap_or_else(|| frames_of(self.tables, id))
    }

    /// The names of a location's frames, outermost first.
    pub fn names(&self, id: LocationId) -> Vec<String> {
        if let Some(frames) = self.late_frames(id) {
            return frames.iter().map(|frame| frame.name.to_string()).collect();
        }
        let Some(location) = self.tables.locations.get(id) else { return Vec::new() };
        let mut names = profile::folded::frame_names(self.tables, location);
        names.reverse();
        names
    }

    /// The frames of a location that came without a name and has one now.
    fn late_frames(&self, id: LocationId) -> Option<Vec<Frame>> {
        let (naming, tenant) = self.late?;
        let location = self.tables.locations.get(id)?;
        let unnamed = self.unnamed(location)?;
        let functions = naming.functions(tenant, &unnamed);
        if functions.is_empty() {
            return None;
        }
        let mapping = location.mapping.and_then(|id| self.tables.mappings.get(id));
        let path: Arc<str> = mapping.map_or("", |row| self.tables.text(row.file)).into();
        let library: Arc<str> = library_of(&path).into();
        let frame = |function: LateFunction| Frame {
            name: function.name,
            library: Arc::clone(&library),
            file: function.file,
            unsymbolized: false,
            kernel: location.frame_type == FrameType::Kernel,
            origin: Origin {
                path: Arc::clone(&path),
                frame_type: location.frame_type,
                ..Origin::default()
            },
        };
        Some(functions.into_iter().rev().map(frame).collect())
    }

    /// What to ask for a location that has no name.
    fn unnamed(&self, location: &Location) -> Option<Unnamed<'a>> {
        let tables = self.tables;
        let mapping = tables.mappings.get(location.mapping?)?;
        let build_id = tables.text(mapping.build_id);
        if build_id.is_empty() {
            return None;
        }
        let functions = location.lines.iter().map(|line| tables.functions.get(line.function));
        let mut stated = None;
        for function in functions.flatten() {
            if tables.is_named(function) {
                return None;
            }
            stated = stated.or(tables.place_in_words(function));
        }
        let (start, offset) = (mapping.start, mapping.offset);
        let address = stated.unwrap_or(location.address);
        let unnamed = Unnamed { build_id, start, offset, address, is_stated: stated.is_some() };
        (address != 0).then_some(unnamed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use profile::{Function, Line, Mapping};

    /// Names everything of one binary.
    #[derive(Debug)]
    struct Known;

    impl Naming for Known {
        fn functions(&self, tenant: &str, unnamed: &Unnamed<'_>) -> Vec<LateFunction> {
            if tenant != "t" || unnamed.build_id != "ab" {
                return Vec::new();
            }
            let stated = if unnamed.is_stated { "stated" } else { "sent" };
            let name = |text: String| LateFunction { name: text.into(), file: "a.c".into() };
            vec![name("inlined".to_owned()), name(format!("{stated} {:#x}", unnamed.address))]
        }
    }

    fn names(build_id: &str, address: u64, function: Option<&str>, tenant: &str) -> Vec<String> {
        let mut tables = Tables::default();
        let file = tables.strings.intern("/usr/lib/liba.so");
        let build_id = tables.strings.intern(build_id);
        let mapping = tables.mappings.intern(Mapping { file, build_id, ..Mapping::default() });
        let lines = function.map(|name| {
            let name = tables.strings.intern(name);
            let function = tables.functions.intern(Function { name, ..Function::default() });
            Line { function, ..Line::default() }
        });
        let lines = lines.into_iter().collect();
        let location = Location { mapping: Some(mapping), address, lines, ..Location::default() };
        let id = tables.locations.intern(location);
        let naming: Arc<dyn Naming> = Arc::new(Known);
        let late = LateNames::of(Some(&naming), tenant);
        let named = late.over(&tables);
        let frames = named.frames(id);
        let shown: Vec<String> = frames.iter().map(|frame| frame.name.to_string()).collect();
        assert_eq!(named.names(id), shown);
        assert!(frames.iter().all(|frame| &*frame.library == "liba.so"));
        assert_eq!(
            frames.iter().any(|frame| frame.unsymbolized),
            shown.len() == 1 && shown[0] != "f"
        );
        shown
    }

    #[test]
    fn only_what_has_no_name_is_asked_for() {
        assert_eq!(names("ab", 0x10, None, "t"), ["sent 0x10", "inlined"]);
        assert_eq!(names("ab", 0, Some("[function at 0x1f0]"), "t"), ["stated 0x1f0", "inlined"]);
        assert_eq!(names("ab", 0x10, Some(""), "t"), ["sent 0x10", "inlined"]);
        assert_eq!(names("ab", 0x10, Some("f"), "t"), ["f"]);
        for (build_id, tenant) in [("", "t"), ("cd", "t"), ("ab", "other")] {
            assert_eq!(names(build_id, 0x10, None, tenant), ["0x10"]);
        }
    }
}
