//! Bytes an event, by table and column, of amplified captures.

use crate::Failure;
use crate::cost::{bytes_below, cpu_seconds, peak_mib};
use crate::input::{self, Arguments};
use parquet::file::metadata::{ParquetMetaDataReader, RowGroupMetaData};
use profile::Profile;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use stdx::{Clock, ManualClock, Rng, Timestamp};
use store::{Options, Resolution, Store};
use testkit::amplify::{Amplifier, Spread};
use testkit::profiles::BASE_MS;

/// Profiles appended together, while their rows are fewer than this.
const BATCH_SAMPLES: usize = 50_000;
/// Tables whose columns are always shown.
const DETAILED: [&str; 4] = ["samples", "nodes", "locations", "functions"];
/// Hours from the first copy to the store's now: late enough for a day to be over.
const AGE_HOURS: i64 = 24 * 30;

/// Bytes of one store's files.
#[derive(Default)]
struct Sizes {
    /// By table.
    tables: BTreeMap<String, u64>,
    /// By table and column; what is left of a table is footers and indexes.
    columns: BTreeMap<(String, String), u64>,
    /// Rows by table.
    rows: BTreeMap<String, u64>,
}

/// What was stored, beside its sizes.
struct Stored {
    what: &'static str,
    sizes: Sizes,
    cpu: f64,
    segments: u64,
}

/// Measures each of the given captures, or all together with `--together`.
pub(crate) async fn run(mut arguments: Arguments) -> Result<(), Failure> {
    let events: u64 = arguments.number("--events", 10_000_000)?;
    let spread = Spread {
        services: arguments.number("--services", 50)?,
        instances: arguments.number("--instances", 4)?,
        growth: arguments.number("--growth", 0.7)?,
        start: Timestamp::from_millis(BASE_MS),
        seed: arguments.number("--seed", 1)?,
    };
    let resolutions = arguments.value("--resolutions").unwrap_or_else(|| "ms,us,ns".to_owned());
    let all_columns = arguments.flag("--columns");
    let dir =
        arguments.value("--dir").unwrap_or_else(|| std::env::temp_dir().display().to_string());
    for path in arguments.rest()? {
        let profiles = input::profiles(&path).await?;
        println!("\n{path}");
        describe(&profiles);
        let mut stored = Vec::new();
        for resolution in resolutions.split(',') {
            let (what, options) = options(resolution)?;
            let folder = tempfile::tempdir_in(&dir)?;
            let copies = Amplifier::new(profiles.clone(), spread);
            stored.push(store_all(what, options, folder.path(), copies, events).await?);
        }
        report(&stored, events, all_columns);
    }
    Ok(())
}

/// How a store keeps times.
fn options(resolution: &str) -> Result<(&'static str, Options), Failure> {
    let options = |resolution| Options { resolution, ..input::lasting() };
    match resolution {
        "ms" => Ok(("1 ms", options(Resolution::Millis))),
        "us" => Ok(("1 us", options(Resolution::Micros))),
        "ns" => Ok(("1 ns", options(Resolution::Nanos))),
        other => Err(format!("{other}: a resolution is ms, us or ns").into()),
    }
}

fn describe(profiles: &[Profile]) {
    let samples: usize = profiles.iter().map(|profile| profile.samples.len()).sum();
    let stacks: usize = profiles
        .iter()
        .map(|profile| {
            let stacks: BTreeSet<_> = profile.samples.iter().map(|sample| sample.stack).collect();
            stacks.len()
        })
        .sum();
    let links: usize = profiles.iter().map(|profile| profile.tables.links.len()).sum();
    let all = || profiles.iter().flat_map(|profile| &profile.samples);
    let values: usize =
        all().map(|sample| sample.values.iter().filter(|value| **value != 0).count()).sum();
    let timed = all().filter(|sample| sample.time.is_some()).count();
    let of = |count: usize| count as f64 / samples.max(1) as f64;
    println!(
        "  captured: {} profiles, {samples} events; an event has {:.2} values, {:.2} distinct \
         stacks, {:.3} distinct spans; {:.0} % are timed",
        profiles.len(),
        of(values),
        of(stacks),
        of(links),
        100.0 * of(timed)
    );
}

