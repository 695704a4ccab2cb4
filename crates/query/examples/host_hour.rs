//! Measures storing and asking about an hour of a host: `host_hour DATA-DIR [MINUTES]` reads the
//! profiles of a captured store, repeats them shifted in time until they fill the minutes, stores
//! them minute by minute, and prints CPU seconds and bytes. `cargo xtask bench host` captures and
//! runs it.
#![allow(clippy::print_stdout, reason = "a program that prints its findings")]

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Int32Type, Int64Type, UInt32Type};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use profile::{Profile, ProfileTypeId, SampleKind};
use query::{Engine, Settings};
use rustc_hash::FxHashMap;
use std::path::Path;
use std::sync::Arc;
use stdx::{Clock, Rng, SystemClock, TimeRange, Timestamp};
use store::{Options, Samples, Store};
use views::{Matcher, Selection, Views};

type Failure = Box<dyn std::error::Error>;

/// Runs of each question.
const RUNS: u32 = 10;
const MINUTE: i64 = 60_000_000_000;

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("give the data folder of a store")?;
    let minutes: i64 = arguments.next().map_or(Ok(60), |text| text.parse())?;
    let (profiles, seconds) = captured(Path::new(&folder)).await?;
    let dir = tempfile::tempdir()?;
    let options = || Options { retention: std::time::Duration::MAX, ..Options::default() };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let store = Store::open(dir.path(), options(), Arc::clone(&clock), Rng::from_entropy()).await?;
    let before = cpu_seconds()?;
    let samples = repeat(&store, &profiles, seconds, minutes).await?;
    let stored = cpu_seconds()? - before;
    let bytes = bytes_below(dir.path())?;
    println!(
        "{minutes} minutes: {samples} events in {} segments, {stored:.2} CPU-s to store, {:.3} B an \
         event, all files",
        store.stats().segments,
        bytes as f64 / samples as f64
    );
    ask(&store, dir.path()).await
}

/// The profiles of a store, by start, and how many seconds they cover.
async fn captured(folder: &Path) -> Result<(Vec<Profile>, i64), Failure> {
    let options = Options { retention: std::time::Duration::MAX, ..Options::default() };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let store = Store::open(folder, options, clock, Rng::from_entropy()).await?;
    store.flush().await?;
    while store.compact_once().await? {}
    store.retain_once().await?;
    let engine = Engine::new(Arc::clone(&store), Settings::default());
    let mut profiles = Vec::new();
    for tenant in store.tenants() {
        for part in store.snapshot(&tenant, TimeRange::ALL).parts {
            for row in part.profiles().await?.iter() {
                let found = engine.profile(&tenant, row.id).await?;
                profiles.extend(found.map(|(_, profile)| profile));
            }
        }
    }
    profiles.sort_by_key(|profile| profile.window.start);
    let starts = profiles.iter().map(|profile| profile.window.start.nanos());
    let ends = profiles.iter().map(|profile| profile.window.end.nanos());
    let nanos = ends.max().unwrap_or(0) - starts.min().unwrap_or(0);
    let samples: usize = profiles.iter().map(|profile| profile.samples.len()).sum();
    println!(
        "captured: {} profiles, {samples} events, {} s, {:.3} B an event in {} segments, all files",
        profiles.len(),
        nanos / 1_000_000_000,
        bytes_below(folder)? as f64 / samples.max(1) as f64,
        store.stats().segments,
    );
    Ok((profiles, nanos / 1_000_000_000 + 1))
}

fn shifted(profile: &Profile, nanos: i64) -> Profile {
    let mut profile = profile.clone();
    let window = profile.window;
    profile.window = TimeRange::new(window.start.plus_nanos(nanos), window.end.plus_nanos(nanos));
    for sample in &mut profile.samples {
        sample.time = sample.time.map(|time| time.plus_nanos(nanos));
    }
    profile
}

/// Fills `minutes` that begin with the first profile; returns the number of events.
async fn repeat(
    store: &Arc<Store>,
    profiles: &[Profile],
    seconds: i64,
    minutes: i64,
) -> Result<u64, Failure> {
    let Some(first) = profiles.first() else { return Err("the store is empty".into()) };
    let end = first.window.start.plus_nanos(minutes * MINUTE);
    let mut flushed = first.window.start;
    let mut samples = 0;
    for round in 0.. {
        for profile in profiles {
            let profile = shifted(profile, round * seconds * 1_000_000_000);
            let start = profile.window.start;
            if start >= end {
                store.flush().await?;
                store.compact_once().await?;
                return Ok(samples);
            }
            if start >= flushed.plus_nanos(MINUTE) {
                flushed = start;
                store.flush().await?;
                store.compact_once().await?;
                store.retain_once().await?;
            }
            samples += profile.samples.len() as u64;
            store.append("default", vec![profile]).await?;
        }
    }
    Ok(samples)
}

