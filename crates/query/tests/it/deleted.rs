//! What is deleted is not counted, whatever it shares a part, a series or a page with.

use crate::fixture::{Fixture, Layout, run};
use profile::{Profile, ProfileTypeId};
use stdx::{TimeRange, Timestamp};
use testkit::profiles::BASE_MS;
use views::Selection;

fn at(second: i64) -> Timestamp {
    Timestamp::from_millis(BASE_MS + second * 1000)
}

fn one(service: &str, second: i64, value: i64) -> (String, Profile) {
    let mut profile = profile::folded::from_folded(&format!("main;work {value}\n"));
    profile.labels.set("service_name", service);
    profile.window = TimeRange::new(at(second), at(second + 10));
    ("default".to_owned(), profile)
}

async fn total(fixture: &Fixture, selector: &str) -> i128 {
    let profile_type = Some(ProfileTypeId("custom".to_owned()));
    let everything = Selection::everything("default", TimeRange::new(at(-100), at(1000)));
    let types = views::Views::profile_types(&fixture.engine, &everything).await.expect("lists");
    let profile_type = types.first().map(|found| found.id.clone()).or(profile_type);
    let matchers = views::parse_matchers(selector).expect("well-formed");
    let selection = Selection { profile_type, matchers, ..everything };
    fixture.engine.stack_sums(&selection).await.map_or(0, |sums| sums.total())
}

#[test]
fn deleted_profiles_are_in_no_sum() {
    let profiles = [
        one("cart", 0, 1),
        one("cart", 20, 10),
        one("cart", 40, 100),
        one("shop", 20, 1000),
        one("shop", 60, 10_000),
    ];
    for layout in [Layout::Memory, Layout::Mixed, Layout::Flushed, Layout::Compacted] {
        run(async {
            let fixture = Fixture::with(&profiles, layout).await;
            assert_eq!(total(&fixture, "").await, 11_111, "{layout:?}");
            let range = TimeRange::new(at(25), at(35));
            fixture.store.delete("default", "{service_name=\"cart\"}", range).await.expect("hides");
            let range = TimeRange::new(at(0), at(100));
            for rewritten in [false, true] {
                if rewritten {
                    fixture.store.delete_once().await.expect("rewrites");
                }
                assert_eq!(total(&fixture, "").await, 11_101, "{layout:?} {rewritten}");
                let cart = total(&fixture, "{service_name=\"cart\"}").await;
                assert_eq!(cart, 101, "{layout:?} {rewritten}");
            }
            fixture.store.delete("default", "{service_name=\"shop\"}", range).await.expect("hides");
            assert_eq!(total(&fixture, "").await, 101, "{layout:?}");
            assert_eq!(total(&fixture, "{service_name=\"shop\"}").await, 0, "{layout:?}");
        });
    }
}
