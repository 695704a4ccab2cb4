//! The bounded way to the decoders: how many uploads, how many bytes, how many at once.

use crate::limits::Limits;
use crate::problem::Problem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes are counted in pieces of this size.
const PIECE_BYTES: usize = 1024;

/// Admits uploads.
#[derive(Debug)]
pub(crate) struct Gate {
    uploads: Arc<Semaphore>,
    pieces: Arc<Semaphore>,
    decoders: Arc<Semaphore>,
    decoded: Arc<Semaphore>,
    decoded_max: usize,
    uploads_max: usize,
    room_wait: Duration,
}

/// The memory of one body, as much as has arrived of it; freed when dropped.
#[derive(Debug)]
pub(crate) struct Room {
    pieces: Arc<Semaphore>,
    held: Option<OwnedSemaphorePermit>,
    bytes: usize,
    wait: Duration,
}

/// An admitted upload; frees its place when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    _upload: OwnedSemaphorePermit,
    _room: Room,
}

/// A panic of a decoder, caught.
#[derive(Debug)]
pub(crate) struct Panicked;

impl Gate {
    pub(crate) fn new(limits: &Limits) -> Self {
        let decoded_max = limits.decoded_in_flight_bytes_max / PIECE_BYTES + 1;
        let pieces = limits.bodies_in_flight_bytes_max.max(limits.body_bytes_max) / PIECE_BYTES + 1;
        Self {
            uploads: Arc::new(Semaphore::new(limits.uploads_in_flight_max)),
            pieces: Arc::new(Semaphore::new(pieces)),
            decoders: Arc::new(Semaphore::new(limits.decoders_max.max(1))),
            decoded: Arc::new(Semaphore::new(decoded_max)),
            decoded_max,
            uploads_max: limits.uploads_in_flight_max,
            room_wait: limits.room_wait,
        }
    }

    /// Room for a body that is about to arrive. It takes memory only as the body does: who sends
    /// slowly, or announces more than comes, holds nothing back from others.
    pub(crate) fn room(&self) -> Room {
        let pieces = Arc::clone(&self.pieces);
        Room { pieces, held: None, bytes: 0, wait: self.room_wait }
    }

    /// A place in the line of uploads for a body that has arrived.
    pub(crate) fn enter(&self, room: Room) -> Result<Place, Problem> {
        let upload = Arc::clone(&self.uploads).try_acquire_owned().map_err(|_| {
            let max = self.uploads_max;
            Problem::busy(format!("{max} uploads are being taken already"))
        })?;
        Ok(Place { _upload: upload, _room: room })
    }

    /// Memory for what was decoded, until it is dropped; waits a little for others to be stored.
    pub(crate) async fn hold(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Problem> {
        // One that is larger than all of it goes alone.
        let pieces = (bytes / PIECE_BYTES + 1).min(self.decoded_max) as u32;
        let held = Arc::clone(&self.decoded).acquire_many_owned(pieces);
        match tokio::time::timeout(self.room_wait, held).await {
            Ok(Ok(held)) => Ok(held),
            _ => Err(Problem::busy("uploads that are being stored fill the memory for them")),
        }
    }

    /// Bytes held by what was decoded.
    #[cfg(test)]
    pub(crate) fn held_bytes(&self) -> usize {
        (self.decoded_max - self.decoded.available_permits()) * PIECE_BYTES
    }

    /// Runs a decoder on a thread of its own, when one is free; a panic in it stays there. The
    /// decoder is free for others when what comes with the result is dropped.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<(T, OwnedSemaphorePermit), Panicked> {
        let permit = Arc::clone(&self.decoders).acquire_owned().await.map_err(|_| Panicked)?;
        let task = tokio::task::spawn_blocking(move || {
            let done = catch_unwind(AssertUnwindSafe(work));
            done.map(|done| (done, permit))
        });
        match task.await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(_)) | Err(_) => Err(Panicked),
        }
    }
}

impl Room {
    /// Room for further `bytes`; waits a little for other bodies to leave memory.
    pub(crate) async fn grow(&mut self, bytes: usize) -> Result<(), Problem> {
        self.bytes += bytes;
        let held = self.held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let Some(missing) = (self.bytes / PIECE_BYTES + 1).checked_sub(held).filter(|n| *n > 0)
        else {
            return Ok(());
        };
        let more = Arc::clone(&self.pieces).acquire_many_owned(missing as u32);
        // Two bodies that wait for each other's memory: neither waits for long.
        let Ok(Ok(more)) = tokio::time::timeout(self.wait, more).await else {
            return Err(Problem::busy("the bodies of other uploads fill the memory for uploads"));
        };
        match &mut self.held {
            Some(held) => held.merge(more),
            None => self.held = Some(more),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_line_is_bounded_and_panics_stay_inside() {
        let limits = Limits { uploads_in_flight_max: 2, ..Limits::default() };
        let gate = Gate::new(&limits);
        let first = gate.enter(gate.room()).unwrap();
        let _second = gate.enter(gate.room()).unwrap();
        let refused = gate.enter(gate.room()).unwrap_err();
        assert_eq!(refused.status, http::StatusCode::TOO_MANY_REQUESTS);
        assert!(refused.retry_after.is_some());
        drop(first);
        assert!(gate.enter(gate.room()).is_ok());
        assert!(gate.run(|| panic!("inside")).await.is_err());
        assert_eq!(gate.run(|| 7).await.unwrap().0, 7);
    }

    #[tokio::test]
    async fn memory_is_held_for_what_has_arrived_and_no_longer() {
        let limits = Limits {
            body_bytes_max: 1 << 20,
            bodies_in_flight_bytes_max: 1 << 20,
            room_wait: Duration::from_millis(5),
            ..Limits::default()
        };
        let gate = Gate::new(&limits);
        // A thousand bodies that were announced take nothing.
        let idle: Vec<Room> = (0..1000).map(|_| gate.room()).collect();
        let mut large = gate.room();
        for _ in 0..16 {
            large.grow(1 << 16).await.unwrap();
        }
        let mut next = gate.room();
        let refused = next.grow(1 << 16).await.unwrap_err();
        assert_eq!(refused.status, http::StatusCode::TOO_MANY_REQUESTS);
        drop(large);
        gate.room().grow(1 << 20).await.unwrap();
        drop(idle);
    }
}
