//! Records as the kernel writes them, decoded without copying the big parts.

use crate::event::REGISTER_COUNT;
use perf_event_open_sys::bindings as sys;

/// Bytes of the identity that closes every record but a sample: pid, tid, time, CPU.
const TRAILER_BYTES: usize = 24;

/// User registers at the sampled instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Registers {
    /// AX BX CX DX SI DI BP SP IP, then R8 to R15.
    pub values: [u64; REGISTER_COUNT],
}

impl Registers {
    /// Instruction pointer.
    pub fn ip(&self) -> u64 {
        self.values[8]
    }
    /// Stack pointer.
    pub fn sp(&self) -> u64 {
        self.values[7]
    }
    /// Frame pointer.
    pub fn bp(&self) -> u64 {
        self.values[6]
    }
}

/// A list of 64-bit words inside a record.
#[derive(Clone, Copy, Debug, Default)]
pub struct Words<'a>(&'a [u8]);

impl Words<'_> {
    /// The words in order.
    pub fn iter(&self) -> impl Iterator<Item = u64> {
        self.0.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().unwrap_or_default()))
    }
}

/// One sample of a running thread.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// Process (thread group) id in our pid namespace.
    pub pid: u32,
    /// Thread id.
    pub tid: u32,
    /// CPU it ran on.
    pub cpu: u32,
    /// `CLOCK_MONOTONIC`, nanoseconds.
    pub time: u64,
    /// Kernel frames and frame-pointer chain of user space, leaf first, with `PERF_CONTEXT_*`
    /// marks (values from `u64::MAX - 4094` on).
    pub chain: Words<'a>,
    /// User registers; none for kernel threads and 32-bit programs.
    pub registers: Option<Registers>,
    /// Copy of the stack from the stack pointer upwards.
    pub stack: &'a [u8],
}

