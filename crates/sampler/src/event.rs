//! Opening and steering one kernel event.

use perf_event_open_sys::bindings as sys;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// Registers asked for: AX BX CX DX SI DI BP SP IP (bits 0-8) and R8-R15 (bits 16-23).
pub(crate) const REGISTER_MASK: u64 = 0x00ff_01ff;
/// Number of registers in [`REGISTER_MASK`].
pub(crate) const REGISTER_COUNT: usize = REGISTER_MASK.count_ones() as usize;

/// What one event samples.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Nanoseconds between two samples.
    pub(crate) period_nanos: u64,
    /// Whether kernel code is sampled too.
    pub(crate) kernel: bool,
    /// Whether threads and children made later are sampled too.
    pub(crate) inherit: bool,
    /// Whether the event is a mere owner of a ring.
    pub(crate) dummy: bool,
    /// Bytes of stack copied.
    pub(crate) stack_bytes: u32,
}

fn attributes(shape: &Shape) -> sys::perf_event_attr {
    let mut attr = sys::perf_event_attr {
        type_: sys::PERF_TYPE_SOFTWARE,
        size: size_of::<sys::perf_event_attr>() as u32,
        config: u64::from(if shape.dummy {
            sys::PERF_COUNT_SW_DUMMY
        } else {
            sys::PERF_COUNT_SW_CPU_CLOCK
        }),
        ..Default::default()
    };
    attr.sample_type =
        u64::from(sys::PERF_SAMPLE_TID | sys::PERF_SAMPLE_TIME | sys::PERF_SAMPLE_CPU);
    attr.__bindgen_anon_1.sample_period = shape.period_nanos;
    attr.set_disabled(1);
    attr.set_sample_id_all(1);
    attr.set_use_clockid(1);
    attr.clockid = libc::CLOCK_MONOTONIC;
    attr.set_watermark(1);
    attr.__bindgen_anon_2.wakeup_watermark = 1 << 18;
    if !shape.kernel {
        attr.set_exclude_kernel(1);
        attr.set_exclude_hv(1);
    }
    if shape.dummy {
        return attr;
    }
    attr.sample_type |= u64::from(
        sys::PERF_SAMPLE_CALLCHAIN | sys::PERF_SAMPLE_REGS_USER | sys::PERF_SAMPLE_STACK_USER,
    );
    attr.sample_regs_user = REGISTER_MASK;
    attr.sample_stack_user = shape.stack_bytes;
    attr.set_exclude_idle(1);
    attr.set_mmap(1);
    attr.set_mmap2(1);
    attr.set_comm(1);
    attr.set_comm_exec(1);
    attr.set_task(1);
    if shape.inherit {
        attr.set_inherit(1);
    }
    attr
}

/// Opens an event of `pid` (-1: every process) on `cpu`.
pub(crate) fn open(shape: &Shape, pid: i32, cpu: i32) -> io::Result<OwnedFd> {
    let mut attr = attributes(shape);
    let flags = libc::c_ulong::from(sys::PERF_FLAG_FD_CLOEXEC);
    // SAFETY: `attr` is initialised, of the size it states, and outlives the call.
    let fd = unsafe { perf_event_open_sys::perf_event_open(&raw mut attr, pid, cpu, -1, flags) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just made this descriptor for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Starts an event.
pub(crate) fn enable(event: &OwnedFd) -> io::Result<()> {
    // SAFETY: the descriptor is an open perf event.
    check(unsafe { perf_event_open_sys::ioctls::ENABLE(event.as_raw_fd(), 0) })
}

/// Changes the period of an event; what had passed of the old period is forgotten.
pub(crate) fn set_period(event: &OwnedFd, period_nanos: u64) -> io::Result<()> {
    let period = period_nanos;
    // The kernel takes the address of the number, whatever the binding's type says.
    let address = (&raw const period).expose_provenance() as u64;
    // SAFETY: the descriptor is an open perf event; the kernel reads one u64 at the address.
    check(unsafe { perf_event_open_sys::ioctls::PERIOD(event.as_raw_fd(), address) })
}

/// Makes `event` write into the ring of `owner`.
pub(crate) fn redirect(event: &OwnedFd, owner: &OwnedFd) -> io::Result<()> {
    // SAFETY: both descriptors are open perf events.
    check(unsafe { perf_event_open_sys::ioctls::SET_OUTPUT(event.as_raw_fd(), owner.as_raw_fd()) })
}
