//! Files that are damaged or gone are errors, and questions about metadata do not open samples.

use crate::fixture::{Fixture, Layout, run};
use profile::folded::from_folded;
use profile::{Labels, Profile, ProfileTypeId};
use std::path::{Path, PathBuf};
use stdx::{TimeRange, Timestamp};
use testkit::profiles::BASE_MS;
use views::{Selection, SeriesQuery, ViewError, Views};

fn profiles() -> Vec<(String, Profile)> {
    let one = |at: i64| {
        let mut profile = from_folded("main;a 3\nmain;b 4\n");
        profile.labels = [("service_name", "cart")].into_iter().collect::<Labels>();
        let start = Timestamp::from_millis(BASE_MS + at * 10_000);
        profile.window = TimeRange::new(start, start.plus_nanos(10_000_000_000));
        ("default".to_owned(), profile)
    };
    (0..4).map(one).collect()
}

fn selection(fixture: &[(String, Profile)]) -> Selection {
    let kind = &fixture[0].1.kinds[0];
    let range =
        TimeRange::new(Timestamp::from_millis(BASE_MS), Timestamp::from_millis(BASE_MS + 60_000));
    let profile_type: Option<ProfileTypeId> = Some(kind.measures[0].type_id());
    Selection { profile_type, ..Selection::everything("default", range) }
}

fn samples_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            samples_files(&path, found);
        } else if path.file_name().is_some_and(|name| name == "samples.parquet") {
            found.push(path);
        }
    }
}

#[test]
fn metadata_and_coarse_series_read_no_samples_and_trees_say_what_is_wrong() {
    run(async {
        let profiles = profiles();
        let fixture = Fixture::with(&profiles, Layout::Flushed).await;
        let selection = selection(&profiles);
        let mut files = Vec::new();
        samples_files(fixture.folder.path(), &mut files);
        assert!(!files.is_empty());
        for file in files {
            std::fs::remove_file(file).expect("removed");
        }
        let engine = &fixture.engine;
        assert_eq!(engine.profile_types(&selection).await.expect("types").len(), 1);
        assert_eq!(engine.label_names(&selection).await.expect("names"), ["service_name"]);
        assert_eq!(engine.services(&selection, 4).await.expect("services").services.len(), 1);
        let listed = engine.profiles(&selection, 10, None).await.expect("listed");
        assert_eq!(listed.profiles.len(), 4);
        let query = SeriesQuery { step_ms: 20_000, group_by: Vec::new() };
        let series = engine.series(&selection, &query).await.expect("series");
        let values: Vec<i64> = series.series[0].points.iter().map(|(_, value)| *value).collect();
        assert_eq!(values, [14, 14]);
        let error = engine.flamegraph(&selection, 10).await.expect_err("no samples");
        assert!(matches!(error, ViewError::Store(_)), "{error}");
    });
}

#[test]
fn one_profile_opens_only_the_segment_that_holds_it() {
    run(async {
        let profiles: Vec<_> = profiles().into_iter().cycle().take(9).collect();
        let fixture = Fixture::with(&profiles, Layout::Flushed).await;
        let segments = fixture.folder.path().join("segments");
        let (tenant, id) = &fixture.ids[4];
        let parts = fixture.store.parts_with_profile(tenant, *id).parts;
        let [part] = &parts[..] else { panic!("{} of 3 segments may hold it", parts.len()) };
        for entry in std::fs::read_dir(&segments).expect("a folder") {
            let entry = entry.expect("an entry");
            if entry.file_name().to_string_lossy() != part.id().to_string() {
                std::fs::remove_dir_all(entry.path()).expect("removed");
            }
        }
        let found = fixture.engine.profile(tenant, *id).await.expect("nothing else is opened");
        assert_eq!(found.expect("there").0.id, *id);
        let other = fixture.engine.profile(tenant, stdx::Ulid::from(7)).await;
        assert!(other.expect("nothing is opened").is_none());
    });
}

#[test]
fn bytes_changed_anywhere_in_the_samples_are_an_answer_or_an_error() {
    run(async {
        let profiles = profiles();
        let fixture = Fixture::with(&profiles, Layout::Flushed).await;
        let selection = selection(&profiles);
        let mut files = Vec::new();
        samples_files(fixture.folder.path(), &mut files);
        let good = std::fs::read(&files[0]).expect("read");
        let (mut failed, step) = (0, (good.len() / 60).max(1));
        for at in (4..good.len()).step_by(step) {
            let mut bad = good.clone();
            bad[at] ^= 0xff;
            std::fs::write(&files[0], &bad).expect("written");
            failed += usize::from(fixture.engine.flamegraph(&selection, 10).await.is_err());
        }
        assert!(failed > 0, "no change was noticed");
        std::fs::write(&files[0], &good).expect("written");
        let graph = fixture.engine.flamegraph(&selection, 10).await.expect("whole again");
        assert_eq!(graph.meta.total, 28);
        drop(fixture.store);
    });
}
