//! Where accepted profiles go. The server puts the store here.

use futures::future::BoxFuture;
use profile::Profile;
use stdx::Ulid;

/// Takes profiles for good: an answer of `Ok` means they survive a power cut.
pub trait Sink: Send + Sync + 'static {
    /// Stores `profiles` of one tenant; their ids come back in the same order.
    fn append<'a>(
        &'a self,
        tenant: &'a str,
        profiles: Vec<Profile>,
    ) -> BoxFuture<'a, Result<Vec<Ulid>, SinkError>>;
}

/// Why profiles were not taken.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// Too much is waiting already: try again later.
    #[error("the store is busy: {0}")]
    Busy(String),
    /// The store failed (disk full, input or output error).
    #[error("the store failed: {0}")]
    Failed(String),
}
