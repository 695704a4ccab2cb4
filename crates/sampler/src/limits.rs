//! Limits of the sampler, units in their names.

/// Lowest sampling rate per CPU.
pub const FREQUENCY_MIN_HZ: u32 = 1;
/// Highest sampling rate per CPU; the kernel's own limit may be lower.
pub const FREQUENCY_MAX_HZ: u32 = 4_000;
/// Bytes of user stack copied with a sample.
pub const STACK_BYTES: u32 = 32 * 1024;
/// Time that a ring holds at the full rate before samples are lost.
pub const RING_HOLDS_MS: u64 = 600;
/// Smallest ring of a CPU.
pub const RING_BYTES_MIN: usize = 512 * 1024;
/// Largest ring of a CPU.
pub const RING_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Ring of a CPU without the right to lock more memory (`perf_event_mlock_kb` is 516).
pub const RING_BYTES_UNPRIVILEGED: usize = 512 * 1024;
/// Largest number of per-thread events in process mode.
pub const THREAD_EVENTS_MAX: usize = 8_192;
/// How far the period of one CPU is moved at random around the mean, in parts per thousand.
pub const PERIOD_JITTER_PER_MILLE: u64 = 50;
/// Mean time between two changes of a CPU's period.
pub const PERIOD_CHANGE_MS: u64 = 1_000;