async fn ask(store: &Arc<Store>, root: &Path) -> Result<(), Failure> {
    let kind = SampleKind::from_id("stack").ok_or("no kind for CPU time")?;
    let profile_type: ProfileTypeId = kind.measures[0].type_id();
    let range = TimeRange::new(Timestamp::from_nanos(0), Timestamp::from_millis(1 << 42));
    let everything =
        Selection { profile_type: Some(profile_type), ..Selection::everything("default", range) };
    let engine = Engine::new(Arc::clone(store), Settings { scans_max: 2, ..Settings::default() });
    let services = engine.services(&everything, 60).await?.services;
    let most = services.first().map(|one| one.service.clone()).unwrap_or_default();
    let one = Selection {
        matchers: vec![Matcher::equal("service_name", most.clone())],
        ..everything.clone()
    };
    for (what, selection) in [("the host".to_owned(), &everything), (most, &one)] {
        let graph = engine.flamegraph(selection, 8192).await?;
        let before = cpu_seconds()?;
        for _ in 0..RUNS {
            engine.flamegraph(selection, 8192).await?;
        }
        println!(
            "flame graph of {what}: {:.4} CPU-s over {} events ({} nodes shown)",
            (cpu_seconds()? - before) / f64::from(RUNS),
            graph.meta.samples,
            graph.len()
        );
    }
    compare(store, root, &engine, &everything).await
}

/// Step 1 of a flame graph by the engine and by a loop over the same files.
async fn compare(
    store: &Store,
    root: &Path,
    engine: &Engine,
    selection: &Selection,
) -> Result<(), Failure> {
    let sums = engine.stack_sums(selection).await?;
    let before = cpu_seconds()?;
    for _ in 0..RUNS {
        engine.stack_sums(selection).await?;
    }
    let ours = (cpu_seconds()? - before) / f64::from(RUNS);
    let before = cpu_seconds()?;
    for _ in 0..RUNS {
        engine.profile_types(selection).await?;
    }
    let metadata = (cpu_seconds()? - before) / f64::from(RUNS);
    let mut files = Vec::new();
    for part in store.snapshot("default", TimeRange::ALL).parts {
        if let Samples::Parquet { path, .. } = part.samples() {
            files.push(root.join(path.as_ref()));
        }
    }
    let (mut total, mut groups) = (0, 0);
    let before = cpu_seconds()?;
    for _ in 0..RUNS {
        (total, groups) = (0, 0);
        for file in &files {
            let sums = by_hand(file)?;
            total += sums.values().sum::<i64>();
            groups += sums.len();
        }
    }
    let loops = (cpu_seconds()? - before) / f64::from(RUNS);
    if i128::from(total) != sums.total() || groups != sums.groups() {
        return Err(format!("{total} in {groups} groups by hand, {sums:?} by the engine").into());
    }
    println!(
        "step 1: engine {ours:.4} CPU-s (of which about {metadata:.4} metadata), hand-written \
         loop {loops:.4} CPU-s, ratio {:.2} ({:.2} without metadata); {groups} groups in {} files",
        ours / loops,
        (ours - metadata) / loops,
        files.len()
    );
    Ok(())
}

fn by_hand(file: &Path) -> Result<FxHashMap<u32, i64>, Failure> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(file)?)?;
    let names = ["kind", "stack", "v0"];
    let columns = ProjectionMask::columns(builder.parquet_schema(), names);
    let reader = builder.with_projection(columns).with_batch_size(8192).build()?;
    let mut sums: FxHashMap<u32, i64> = FxHashMap::default();
    for batch in reader {
        let batch = batch?;
        let kind = batch.column(0).as_dictionary::<Int32Type>();
        let kinds = kind.values().as_string::<i32>();
        let wanted = kinds.iter().position(|kind| kind == Some("stack"));
        let wanted = wanted.and_then(|at| i32::try_from(at).ok());
        let stack = batch.column(1).as_primitive::<UInt32Type>().values();
        let value = batch.column(2).as_primitive::<Int64Type>();
        for (at, key) in kind.keys().values().iter().enumerate() {
            if Some(*key) == wanted {
                let value = if value.is_null(at) { 0 } else { value.value(at) };
                *sums.entry(stack[at]).or_default() += value;
            }
        }
    }
    Ok(sums)
}

/// User and system time of this process, in hundredths.
fn cpu_seconds() -> Result<f64, Failure> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: f64 = fields.skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    Ok(ticks / 100.0)
}

fn bytes_below(dir: &Path) -> Result<u64, Failure> {
    let mut sum = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        sum += if metadata.is_dir() { bytes_below(&entry.path())? } else { metadata.len() };
    }
    Ok(sum)
}
