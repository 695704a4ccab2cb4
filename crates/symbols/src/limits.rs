//! Limits of symbolisation, units in their names.

/// Longest function or file name kept, in bytes.
pub const NAME_BYTES_MAX: usize = 4_096;
/// Largest debug information, symbol tables included, that is read for lines and inlined functions,
/// in bytes; larger files give their symbol table's names only.
pub const DEBUG_BYTES_MAX: u64 = 2 << 20;
/// Bytes of debug information, symbol tables included, of the files that are kept parsed.
pub const PARSED_BYTES_MAX: u64 = 8 << 20;
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
