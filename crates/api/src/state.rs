//! What the handlers share.

use crate::metrics::Metrics;
use crate::routes::payloads::KeptPayload;
use crate::running::Queries;
use profile::Metadata;
use std::sync::Arc;
use stdx::Clock;
use views::Views;
use views::classify::Overrides;

/// What the server says of itself.
#[derive(Clone, Debug, Default)]
pub struct ServerInfo {
    /// Version of the product.
    pub version: String,
    /// Which build of it: `debug` or `release`.
    pub build: String,
    /// Days that profiles are kept; `None`: for ever.
    pub retention_days: Option<f64>,
    /// Whether it is open to whoever is on the machine.
    pub is_local: bool,
    /// Something people should know, shown on the page.
    pub note: Option<String>,
}

/// Knows which uploads are kept as they came.
pub trait Payloads: Send + Sync {
    /// The upload that a profile was made of, when it is kept.
    fn of(&self, tenant: &str, metadata: &Metadata) -> Option<KeptPayload>;
}

/// State of the API.
#[derive(Clone)]
pub struct ApiState {
    /// Answers questions.
    pub views: Arc<dyn Views>,
    /// Whose code frames are, where the user says so.
    pub classes: Arc<Overrides>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What the server says of itself.
    pub info: Arc<ServerInfo>,
    /// Questions that are being answered.
    pub queries: Arc<Queries>,
    /// Which uploads are kept.
    pub payloads: Arc<dyn Payloads>,
    /// Counters and what else is shown under `/metrics`.
    pub metrics: Arc<Metrics>,
}

impl std::fmt::Debug for ApiState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiState").field("info", &self.info).finish_non_exhaustive()
    }
}
