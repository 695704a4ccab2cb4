//! A store whose one hour was rolled up by each version of the format opens and holds the same.

use crate::rollups::{of, of_hour, run};
use std::fmt::Write;
use std::sync::Arc;
use stdx::{ManualClock, Rng, Timestamp};
use store::{Options, Store, Wanted};
use testkit::profiles::BASE_MS;
use views::rollup::HOUR_MS;

fn golden() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).expect("creates");
    for entry in std::fs::read_dir(from).expect("golden files") {
        let entry = entry.expect("golden files");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("golden files").is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("copies");
        }
    }
}

async fn open_folder(folder: &std::path::Path) -> Arc<Store> {
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(BASE_MS + 3 * HOUR_MS)));
    Store::open(folder, Options::default(), clock, Rng::seeded(7)).await.expect("opens")
}

/// `UPDATE_GOLDEN=1` writes it anew, which is only right while the version is not yet published.
#[test]
fn a_rollup_of_version_1_is_read() {
    let folder = golden().join("rollup-v1");
    run(async {
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            // Nothing to remove the first time.
            let _ = std::fs::remove_dir_all(&folder);
            let store = open_folder(&folder).await;
            for (service, stack) in [("shop", "main;a"), ("shop", "main;a;b"), ("bank", "main")] {
                store.append("t", vec![of(service, stack, BASE_MS + 5)]).await.expect("appends");
            }
            store.flush().await.expect("flushes");
            assert!(store.roll_once().await.expect("rolls up"));
        }
        let dir = tempfile::tempdir().expect("temporary directory");
        copy(&folder, dir.path());
        let store = open_folder(dir.path()).await;
        let hours = store.hours("t", of_hour(BASE_MS));
        let wanted = Wanted { prefixes: true, functions: true, ..Wanted::default() };
        let parts = hours.ready[&BASE_MS].read(&wanted).await.expect("reads");
        let mut text = String::new();
        for part in &parts {
            writeln!(text, "{} {}\n{:?}", part.service, part.kind, part.described())
                .expect("a string");
        }
        let expected = golden().join("rollup.expected.txt");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&expected, &text).expect("writes");
        }
        assert_eq!(std::fs::read_to_string(&expected).expect("golden file"), text);
    });
}
