//! Running something on one CPU.

use libc::cpu_set_t;

/// Runs `work` on a CPU, or where it is if the thread may not go there. A call that concerns another
/// CPU interrupts that one and spins until it answers: milliseconds where CPUs are virtual and busy.
/// Waiting to be moved there costs nothing.
pub(crate) fn on_cpu<T>(cpu: i32, work: impl FnOnce() -> T) -> T {
    let before = allowed().filter(|_| set_allowed(&only(cpu)));
    let result = work();
    if let Some(before) = before {
        set_allowed(&before);
    }
    result
}

fn none() -> cpu_set_t {
    // SAFETY: a set of CPUs is made of integers, for which zero is valid.
    unsafe { std::mem::zeroed() }
}

/// The set of one CPU; empty, which the system refuses, where its number is too large for a set.
fn only(cpu: i32) -> cpu_set_t {
    let mut set = none();
    if let Some(cpu) = usize::try_from(cpu).ok().filter(|cpu| *cpu < libc::CPU_SETSIZE as usize) {
        // SAFETY: the number is within the set.
        unsafe { libc::CPU_SET(cpu, &mut set) };
    }
    set
}

/// CPUs that this thread may run on.
fn allowed() -> Option<cpu_set_t> {
    let mut set = none();
    // SAFETY: `set` is a valid place for so many bytes.
    let result = unsafe { libc::sched_getaffinity(0, size_of::<cpu_set_t>(), &raw mut set) };
    (result == 0).then_some(set)
}

fn set_allowed(set: &cpu_set_t) -> bool {
    // SAFETY: `set` is a valid set of so many bytes.
    unsafe { libc::sched_setaffinity(0, size_of::<cpu_set_t>(), set) == 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here() -> i32 {
        // SAFETY: the call has no preconditions.
        unsafe { libc::sched_getcpu() }
    }

    #[test]
    fn work_is_done_on_each_cpu_and_then_anywhere_again() {
        let before = allowed().expect("the system says");
        let mut moved = 0;
        for cpu in 0..libc::CPU_SETSIZE {
            // SAFETY: the number is within the set.
            if unsafe { libc::CPU_ISSET(cpu as usize, &before) } {
                assert_eq!(on_cpu(cpu, here), cpu);
                moved += 1;
            }
            // SAFETY: both are sets.
            let same = allowed().is_some_and(|now| unsafe { libc::CPU_EQUAL(&now, &before) });
            assert!(same, "after CPU {cpu}");
        }
        assert!(moved > 0);
    }

    #[test]
    fn work_is_done_somewhere_when_there_is_no_such_cpu() {
        for cpu in [-1, libc::CPU_SETSIZE - 1, libc::CPU_SETSIZE, i32::MAX] {
            assert!(on_cpu(cpu, here) >= 0);
        }
    }
}