async fn store_all(
    what: &'static str,
    options: Options,
    folder: &Path,
    copies: Amplifier,
    events: u64,
) -> Result<Stored, Failure> {
    let now = Timestamp::from_millis(BASE_MS + AGE_HOURS * 3_600_000);
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(now));
    let flush_at = options.memtable_bytes_max as u64;
    let before = cpu_seconds()?;
    let store = Store::open(folder, options, clock, Rng::seeded(1)).await?;
    let (mut batch, mut rows, mut left) = (Vec::new(), 0, events);
    for mut copy in copies {
        copy.samples.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        left -= copy.samples.len() as u64;
        rows += copy.samples.len();
        batch.push(copy);
        if rows >= BATCH_SAMPLES || left == 0 {
            store.append("measured", std::mem::take(&mut batch)).await?;
            rows = 0;
        }
        if store.stats().memtable_bytes >= flush_at {
            store.flush().await?;
            store.compact_once().await?;
        }
        if left == 0 {
            break;
        }
    }
    store.flush().await?;
    while store.compact_once().await? {}
    store.retain_once().await?;
    let segments = store.stats().segments;
    let cpu = cpu_seconds()? - before;
    drop(store);
    Ok(Stored { what, sizes: Sizes::of(folder)?, cpu, segments })
}

impl Sizes {
    fn of(folder: &Path) -> Result<Self, Failure> {
        let mut sizes = Self::default();
        let segments = folder.join("segments");
        let mut inside = 0;
        for segment in std::fs::read_dir(&segments)? {
            for file in std::fs::read_dir(segment?.path())? {
                let path = file?.path();
                inside += sizes.add(&path)?;
            }
        }
        let all = bytes_below(folder)?;
        let logs = bytes_below(&folder.join("wal")).unwrap_or(0);
        sizes.tables.insert("catalog".to_owned(), all - inside - logs);
        sizes.tables.insert("log".to_owned(), logs);
        Ok(sizes)
    }

    fn add(&mut self, path: &Path) -> Result<u64, Failure> {
        let table = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let bytes = std::fs::metadata(path)?.len();
        *self.tables.entry(table.clone()).or_default() += bytes;
        if path.extension().is_some_and(|extension| extension == "parquet") {
            let metadata =
                ParquetMetaDataReader::new().parse_and_finish(&std::fs::File::open(path)?)?;
            let rows = metadata.file_metadata().num_rows().unsigned_abs();
            *self.rows.entry(table.clone()).or_default() += rows;
            for column in metadata.row_groups().iter().flat_map(RowGroupMetaData::columns) {
                let key = (table.clone(), column.column_path().string());
                *self.columns.entry(key).or_default() += column.compressed_size().unsigned_abs();
            }
        }
        Ok(bytes)
    }

    fn total(&self) -> u64 {
        self.tables.values().sum()
    }
}

fn report(stored: &[Stored], events: u64, all_columns: bool) {
    let each = |bytes: u64| bytes as f64 / events as f64;
    let line = |name: &str, bytes: &dyn Fn(&Stored) -> u64| {
        let cells: String = stored.iter().map(|one| format!("{:>9.3}", each(bytes(one)))).collect();
        println!("  {name:<32}{cells}");
    };
    let heads: String = stored.iter().map(|one| format!("{:>9}", one.what)).collect();
    println!("  {:<32}{heads}", format!("bytes an event of {events}"));
    let tables: BTreeSet<&String> = stored.iter().flat_map(|one| one.sizes.tables.keys()).collect();
    for table in tables {
        line(table, &|one| one.sizes.tables.get(table).copied().unwrap_or(0));
        let is_shown = all_columns || DETAILED.contains(&table.as_str());
        let columns = stored.iter().flat_map(|one| one.sizes.columns.keys());
        let columns: BTreeSet<_> = columns.filter(|(of, _)| of == table).collect();
        for column in columns.into_iter().filter(|_| is_shown) {
            let name = format!("    {}", column.1);
            line(&name, &|one| one.sizes.columns.get(column).copied().unwrap_or(0));
        }
    }
    line("all, catalog included", &|one| one.sizes.total());
    // The bar of traced uploads allows 8 bytes for each distinct span besides.
    let spans = |one: &Stored| 8 * one.sizes.rows.get("links").copied().unwrap_or(0);
    line("all, without 8 a distinct span", &|one| one.sizes.total().saturating_sub(spans(one)));
    let rows = stored.first().map(|one| one.sizes.rows.iter()).into_iter().flatten();
    let rows: Vec<String> =
        rows.map(|(table, rows)| format!("{table} {:.4}", each(*rows))).collect();
    println!("  rows an event: {}", rows.join(", "));
    for one in stored {
        println!(
            "  {}: {} segments; stored and compacted in {:.1} CPU-s ({:.2} a million events)",
            one.what,
            one.segments,
            one.cpu,
            one.cpu * 1e6 / events as f64
        );
    }
    if let Ok(peak) = peak_mib() {
        println!("  peak RSS of the whole run: {peak} MiB");
    }
}
