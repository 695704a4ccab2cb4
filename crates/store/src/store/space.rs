//! Room on the disk. Appends stop while a reserve is left, so that what is acknowledged can still be
//! flushed and the catalog can still drop what is old; queries go on. When there is room again,
//! appends do too.

use crate::Error;
use crate::layer::FileLayer;
use crate::limits::{DISK_LOOK_INTERVAL, DISK_RESERVE_BYTES};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use stdx::Clock;

/// What is known of the disk.
#[derive(Debug, Default)]
pub(super) struct Space {
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// When the layer was asked last; `None`: never.
    at: Option<Duration>,
    free: Option<u64>,
    /// A flush failed for lack of room, and none has worked since.
    is_flush_stuck: bool,
}

impl Space {
    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses when the disk is (nearly) full.
    pub(super) fn check(&self, layer: &dyn FileLayer, clock: &dyn Clock) -> Result<(), Error> {
        let now = clock.monotonic();
        let mut seen = self.seen();
        if seen.at.is_none_or(|at| now.saturating_sub(at) >= DISK_LOOK_INTERVAL) {
            seen.at = Some(now);
            // A layer that does not know, or fails to say: the write itself will tell.
            seen.free = layer.free_bytes().ok().flatten();
        }
        match seen.free {
            Some(free) if free < DISK_RESERVE_BYTES => {
                Err(Error::DiskFull { what: format!("{} MiB are free", free >> 20) })
            }
            _ => Ok(()),
        }
    }

    /// Whether flushes fail because the disk is full.
    pub(super) fn is_flush_stuck(&self) -> bool {
        self.seen().is_flush_stuck
    }

    /// A flush worked or failed.
    pub(super) fn note_flush(&self, result: &Result<(), Error>) {
        let mut seen = self.seen();
        match result {
            Ok(()) => seen.is_flush_stuck = false,
            Err(error) if error.is_disk_full() => seen.is_flush_stuck = true,
            Err(_) => {}
        }
    }

    /// A write failed: look again before the next.
    pub(super) fn note(&self, error: &Error) {
        if error.is_disk_full() {
            self.seen().at = None;
        }
    }
}

/// Refuses when there is no room for so many bytes more.
pub(super) fn check_for(layer: &dyn FileLayer, bytes: u64) -> Result<(), Error> {
    match layer.free_bytes().ok().flatten() {
        Some(free) if free < DISK_RESERVE_BYTES.saturating_add(bytes) => {
            let (free, bytes) = (free >> 20, bytes >> 20);
            Err(Error::DiskFull { what: format!("{free} MiB are free, it takes {bytes} MiB") })
        }
        _ => Ok(()),
    }
}
