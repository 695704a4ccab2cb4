//! Limits of symbolisation, units in their names.

/// Longest function or file name kept, in bytes.
pub const NAME_BYTES_MAX: usize = 4_096;
/// Largest debug information, symbol tables included, that is read for lines and inlined functions,
/// in bytes; larger files give their symbol table's names only.
pub const DEBUG_BYTES_MAX: u64 = 2 << 20;
/// Bytes of debug information, symbol tables included, of the files that are kept parsed.
pub const PARSED_BYTES_MAX: u64 = 8 << 20;
/// Functions of a file that are sorted by address: 12 bytes each.
pub const INDEXED_FUNCTIONS_MAX: usize = 400_000;
/// Functions before an address that are looked at for one that covers it.
pub const INDEX_STEPS_MAX: usize = 1_000;
/// Largest perf map that is read, in bytes.
pub const PERF_MAP_BYTES_MAX: usize = 64 << 20;
/// Entries of a perf map that are kept.
pub const PERF_MAP_ENTRIES_MAX: usize = 1_000_000;
/// Kernel symbols that are kept.
pub const KERNEL_SYMBOLS_MAX: usize = 1_000_000;
/// Inlined functions reported for one address.
pub const INLINES_MAX: usize = 32;
/// Calls of `forget_when_idle` without a question between, after which parsed files are dropped.
pub const IDLE_CALLS_MAX: u32 = 3;
/// Sections of an uploaded file that are read, in bytes, unpacked ones included; of one with more
/// only the symbol table is read.
pub const SECTIONS_BYTES_MAX: u64 = 384 << 20;
/// Sections of an uploaded file.
pub const SECTIONS_MAX: usize = 100_000;
/// Bytes of the names of its sections.
pub const SECTION_NAMES_BYTES_MAX: u64 = 8 << 20;
/// Bytes that are read of each of its sections of notes.
pub const NOTES_BYTES_MAX: u64 = 64 << 10;
/// Longest build id, in bytes as it is stored.
pub const BUILD_ID_BYTES_MAX: usize = 128;
/// Ranges of functions and inlined functions taken from one file; of one with more only the symbol
/// table is used.
pub const EXTENTS_MAX: usize = 4_000_000;
/// Entries of lists of ranges looked at in one file.
pub const RANGE_STEPS_MAX: u64 = 64_000_000;
/// Units of debug information in one file.
pub const UNITS_MAX: usize = 1_000_000;
/// Bytes of the section `.debug_abbrev`.
pub const ABBREVIATIONS_BYTES_MAX: u64 = 8 << 20;
/// Source files of one unit that are told apart.
pub const UNIT_FILES_MAX: usize = 16_384;
/// References that lead from a function to its name.
pub const NAME_STEPS_MAX: usize = 8;
/// Bytes of names that one file may give.
pub const TABLE_TEXT_BYTES_MAX: usize = 96 << 20;
/// A table of names before compression, in bytes.
pub const TABLE_BYTES_MAX: usize = 192 << 20;
/// Rows of each part of a table of names.
pub const TABLE_ROWS_MAX: usize = 8_000_000;
