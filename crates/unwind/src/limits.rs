//! Limits of unwinding, units in their names.

/// Deepest stack that is followed, in frames.
pub const FRAMES_MAX: usize = 512;
/// Modules added before the shared rule cache is started anew: its generation counter has 16 bits.
pub const CACHE_GENERATIONS_MAX: u32 = 60_000;
/// Largest ELF file that is mapped, in bytes.
pub const FILE_BYTES_MAX: u64 = 4 << 30;
