//! The kernel's clocks, as sampling needs them.

use std::time::Duration;

fn read(clock: libc::clockid_t) -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place for one timespec.
    let result = unsafe { libc::clock_gettime(clock, &raw mut time) };
    if result != 0 {
        return Duration::ZERO;
    }
    Duration::new(time.tv_sec.max(0).cast_unsigned(), time.tv_nsec.clamp(0, 999_999_999) as u32)
}

/// Nanoseconds of `CLOCK_MONOTONIC`, the clock of every record.
pub fn monotonic_nanos() -> u64 {
    read(libc::CLOCK_MONOTONIC).as_nanos() as u64
}

/// What to add to a record's time to get nanoseconds since 1970.
pub fn unix_offset_nanos() -> u64 {
    let before = monotonic_nanos();
    let real = read(libc::CLOCK_REALTIME).as_nanos() as u64;
    let after = monotonic_nanos();
    real.saturating_sub(before + (after - before) / 2)
}

/// CPU time used by this process so far.
pub fn own_cpu_time() -> Duration {
    read(libc::CLOCK_PROCESS_CPUTIME_ID)
}

/// Effective user id of this process.
pub fn effective_uid() -> u32 {
    // SAFETY: the call has no preconditions.
    unsafe { libc::geteuid() }
}

/// Raises the soft limit of open files to the hard one and returns it.
pub fn raise_open_files_limit() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid place for one rlimit.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return 0;
    }
    let soft = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: `limit` is initialised.
    if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } == 0 {
        limit.rlim_max
    } else {
        soft
    }
}
