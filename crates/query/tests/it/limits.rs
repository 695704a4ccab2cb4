//! What one query may take, what happens when the store's objects fail, and when whoever asked goes
//! away.

use crate::fixture::{Fixture, Layout, run};
use crate::reads::{Fault, everything, recorded};
use profile::{Profile, Sample, SampleKind};
use query::Settings;
use std::sync::Arc;
use std::time::Duration;
use stdx::{TimeRange, Timestamp};
use testkit::profiles::BASE_MS;
use views::progress::watched;
use views::{Progress, Selection, ViewError, Views};

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

#[test]
fn a_question_beyond_a_limit_is_refused_with_the_limits_name() {
    run(async {
        let default = Settings::default;
        for (settings, name) in [
            (Settings { groups_max: 20, ..default() }, "groups_max"),
            (Settings { tree_nodes_max: 20, ..default() }, "tree_nodes_max"),
            (Settings { query_rows_max: 20, ..default() }, "query_rows_max"),
        ] {
            let folder = folder();
            let (engine, _) = recorded(folder.path(), settings).await;
            let error = engine.flamegraph(&everything(), 100).await.expect_err(name);
            let ViewError::TooLarge(text) = error else { panic!("{name}: {error}") };
            assert!(text.contains(name), "{text}");
            assert!(!engine.label_names(&everything()).await.expect("metadata").is_empty());
        }
    });
}

#[test]
fn progress_ends_at_all_of_the_rows() {
    run(async {
        let folder = folder();
        let (engine, _) = recorded(folder.path(), Settings::default()).await;
        let progress = Arc::new(Progress::default());
        let all = everything();
        let graph = watched(Arc::clone(&progress), engine.flamegraph(&all, 100)).await;
        let samples = graph.expect("a graph").meta.samples;
        let (read, to_read) = progress.rows();
        assert!(
            read == to_read && read >= samples && samples > 1_000,
            "{read} {to_read} {samples}"
        );
    });
}

/// Ten profiles of an instance, one after the other, with a sample each of a hundred milliseconds.
fn one_after_the_other(instance: &str) -> Vec<(String, Profile)> {
    let profile = |at: i64| {
        let mut profile = profile::folded::from_folded("main;work 1\n");
        profile.kinds.clear();
        let kind = profile.intern_kind(&SampleKind::from_id("stack").expect("registered"));
        let labels = [("service_name", "cart"), ("instance", instance)];
        profile.labels = labels.into_iter().collect();
        let stack = profile.samples[0].stack;
        let time = |at: i64| Timestamp::from_millis(BASE_MS + at);
        profile.window = TimeRange::new(time(at), time(at + 100));
        let sample =
            |at| Sample { kind, stack, time: Some(time(at)), values: [1; 4], ..Sample::default() };
        profile.samples = (at..at + 100).map(sample).collect();
        ("default".to_owned(), profile)
    };
    (0..10).map(|n| profile(n * 100)).collect()
}

#[test]
fn a_part_of_the_time_is_looked_for_where_it_is() {
    let profiles = [one_after_the_other("1"), one_after_the_other("2")].concat();
    run(async {
        let fixture = Fixture::with(&profiles, Layout::Compacted).await;
        let at = |millis: i64| Timestamp::from_millis(BASE_MS + millis);
        // What the range has, and the rows of those profiles: once for the sums and once more of those
        // that an end cuts, to know how many of theirs are inside.
        for (range, samples, rows) in [
            ((0, 1_000), 2_000, 2_000),
            ((300, 500), 400, 400),
            ((350, 500), 300, 600),
            ((350, 720), 740, 1_400),
            ((1_000, 2_000), 0, 0),
        ] {
            let range = TimeRange::new(at(range.0), at(range.1));
            let kind = SampleKind::from_id("stack").expect("registered");
            let profile_type = Some(kind.measures[0].type_id());
            let selection = Selection { profile_type, ..Selection::everything("default", range) };
            let progress = Arc::new(Progress::default());
            let asked = watched(Arc::clone(&progress), fixture.engine.flamegraph(&selection, 100));
            let found = asked.await.map_or(0, |graph| graph.meta.samples);
            assert_eq!((found, progress.rows().1), (samples, rows), "{range:?}");
        }
    });
}

#[test]
fn reads_that_fail_come_short_or_late_are_errors_or_right_and_over_when_they_are() {
    run(async {
        let folder = folder();
        let (engine, record) = recorded(folder.path(), Settings::default()).await;
        let all = everything();
        let right = engine.flamegraph(&all, 100_000).await.expect("right");
        let mut failed = 0;
        for (fault, one_in) in [
            (Fault::Fails, 1),
            (Fault::Fails, 3),
            (Fault::Short, 1),
            (Fault::Short, 4),
            (Fault::Slow, 1),
        ] {
            for _ in 0..4 {
                record.trouble(fault, one_in);
                match engine.flamegraph(&all, 100_000).await {
                    Ok(graph) => assert_eq!(graph.total, right.total, "{fault:?}"),
                    Err(ViewError::Store(_)) => {
                        assert_ne!(fault, Fault::Slow, "late is not wrong");
                        failed += 1;
                    }
                    Err(error) => panic!("{error}"),
                }
                assert!(record.reads() > 0, "{fault:?} was met");
            }
        }
        assert!(failed >= 8, "{failed} questions failed");
        record.trouble(Fault::None, 0);
        let graph = engine.flamegraph(&all, 100_000).await.expect("over");
        assert_eq!(graph.total, right.total);
    });
}

#[test]
fn a_question_that_nobody_waits_for_reads_no_further() {
    run(async {
        let folder = folder();
        let settings = Settings { scans_max: 1, ..Settings::default() };
        let (engine, record) = recorded(folder.path(), settings).await;
        let all = everything();
        record.trouble(Fault::None, 0);
        engine.flamegraph(&all, 100).await.expect("an answer");
        let whole = record.reads();
        // Somebody asks, and goes away while a read does not come.
        record.trouble(Fault::Never, 2);
        let patience = async {
            while record.reads() < 2 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::select! {
            _ = engine.flamegraph(&all, 100) => panic!("an answer without what it needs"),
            () = patience => {}
        }
        record.trouble(Fault::None, 0);
        tokio::time::sleep(Duration::from_millis(150)).await;
        assert_eq!(record.reads(), 0, "nothing goes on");
        assert!(whole > 2, "{whole}");
        // What it held is free for others.
        let again = tokio::time::timeout(Duration::from_mins(1), engine.flamegraph(&all, 100));
        again.await.expect("in time").expect("an answer");
    });
}
