//! Generated sets: stores that are made once, kept in a folder and reused.

use crate::Failure;
use crate::cost::{bytes_below, cpu_seconds, forget_peak, peak_mib};
use crate::input::{self, Arguments};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use stdx::{Clock, ManualClock, Rng, TimeRange, Timestamp};
use store::Store;
use testkit::load::Load;
use testkit::profiles::BASE_MS;

/// The tenant of generated sets.
pub(crate) const TENANT: &str = "measured";
/// Rows appended together.
const BATCH_SAMPLES: usize = 50_000;
/// Says what a folder holds, once it does.
const MARK: &str = "set.txt";

/// Which set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    pub(crate) events: u64,
    /// Distinct stacks of each of fifty services.
    pub(crate) stacks: usize,
    /// Whether services have unequally many instances.
    pub(crate) is_zipf: bool,
}

/// A set, opened.
pub(crate) struct Set {
    pub(crate) store: Arc<Store>,
    pub(crate) folder: PathBuf,
    pub(crate) range: TimeRange,
}

impl Wanted {
    pub(crate) fn of(arguments: &mut Arguments, events: u64) -> Result<Self, Failure> {
        let is_zipf = !arguments.flag("--even");
        Ok(Self { events, stacks: arguments.number("--stacks", 20_000)?, is_zipf })
    }

    fn name(&self) -> String {
        let law = if self.is_zipf { "zipf" } else { "even" };
        format!("{}-events-{}-stacks-{law}", self.events, self.stacks)
    }

    /// The set in `dir`, made if it is not there.
    pub(crate) async fn open(&self, dir: &Path) -> Result<Set, Failure> {
        let folder = dir.join(self.name());
        let is_made = folder.join(MARK).exists();
        if !is_made && folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        std::fs::create_dir_all(&folder)?;
        // A month later: the days of the set are over and compacted as such.
        let now = Timestamp::from_millis(BASE_MS + 30 * 24 * 3_600_000);
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(now));
        let store = Store::open(&folder, input::lasting(), clock, Rng::seeded(1)).await?;
        if !is_made {
            self.fill(&store, &folder).await?;
            std::fs::write(folder.join(MARK), self.name())?;
        }
        let parts = store.snapshot(TENANT, TimeRange::ALL).parts;
        let bounds = || parts.iter().map(store::Part::time_bounds);
        let start = bounds().map(|(first, _)| first).min().unwrap_or(0);
        let end = bounds().map(|(_, last)| last).max().unwrap_or(0);
        let range =
            TimeRange::new(Timestamp::from_nanos(start), Timestamp::from_nanos(end + 1_000_000));
        Ok(Set { store, folder, range })
    }

    async fn fill(&self, store: &Store, folder: &Path) -> Result<(), Failure> {
        forget_peak();
        let (mut left, mut made, mut stored) = (self.events, 0.0, 0.0);
        let mut profiles = Load::of_fifty(self.stacks, self.is_zipf).profiles();
        while left > 0 {
            let before = cpu_seconds()?;
            let (mut batch, mut rows) = (Vec::new(), 0);
            while rows < BATCH_SAMPLES && left > 0 {
                let Some(mut profile) = profiles.next() else { return Err("no services".into()) };
                profile.samples.truncate(usize::try_from(left).unwrap_or(usize::MAX));
                left -= profile.samples.len() as u64;
                rows += profile.samples.len();
                batch.push(profile);
            }
            let between = cpu_seconds()?;
            store.append(TENANT, batch).await?;
            if store.stats().memtable_bytes >= input::lasting().memtable_bytes_max as u64 {
                store.flush().await?;
                store.compact_once().await?;
            }
            made += between - before;
            stored += cpu_seconds()? - between;
        }
        let before = cpu_seconds()?;
        store.flush().await?;
        while store.compact_once().await? {}
        store.retain_once().await?;
        stored += cpu_seconds()? - before;
        println!(
            "{}: made in {made:.1} CPU-s, stored and compacted in {stored:.1} CPU-s ({:.2} a \
             million events), {:.2} B an event, {} segments, peak RSS {} MiB",
            self.name(),
            stored * 1e6 / self.events as f64,
            bytes_below(folder)? as f64 / self.events as f64,
            store.stats().segments,
            peak_mib()?
        );
        Ok(())
    }
}
