//! Measures what uploads cost in the store: `cargo run -p store --example bytes_per_event -- FILE…`
//! decodes each file, appends it, flushes and prints bytes per event by table and column.
#![allow(clippy::print_stdout, reason = "a program that prints its findings")]

use std::sync::Arc;
use stdx::{Clock, Rng, SystemClock, TimeRange};
use store::{Options, Store};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let clock = Arc::new(SystemClock::new());
    let options = Options::default();
    let store = Store::open(dir.path(), options, clock.clone(), Rng::from_entropy()).await?;
    let mut files: Vec<String> = std::env::args().skip(1).collect();
    let compact = files.first().is_some_and(|first| first == "--compact");
    files.drain(..usize::from(compact));
    for file in files {
        let decoded = formats::decode(&std::fs::read(&file)?, &formats::Options::default());
        let profiles = decoded.profiles.into_iter().map(|decoded| {
            let mut profile = decoded.profile;
            profile.labels.set("service_name", "measured");
            profile
        });
        let start = clock.monotonic();
        store.append("t", profiles.collect()).await?;
        println!("append {file}: {:?}", clock.monotonic().saturating_sub(start));
        if compact {
            store.flush().await?;
        }
    }
    let start = clock.monotonic();
    store.flush().await?;
    while compact && store.compact_once().await? {}
    println!("flush and compaction: {:?}", clock.monotonic().saturating_sub(start));
    report(&store, dir.path()).await
}

async fn report(store: &Store, root: &std::path::Path) -> Result<(), Box<dyn std::error::Error>> {
    let stats = store.stats();
    let events = stats.samples.max(1) as f64;
    println!(
        "{} events in {} segments; {:.3} B/event on disk, {:.3} in the log",
        stats.samples,
        stats.segments,
        stats.segment_bytes as f64 / events,
        stats.wal_bytes_written as f64 / events
    );
    for part in store.snapshot("t", TimeRange::ALL).parts {
        for entry in std::fs::read_dir(root.join("segments").join(part.id().to_string()))? {
            let entry = entry?;
            let bytes = entry.metadata()?.len();
            println!(
                "  {:<22} {bytes:>9} B {:.3}",
                entry.file_name().display(),
                bytes as f64 / events
            );
        }
        println!("  {} distinct links", part.tables().await?.links.len());
        let Some(metadata) = part.parquet_metadata().await? else { continue };
        for group in metadata.row_groups() {
            for column in group.columns() {
                let bytes = column.compressed_size();
                println!(
                    "    {:<20} {bytes:>9} B {:.3}",
                    column.column_path(),
                    bytes as f64 / events
                );
            }
        }
    }
    Ok(())
}
