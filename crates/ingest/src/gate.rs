//! The bounded way to the decoders: how many uploads, how many bytes, how many at once.

use crate::limits::Limits;
use crate::problem::Problem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes are counted in pieces of this size.
const PIECE_BYTES: usize = 1024;

/// Admits uploads.
#[derive(Debug)]
pub(crate) struct Gate {
    uploads: Arc<Semaphore>,
    pieces: Arc<Semaphore>,
    decoders: Arc<Semaphore>,
    uploads_max: usize,
    body_bytes_max: usize,
}

/// An admitted upload; frees its place when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    _upload: OwnedSemaphorePermit,
    _bytes: OwnedSemaphorePermit,
}

/// A panic of a decoder, caught.
#[derive(Debug)]
pub(crate) struct Panicked;

impl Gate {
    pub(crate) fn new(limits: &Limits) -> Self {
        let pieces = limits.bodies_in_flight_bytes_max.max(limits.body_bytes_max) / PIECE_BYTES + 1;
        Self {
            uploads: Arc::new(Semaphore::new(limits.uploads_in_flight_max)),
            pieces: Arc::new(Semaphore::new(pieces)),
            decoders: Arc::new(Semaphore::new(limits.decoders_max.max(1))),
            uploads_max: limits.uploads_in_flight_max,
            body_bytes_max: limits.body_bytes_max,
        }
    }

    /// A place for an upload of `bytes` (unknown: of the largest size). Waits for other bodies to
    /// leave memory, but never in a line longer than the limit of uploads.
    pub(crate) async fn enter(&self, bytes: Option<usize>) -> Result<Place, Problem> {
        let upload = Arc::clone(&self.uploads).try_acquire_owned().map_err(|_| {
            let max = self.uploads_max;
            Problem::busy(format!("{max} uploads are being taken already"))
        })?;
        let bytes = bytes.unwrap_or(self.body_bytes_max).min(self.body_bytes_max);
        let pieces = (bytes / PIECE_BYTES + 1) as u32;
        let bytes = Arc::clone(&self.pieces).acquire_many_owned(pieces).await;
        let bytes = bytes.map_err(|_| Problem::busy("the server is stopping"))?;
        Ok(Place { _upload: upload, _bytes: bytes })
    }

    /// Runs a decoder on a thread of its own, when one is free; a panic in it stays there.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Panicked> {
        let permit = Arc::clone(&self.decoders).acquire_owned().await.map_err(|_| Panicked)?;
        let task = tokio::task::spawn_blocking(move || {
            let done = catch_unwind(AssertUnwindSafe(work));
            drop(permit);
            done
        });
        match task.await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(_)) | Err(_) => Err(Panicked),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_line_is_bounded_and_panics_stay_inside() {
        let limits = Limits { uploads_in_flight_max: 2, ..Limits::default() };
        let gate = Gate::new(&limits);
        let first = gate.enter(Some(10)).await.unwrap();
        let _second = gate.enter(Some(10)).await.unwrap();
        let refused = gate.enter(Some(10)).await.unwrap_err();
        assert_eq!(refused.status, http::StatusCode::TOO_MANY_REQUESTS);
        assert!(refused.retry_after.is_some());
        drop(first);
        assert!(gate.enter(None).await.is_ok());
        assert!(gate.run(|| panic!("inside")).await.is_err());
        assert_eq!(gate.run(|| 7).await.unwrap(), 7);
    }
}