/// What the kernel reports.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Record<'a> {
    /// A thread was sampled.
    Sample(Sample<'a>),
    /// A process mapped code.
    Map {
        /// Process id.
        pid: u32,
        /// First address.
        start: u64,
        /// Length in bytes.
        len: u64,
        /// Offset in the file.
        offset: u64,
        /// Device (major, minor) and inode of the file.
        file: (u32, u32, u64),
        /// Path as the process sees it, or a mark such as `[vdso]` or `//anon`.
        path: &'a [u8],
    },
    /// A thread changed its name; with `exec` the process became another program.
    Comm {
        /// Process id.
        pid: u32,
        /// Thread id.
        tid: u32,
        /// Whether it is the name after an exec.
        exec: bool,
        /// The name, at most 15 bytes.
        name: &'a [u8],
    },
    /// A thread or process began.
    Fork {
        /// Process id of the new thread.
        pid: u32,
        /// Its thread id.
        tid: u32,
        /// Process id of its maker.
        parent_pid: u32,
    },
    /// A thread ended.
    Exit {
        /// Process id.
        pid: u32,
        /// Thread id.
        tid: u32,
    },
    /// The kernel had no room for this many records.
    Lost {
        /// Number of records.
        count: u64,
    },
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

fn text(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// Where in a record of `kind` and `size` bytes its time stands.
pub(crate) fn time_offset(kind: u32, size: usize) -> Option<usize> {
    if kind == sys::PERF_RECORD_SAMPLE { Some(16) } else { size.checked_sub(16) }
}

fn sample(bytes: &[u8]) -> Option<Sample<'_>> {
    let chain_len = usize::try_from(u64_at(bytes, 32)?).ok()?.checked_mul(8)?;
    let chain_end = 40usize.checked_add(chain_len)?;
    let chain = Words(bytes.get(40..chain_end)?);
    let has_registers = u64_at(bytes, chain_end)? != 0;
    let mut at = chain_end + 8;
    let mut registers = None;
    if has_registers {
        let mut values = [0; REGISTER_COUNT];
        for value in &mut values {
            *value = u64_at(bytes, at)?;
            at += 8;
        }
        registers = Some(Registers { values });
    }
    let stack_size = usize::try_from(u64_at(bytes, at)?).ok()?;
    let mut stack: &[u8] = &[];
    if stack_size > 0 {
        let data = bytes.get(at + 8..(at + 8).checked_add(stack_size)?)?;
        let filled = usize::try_from(u64_at(bytes, at + 8 + stack_size)?).ok()?;
        stack = data.get(..filled.min(stack_size))?;
    }
    Some(Sample {
        pid: u32_at(bytes, 8)?,
        tid: u32_at(bytes, 12)?,
        time: u64_at(bytes, 16)?,
        cpu: u32_at(bytes, 24)?,
        chain,
        registers,
        stack,
    })
}

/// Decodes a whole record, header included; none for kinds of no interest and damaged ones.
pub(crate) fn decode(kind: u32, misc: u16, bytes: &[u8]) -> Option<Record<'_>> {
    let end = bytes.len().checked_sub(TRAILER_BYTES);
    match kind {
        sys::PERF_RECORD_SAMPLE => sample(bytes).map(Record::Sample),
        sys::PERF_RECORD_MMAP2 => Some(Record::Map {
            pid: u32_at(bytes, 8)?,
            start: u64_at(bytes, 16)?,
            len: u64_at(bytes, 24)?,
            offset: u64_at(bytes, 32)?,
            file: (u32_at(bytes, 40)?, u32_at(bytes, 44)?, u64_at(bytes, 48)?),
            path: text(bytes.get(72..end?)?),
        }),
        sys::PERF_RECORD_COMM => Some(Record::Comm {
            pid: u32_at(bytes, 8)?,
            tid: u32_at(bytes, 12)?,
            exec: u32::from(misc) & sys::PERF_RECORD_MISC_COMM_EXEC != 0,
            name: text(bytes.get(16..end?)?),
        }),
        sys::PERF_RECORD_FORK => Some(Record::Fork {
            pid: u32_at(bytes, 8)?,
            parent_pid: u32_at(bytes, 12)?,
            tid: u32_at(bytes, 16)?,
        }),
        sys::PERF_RECORD_EXIT => {
            Some(Record::Exit { pid: u32_at(bytes, 8)?, tid: u32_at(bytes, 16)? })
        }
        sys::PERF_RECORD_LOST => Some(Record::Lost { count: u64_at(bytes, 16)? }),
        sys::PERF_RECORD_LOST_SAMPLES => Some(Record::Lost { count: u64_at(bytes, 8)? }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[u64]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    #[test]
    fn a_sample_is_read_and_every_cut_of_it_is_refused() {
        let mut fields = vec![0, (8 << 32) | 7, 99, 1, 2, 0xaaa, 0xbbb, 2];
        fields.extend(1..=REGISTER_COUNT as u64);
        fields.extend([16, 0x1111, 0x2222, 8]);
        let bytes = words(&fields);
        let Some(Record::Sample(sample)) = decode(sys::PERF_RECORD_SAMPLE, 0, &bytes) else {
            panic!("no sample");
        };
        assert_eq!((sample.pid, sample.tid, sample.time, sample.cpu), (7, 8, 99, 1));
        assert_eq!(sample.chain.iter().collect::<Vec<_>>(), [0xaaa, 0xbbb]);
        assert_eq!(sample.registers.map(|it| (it.bp(), it.sp(), it.ip())), Some((7, 8, 9)));
        assert_eq!(sample.stack, 0x1111u64.to_le_bytes());
        for cut in 0..bytes.len() {
            assert!(decode(sys::PERF_RECORD_SAMPLE, 0, &bytes[..cut]).is_none(), "cut at {cut}");
        }
    }

    #[test]
    fn sizes_beyond_the_record_are_refused() {
        let bytes = words(&[0, 0, 0, 0, u64::MAX, 0, 0]);
        assert!(decode(sys::PERF_RECORD_SAMPLE, 0, &bytes).is_none());
        let bytes = words(&[0, 0, 0, 0, 0, 0, u64::MAX - 3, 0]);
        assert!(decode(sys::PERF_RECORD_SAMPLE, 0, &bytes).is_none());
    }

    #[test]
    fn an_exec_carries_its_name() {
        let mut bytes = words(&[0, (8 << 32) | 7]);
        bytes.extend(b"make\0\0\0\0");
        bytes.extend([0; TRAILER_BYTES]);
        let record = decode(sys::PERF_RECORD_COMM, 1 << 13, &bytes);
        assert!(matches!(record, Some(Record::Comm { pid: 7, tid: 8, exec: true, name: b"make" })));
    }
}
