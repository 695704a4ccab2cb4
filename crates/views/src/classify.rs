//! What a frame is: its language, the library or module it belongs to, and whose code it is.
//!
//! One classifier for every view. [`classify`] is a pure function of what a frame carries; its rules
//! are one table ([`RULES`], in words in `docs/classify.md`). Rules of the user's own come before the
//! table: [`Overrides`].

mod language;
mod lists;
mod module;
mod overrides;
mod rules;

pub use language::Language;
pub use overrides::{Override, Overrides, Part};
pub use rules::{RULES, Rule, When, table};

use crate::limits::TEXT_BYTES_MAX;
use profile::FrameType;

/// Whose code a frame is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Class {
    /// Nothing says.
    #[default]
    Unknown = 0,
    /// Of the program that is profiled.
    Own = 1,
    /// Of a library that the program uses.
    Dependency = 2,
    /// Of the language: its standard library, virtual machine or the C library.
    Runtime = 3,
    /// Of the operating system's kernel.
    Kernel = 4,
}

impl Class {
    /// All of them, at the position of their number.
    pub const ALL: [Self; 5] =
        [Self::Unknown, Self::Own, Self::Dependency, Self::Runtime, Self::Kernel];
    const NAMES: [&'static str; 5] = ["unknown", "own", "dependency", "runtime", "kernel"];

    /// Its name in answers and settings.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    /// By its name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.name() == name)
    }
}

/// What a frame carries, as it arrived; what is not known is empty.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts<'a> {
    /// Function name for people.
    pub name: &'a str,
    /// Function name in the binary, where it differs.
    pub system_name: &'a str,
    /// Source file.
    pub file: &'a str,
    /// Path of the mapped binary.
    pub mapping: &'a str,
    /// What executed it, as the client says.
    pub frame_type: FrameType,
    /// The profile's runtime or language, e.g. `jvm`.
    pub runtime: &'a str,
}

/// What a frame is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kind<'a> {
    /// What it is written in.
    pub language: Language,
    /// Whose code it is.
    pub class: Class,
    /// Library, crate, module or distribution; empty when nothing says.
    pub module: &'a str,
    /// Package, namespace or class; empty when nothing says.
    pub package: &'a str,
}

/// Says what a frame is. Linear in the length of its texts.
pub fn classify<'a>(facts: &Facts<'a>) -> Kind<'a> {
    let facts = Facts {
        name: bounded(facts.name),
        system_name: bounded(facts.system_name),
        file: bounded(facts.file),
        mapping: bounded(facts.mapping),
        ..*facts
    };
    let language = language::of(&facts);
    let (module, package) = module::of(language, &facts);
    let class = rules::class_of(language, &facts, module);
    Kind { language, class, module, package }
}

/// Words with which clients say that they know nothing.
const NOTHING: &[&str] = &["?", "??", "unknown", "Unknown", "[unknown]", "<unknown>", "(unknown)"];

fn bounded(text: &str) -> &str {
    if NOTHING.contains(&text) {
        return "";
    }
    let mut end = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// The last part of a path.
pub(crate) fn base_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

#[cfg(test)]
mod tests;
