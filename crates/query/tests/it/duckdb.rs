//! An independent reader of the segments: DuckDB finds the same sums per service, profile type and
//! function as the oracle. The first run installs it beside the build (`pip install --target`).

use crate::fixture::{Fixture, Layout, run};
use profile::SampleKind;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use stdx::{TimeRange, Timestamp};
use testkit::load::Load;
use testkit::profiles::BASE_MS;
use views::{Matcher, Selection, TopQuery, TopSort, Views};

/// The version that the test was written with.
const DUCKDB: &str = "duckdb==2.0.0";
/// Reads the segments whose folders are its arguments.
const SCRIPT: &str = r#"
# Sums of the segments whose folders are given, as DuckDB reads them: a line per segment, service,
# value column and function with its own value and its value with callees (recursion counted once).
# Depends on nothing of ours but docs/formats/segment.md.
import os
import sys

import duckdb

# Ordinals are row positions; stacks are numbered from 1, because 0 is the empty one.
QUERY = """
WITH RECURSIVE
  events AS (SELECT * FROM read_parquet('{samples}')),
  nodes AS (
    SELECT file_row_number + 1 AS node, file_row_number - up AS parent, location
    FROM read_parquet('{nodes}', file_row_number = true)),
  functions AS (
    SELECT file_row_number AS function, name
    FROM read_parquet('{functions}', file_row_number = true)),
  lines AS (
    SELECT location, function, file_row_number AS place
    FROM read_parquet('{lines}', file_row_number = true)),
  -- Lines of a location are listed innermost first.
  named AS (
    SELECT location, name, place = min(place) OVER (PARTITION BY location) AS is_innermost
    FROM lines JOIN functions USING (function)),
  walk AS (
    SELECT DISTINCT stack, stack AS node FROM events WHERE stack <> 0
    UNION ALL
    SELECT walk.stack, nodes.parent FROM walk JOIN nodes USING (node) WHERE nodes.parent <> 0),
  -- The functions of each stack, once each; the leaf's innermost one has the own value.
  reached AS (
    SELECT walk.stack, named.name, max(walk.stack = walk.node AND named.is_innermost) AS is_own
    FROM walk JOIN nodes USING (node) JOIN named USING (location)
    GROUP BY walk.stack, named.name)
SELECT service, name,
       sum(CASE WHEN is_own THEN value ELSE 0 END) AS own, sum(value) AS total
FROM (SELECT service, stack, coalesce({value}, 0) AS value FROM events WHERE kind = 'stack')
JOIN reached USING (stack)
GROUP BY service, name
HAVING sum(value) <> 0
"""

for folder in sys.argv[1:]:
    tables = ["samples", "nodes", "functions", "lines"]
    paths = {table: os.path.join(folder, table + ".parquet") for table in tables}
    for column in range(4):
        query = QUERY.format(value=f"v{column}", **paths)
        for service, name, own, total in duckdb.execute(query).fetchall():
            print(service, column, name, own, total, sep="\t")
"#;

/// By service, value column and function: own and total value.
type Sums = BTreeMap<(String, usize, String), (i64, i64)>;

/// A Python command that finds DuckDB, which is installed when it is not there.
fn python() -> Command {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python-duckdb-2.0.0");
    let python = || {
        let mut python = Command::new("python3");
        python.env("PYTHONPATH", &folder);
        python
    };
    let is_there = || {
        let check = python().args(["-c", "import duckdb"]).output();
        check.expect("python3, which `cargo xtask test` installs").status.success()
    };
    if !is_there() {
        let install = ["-m", "pip", "install", "--quiet", "--no-deps", "--target"];
        let done = python().args(install).arg(&folder).arg(DUCKDB).output().expect("python3");
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(is_there(), "installing {DUCKDB} into {} failed: {said}", folder.display());
    }
    python()
}

fn of_duckdb(fixture: &Fixture) -> Sums {
    // Files of superseded segments lie there for a while: the catalog says which ones count.
    let parts = fixture.store.snapshot("default", TimeRange::ALL).parts;
    let segments = fixture.folder.path().join("segments");
    let folders = parts.iter().map(|part| segments.join(part.id().to_string()));
    let output = python().args(["-c", SCRIPT]).args(folders).output().expect("python3 starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "DuckDB cannot read the segments: {said}");
    let mut sums = Sums::new();
    for line in String::from_utf8(output.stdout).expect("UTF-8").lines() {
        let cells: Vec<&str> = line.split('\t').collect();
        let [service, column, function, own, total] = cells[..] else { panic!("{line:?}") };
        let key = (service.to_owned(), column.parse().expect("a column"), function.to_owned());
        let number = |text: &str| text.parse::<i64>().expect("a number");
        let sum = sums.entry(key).or_default();
        *sum = (sum.0 + number(own), sum.1 + number(total));
    }
    sums
}

async fn of_oracle(fixture: &Fixture, services: usize) -> Sums {
    let kind = SampleKind::from_id("stack").expect("registered");
    let start = Timestamp::from_millis(BASE_MS);
    let range = TimeRange::new(start, start.plus_nanos(86_400_000_000_000));
    let mut sums = Sums::new();
    for service in (0..services).map(|at| format!("service-{at}")) {
        for (column, measure) in kind.measures.iter().enumerate() {
            let selection = Selection {
                profile_type: Some(measure.type_id()),
                matchers: vec![Matcher::equal("service_name", service.clone())],
                ..Selection::everything("default", range)
            };
            let query = TopQuery { limit: usize::MAX, sort: TopSort::Own };
            let top = fixture.naive.top(&selection, query).await.expect("an answer");
            for row in top.functions.iter().filter(|row| (row.own, row.total) != (0, 0)) {
                let key = (service.clone(), column, row.frame.name.to_string());
                let sum = sums.entry(key).or_default();
                *sum = (sum.0 + row.own, sum.1 + row.total);
            }
        }
    }
    sums
}

#[test]
fn duckdb_finds_the_oracle_s_sums_in_flushed_and_in_compacted_segments() {
    let services = 5;
    let load = Load { services, instances: 2, samples: (20, 60), ..Load::of_fifty(80, false) };
    let profiles: Vec<_> =
        load.profiles().take(40).map(|profile| ("default".to_owned(), profile)).collect();
    for layout in [Layout::Flushed, Layout::Compacted] {
        run(async {
            let fixture = Fixture::with(&profiles, layout).await;
            let (ours, theirs) = (of_oracle(&fixture, services).await, of_duckdb(&fixture));
            assert!(ours.len() > 1_000, "{} sums", ours.len());
            for (key, sum) in &ours {
                assert_eq!(theirs.get(key), Some(sum), "{layout:?}: {key:?}");
            }
            assert_eq!(ours.len(), theirs.len(), "{layout:?}");
        });
    }
}
