//! Limits of unwinding, units in their names.

/// Deepest stack that is followed, in frames.
pub const FRAMES_MAX: usize = 512;
/// Caches of rules, each of 509 entries and one context of gimli (about 40 kB together): an address
/// belongs to one of them. A host's hot code has tens of thousands of addresses.
pub const CACHES: usize = 64;
/// Modules used before the caches are started anew: a module takes two numbers of framehop's
/// generation counter, which has 16 bits.
pub const MODULES_PER_CACHE_MAX: u32 = 30_000;
/// Largest ELF file that is mapped, in bytes.
pub const FILE_BYTES_MAX: u64 = 4 << 30;
