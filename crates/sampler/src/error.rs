//! Why sampling could not start.

use std::io;

/// What went wrong, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The kernel does not let this user sample.
    #[error(
        "the kernel refuses to sample {what} (perf_event_paranoid is {paranoid}): run as root or \
         with CAP_PERFMON; in a container add `--cap-add PERFMON --cap-add SYS_PTRACE --pid host` \
         and a seccomp profile that allows perf_event_open; or lower \
         /proc/sys/kernel/perf_event_paranoid to {needed}"
    )]
    Permission {
        /// What was to be sampled, e.g. `all processes`.
        what: String,
        /// The value of `perf_event_paranoid`, as text.
        paranoid: String,
        /// The highest value of it that would do.
        needed: i32,
    },
    /// The kernel or the virtual machine has no perf events.
    #[error(
        "perf_event_open is not available here ({source}): the kernel needs CONFIG_PERF_EVENTS \
             and the container's seccomp profile must allow the call"
    )]
    Unavailable {
        /// The kernel's answer.
        source: io::Error,
    },
    /// A process to sample does not exist.
    #[error("process {pid} is not there (any more)")]
    NoProcess {
        /// Its id.
        pid: u32,
    },
    /// A ring could not be mapped.
    #[error(
        "cannot map a ring of {bytes} bytes for samples: {source}; raise RLIMIT_MEMLOCK or \
             /proc/sys/kernel/perf_event_mlock_kb"
    )]
    Ring {
        /// Bytes wanted.
        bytes: usize,
        /// The kernel's answer.
        source: io::Error,
    },
    /// Another failure of a system call.
    #[error("cannot {what}: {source}")]
    System {
        /// What was being done.
        what: String,
        /// The kernel's answer.
        source: io::Error,
    },
}
