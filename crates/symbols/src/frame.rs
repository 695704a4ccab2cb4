//! What an address turned out to be.

use crate::limits::NAME_BYTES_MAX;

/// A function, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Frame {
    /// Its name, demangled.
    pub function: String,
    /// Source file, or empty.
    pub file: String,
    /// Line in it that runs, or 0.
    pub line: u32,
    /// Line in it where the function begins, or 0.
    pub start_line: u32,
}

impl Frame {
    /// A function of which only the name is known.
    pub fn named(name: &str) -> Self {
        Self { function: cut(name), ..Self::default() }
    }
}

/// The start of `text`, at most [`NAME_BYTES_MAX`] bytes.
pub(crate) fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(NAME_BYTES_MAX)].to_owned()
}
