//! The ring through which the kernel hands over the records of one CPU.

use crate::Error;
use memmap2::{MmapOptions, MmapRaw};
use perf_event_open_sys::bindings::perf_event_mmap_page;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

const PAGE_BYTES: usize = 4096;
const HEADER_BYTES: usize = 8;

/// One mapped ring.
pub(crate) struct Ring {
    map: MmapRaw,
    data_bytes: usize,
}

impl Ring {
    /// Maps the ring of `event`; `bytes` is a power of two, at least a page.
    pub(crate) fn map(event: &OwnedFd, bytes: usize) -> Result<Self, Error> {
        let map = MmapOptions::new()
            .len(PAGE_BYTES + bytes)
            .map_raw(event.as_raw_fd())
            .map_err(|source| Error::Ring { bytes, source })?;
        Ok(Self { map, data_bytes: bytes })
    }

    fn control(&self) -> *mut perf_event_mmap_page {
        self.map.as_mut_ptr().cast()
    }

    fn head(&self) -> u64 {
        // SAFETY: the control page is mapped as long as `self` lives; the field is aligned, and
        // the kernel writes it with release semantics.
        let head = unsafe { AtomicU64::from_ptr(&raw mut (*self.control()).data_head) };
        head.load(Ordering::Acquire)
    }

    fn tail(&self) -> u64 {
        // SAFETY: as in `head`; only we write this field.
        let tail = unsafe { AtomicU64::from_ptr(&raw mut (*self.control()).data_tail) };
        tail.load(Ordering::Relaxed)
    }

    /// What can be read now.
    pub(crate) fn pending(&self) -> (u64, u64) {
        (self.tail(), self.head())
    }

    /// Gives everything before `to` back to the kernel. Nothing borrowed from it may live on.
    pub(crate) fn release(&mut self, to: u64) {
        // SAFETY: as in `head`; `&mut self` ends every borrow of the data.
        let tail = unsafe { AtomicU64::from_ptr(&raw mut (*self.control()).data_tail) };
        tail.store(to, Ordering::Release);
    }

    /// The `len` bytes at `position`, copied into `scratch` if they wrap round the end.
    pub(crate) fn bytes<'a>(
        &'a self,
        position: u64,
        len: usize,
        scratch: &'a mut Vec<u8>,
    ) -> &'a [u8] {
        let len = len.min(self.data_bytes);
        let start = position as usize & (self.data_bytes - 1);
        let first = len.min(self.data_bytes - start);
        let data = self.map.as_ptr().wrapping_add(PAGE_BYTES);
        // SAFETY: `start + first` is within the mapped data, and the kernel does not write between
        // tail and head until `release`.
        let head = unsafe { std::slice::from_raw_parts(data.wrapping_add(start), first) };
        if first == len {
            return head;
        }
        // SAFETY: `len - first` is smaller than the ring; as above.
        let rest = unsafe { std::slice::from_raw_parts(data, len - first) };
        scratch.clear();
        scratch.extend_from_slice(head);
        scratch.extend_from_slice(rest);
        scratch
    }

    /// Kind, misc bits and size in bytes of the record at `position`.
    pub(crate) fn header(&self, position: u64) -> (u32, u16, usize) {
        let mut scratch = Vec::new();
        let bytes = self.bytes(position, HEADER_BYTES, &mut scratch);
        let word = u64::from_le_bytes(bytes.try_into().unwrap_or_default());
        (word as u32, (word >> 32) as u16, (word >> 48) as usize)
    }
}
