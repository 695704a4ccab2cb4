//! How the heap of this process behaves.

/// One arena for all threads (the agent has two, and what one frees the other needs), large blocks
/// straight from the system, and free memory at the end given back soon: measured to save an agent on
/// a busy host a seventh of its heap. Does nothing with other C libraries than glibc
/// (<https://man7.org/linux/man-pages/man3/mallopt.3.html>).
pub fn keep_small() {
    #[cfg(target_env = "gnu")]
    for (option, value) in [
        (libc::M_ARENA_MAX, 1),
        (libc::M_MMAP_THRESHOLD, 128 << 10),
        (libc::M_TRIM_THRESHOLD, 256 << 10),
    ] {
        // SAFETY: the call takes two numbers; what it does not know it refuses.
        unsafe { libc::mallopt(option, value) };
    }
}
