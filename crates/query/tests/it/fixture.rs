//! A store with an oracle beside it.

use profile::Profile;
use query::{Engine, Settings};
use std::sync::Arc;
use std::time::Duration;
use stdx::{Clock, ManualClock, Rng, Timestamp, Ulid};
use store::{Options, Resolution, Store};
use testkit::profiles::BASE_MS;
use views::naive::Naive;

/// Where the data lies when it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// All in the memtable.
    Memory,
    /// Some in segments, some in the memtable.
    Mixed,
    /// All in segments, three profiles each.
    Flushed,
    /// Segments merged as far as the store merges.
    Compacted,
}

/// A store, its engine and the oracle with the same profiles.
pub(crate) struct Fixture {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) store: Arc<Store>,
    pub(crate) engine: Engine,
    pub(crate) naive: Naive,
    pub(crate) ids: Vec<(String, Ulid)>,
}

/// Runs a future to its end.
pub(crate) fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(work)
}

impl Fixture {
    /// Takes profiles of tenants in, laid out as said.
    pub(crate) async fn with(profiles: &[(String, Profile)], layout: Layout) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        // Late enough for the store to think that the profiles' day is over.
        let now = Timestamp::from_millis(BASE_MS + 30 * 3_600_000);
        let clock = Arc::new(ManualClock::new(now));
        // Where all is in segments, only the names asked for are read of them.
        let is_picked = matches!(layout, Layout::Flushed | Layout::Compacted);
        let picked_from_bytes = if is_picked { 0 } else { Options::default().picked_from_bytes };
        let options =
            Options { resolution: Resolution::Nanos, picked_from_bytes, ..Options::default() };
        let given_clock = Arc::clone(&clock);
        let store = Store::open(folder.path(), options, given_clock, Rng::seeded(1)).await;
        let store = store.expect("a store opens");
        let mut naive = Naive::default();
        let mut ids = Vec::new();
        for (at, (tenant, profile)) in profiles.iter().enumerate() {
            clock.advance(Duration::from_secs(1));
            let given = store.append(tenant, vec![profile.clone()]).await.expect("accepted");
            naive.insert(given[0], tenant, clock.now(), profile.clone());
            ids.push((tenant.clone(), given[0]));
            let flushes = match layout {
                Layout::Memory => false,
                Layout::Mixed => at == profiles.len() / 2,
                Layout::Flushed | Layout::Compacted => at % 3 == 2,
            };
            if flushes {
                store.flush().await.expect("flushed");
            }
        }
        if matches!(layout, Layout::Flushed | Layout::Compacted) {
            store.flush().await.expect("flushed");
        }
        if layout == Layout::Compacted {
            while store.compact_once().await.expect("compacted") {}
        }
        let engine = Engine::new(Arc::clone(&store), Settings::default());
        Self { folder, store, engine, naive, ids }
    }
}
