//! The names of some stacks alone are those that the whole tables have.

use profile::folded::{from_folded, stack_names};
use profile::{Profile, StackId, Tables};
use std::fmt::Write;
use std::sync::Arc;
use stdx::{ManualClock, Rng, TimeRange, Timestamp};
use store::{Options, Part, Store, TableSet};

const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// More stacks than are read at a time, whose callers are near and far, and one deeper than callers
/// are looked for block by block.
fn profile() -> Profile {
    let mut text = String::new();
    for at in 0..6_000 {
        let (module, function) = (at / 40, at % 1_700);
        writeln!(text, "main;module {module};work {function};leaf {at} 1").expect("a string");
    }
    let deep: Vec<String> = (0..12_000).map(|depth| format!("deep {}", depth % 7)).collect();
    writeln!(text, "main;{} 1", deep.join(";")).expect("a string");
    let mut profile = from_folded(&text);
    profile.window = TimeRange::new(START, START.plus_nanos(1_000_000_000));
    profile
}

async fn flushed(folder: &std::path::Path) -> (Arc<Store>, Part) {
    let clock = Arc::new(ManualClock::new(START.plus_nanos(60_000_000_000)));
    let options = Options { picked_from_bytes: 0, ..Options::default() };
    let store = Store::open(folder, options, clock, Rng::seeded(1)).await.expect("opens");
    store.append("t", vec![profile()]).await.expect("accepted");
    store.flush().await.expect("flushed");
    let all = TimeRange::new(Timestamp::from_millis(0), START.plus_nanos(1 << 60));
    let part = store.snapshot("t", all).parts.pop().expect("a segment");
    (store, part)
}

fn names(tables: &Tables, stacks: impl IntoIterator<Item = StackId>) -> Vec<Vec<String>> {
    stacks.into_iter().map(|stack| stack_names(tables, stack)).collect()
}

#[test]
fn names_of_some_stacks_are_those_of_the_whole_tables() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
    runtime.block_on(compare());
}

async fn compare() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (_store, part) = flushed(folder.path()).await;
    let every = |step: u32| (0..20_000).step_by(step as usize).map(StackId).collect::<Vec<_>>();
    let asked = [
        vec![StackId(1)],
        every(4_999),
        every(97),
        every(97),
        vec![StackId(19_000), StackId(3), StackId(19_000), StackId(0), StackId(u32::MAX)],
        Vec::new(),
    ];
    let mut picked = Vec::new();
    for stacks in &asked {
        let named = part.names_of(stacks.clone()).await.expect("reads");
        assert!(named.tables.stacks.len() < 20_000, "all of them were read");
        picked.push(names(&named.tables, named.stacks.iter().copied()));
    }
    let whole = part.tables(TableSet::Names).await.expect("reads");
    assert!(whole.stacks.len() > 18_000, "the tables are not that large");
    for (stacks, picked) in asked.into_iter().zip(picked) {
        assert_eq!(picked, names(&whole, stacks));
    }
}

#[test]
fn tables_damaged_anywhere_are_an_answer_or_an_error() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
    runtime.block_on(damage());
}

async fn damage() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (_store, part) = flushed(folder.path()).await;
    let segment = folder.path().join(format!("segments/{}", part.id()));
    // What was asked before is known: a question each time.
    let mut asked = 0;
    for table in ["nodes", "locations", "lines", "functions"] {
        let path = segment.join(format!("{table}.parquet"));
        let good = std::fs::read(&path).expect("a table");
        let mut failed = 0;
        let footer = good.len().saturating_sub(600)..good.len();
        for at in (4..footer.start).step_by(good.len() / 40 + 1).chain(footer.step_by(7)) {
            let mut bad = good.clone();
            bad[at] ^= 1 << (at % 8);
            std::fs::write(&path, &bad).expect("written");
            asked += 1;
            // Parquet's reader panics at some of it, which is an error like others where we read.
            let named = part.names_of(vec![StackId(asked), StackId(19_000)]).await;
            failed += usize::from(named.is_err());
        }
        assert!(failed > 20, "{failed} changes of {table} were noticed");
        std::fs::write(&path, &good).expect("written");
    }
    let named = part.names_of(vec![StackId(19_000)]).await.expect("whole again");
    assert!(!stack_names(&named.tables, named.stacks[0]).is_empty());
}
