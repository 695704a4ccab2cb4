//! Where accepted profiles and spans go. The server puts the store here.

use crate::payload::Payload;
use futures::future::BoxFuture;
use profile::{Profile, SpanBatch};
use stdx::Ulid;

/// A profile that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its id.
    pub id: Ulid,
    /// Whether the same came before: it is counted once, and the id is the first one's.
    pub is_repeat: bool,
}

/// Takes profiles and spans for good: an answer of `Ok` means they survive a power cut.
pub trait Sink: Send + Sync + 'static {
    /// Stores `profiles` of one tenant, each once however often it is sent; what became of them
    /// comes back in the same order.
    fn append<'a>(
        &'a self,
        tenant: &'a str,
        profiles: Vec<Profile>,
    ) -> BoxFuture<'a, Result<Vec<Kept>, SinkError>>;

    /// Stores spans of one tenant, each batch once however often it is sent; what became of them
    /// comes back in the same order.
    fn append_spans<'a>(
        &'a self,
        tenant: &'a str,
        batches: Vec<SpanBatch>,
    ) -> BoxFuture<'a, Result<Vec<Kept>, SinkError>> {
        let what =
            format!("{} series of spans of {tenant:?}: there is no place for them", batches.len());
        Box::pin(async move { Err(SinkError::Failed(what)) })
    }

    /// Whether uploads may have to be kept as they came.
    fn keeps_payloads(&self) -> bool {
        false
    }

    /// As [`Sink::append`]; the upload that the profiles came with may be kept beside them.
    fn append_with<'a>(
        &'a self,
        tenant: &'a str,
        profiles: Vec<Profile>,
        _payload: Payload,
    ) -> BoxFuture<'a, Result<Vec<Kept>, SinkError>> {
        self.append(tenant, profiles)
    }
}

/// Why profiles were not taken.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// Too much is waiting already: try again later.
    #[error("the store is busy: {0}")]
    Busy(String),
    /// The disk is full: somebody has to make room.
    #[error("{0}")]
    DiskFull(String),
    /// The store failed (disk full, input or output error).
    #[error("the store failed: {0}")]
    Failed(String),
}
