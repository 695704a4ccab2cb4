//! Property: with names that come later, every answer of the engine still equals the oracle's.

use crate::agree::{any_selection, any_tenants_profile, check_series, check_trees, text};
use crate::asks::any_function;
use crate::fixture::{Fixture, Layout, run};
use proptest::prelude::*;
use query::{Engine, Settings};
use std::sync::Arc;
use views::{LateFunction, Naming, Selection, Unnamed, UsageQuery, Views};

/// Names one address of the generated profiles, inlined functions included, for one tenant.
#[derive(Debug)]
struct Uploaded;

impl Naming for Uploaded {
    fn functions(&self, tenant: &str, unnamed: &Unnamed<'_>) -> Vec<LateFunction> {
        let is_known = tenant == "default" && unnamed.build_id == "abcdef";
        if !is_known || unnamed.address != 0x1000 || unnamed.start != 0x1000 {
            return Vec::new();
        }
        // One of them is a function that other samples have by name.
        [("function5", "file1.rs"), ("late", "late.c")]
            .map(|(name, file)| LateFunction { name: name.into(), file: file.into() })
            .into()
    }
}

async fn with_names(profiles: &[(String, profile::Profile)], layout: Layout) -> Fixture {
    let mut fixture = Fixture::with(profiles, layout).await;
    let naming: Arc<dyn Naming> = Arc::new(Uploaded);
    let engine = Engine::new(Arc::clone(&fixture.store), Settings::default());
    fixture.engine = engine.with_naming(Arc::clone(&naming));
    fixture.naive.set_naming(naming);
    fixture
}

/// Names in the tree of a selection.
async fn names(views: &dyn Views, selection: &Selection) -> Vec<String> {
    let Ok((tree, _)) = views.tree(selection).await else { return Vec::new() };
    tree.functions().iter().map(|row| row.frame.name.to_string()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn names_that_came_later_are_the_oracles(
        profiles in prop::collection::vec(any_tenants_profile(), 1..14),
        selections in prop::collection::vec((any_selection(), any_function()), 6),
        layout in prop::sample::select(
            vec![Layout::Memory, Layout::Mixed, Layout::Flushed, Layout::Compacted],
        ),
    ) {
        run(async {
            let fixture = with_names(&profiles, layout).await;
            for (selection, function) in &selections {
                check_trees(&fixture, selection).await;
                check_series(&fixture, selection, 60_000).await;
                let by = "service_name".to_owned();
                let query = UsageQuery { function: function.clone(), by, limit: 4, callers_max: 4 };
                let ours = text(fixture.engine.usage(selection, &query).await);
                assert_eq!(ours, text(fixture.naive.usage(selection, &query).await));
                let names = names(&fixture.engine, selection).await;
                let has = |name: &str| names.iter().any(|have| have == name);
                let is_its = &*selection.tenant == "default";
                assert!(!(is_its && has("0x1000")) && (is_its || !has("late")), "{names:?}");
            }
        });
    }
}

#[test]
fn an_address_is_searched_by_the_name_that_came_later() {
    run(async {
        let mut profile = profile::folded::from_folded("main;a 5\n");
        profile.kinds = vec![profile::SampleKind::from_id("stack").expect("registered")];
        profile.window.start = stdx::Timestamp::from_millis(testkit::profiles::BASE_MS);
        profile.window.end = profile.window.start.plus_nanos(1_000_000_000);
        let tables = &mut profile.tables;
        let (file, build_id) = (tables.strings.intern("/a"), tables.strings.intern("abcdef"));
        let mapping = profile::Mapping { start: 0x1000, file, build_id, ..Default::default() };
        let mapping = Some(tables.mappings.intern(mapping));
        let location = profile::Location { mapping, address: 0x1000, ..Default::default() };
        let location = tables.locations.intern(location);
        profile.samples[0].stack = tables.stacks.intern(profile.samples[0].stack, location);
        let fixture = with_names(&[("default".to_owned(), profile)], Layout::Flushed).await;
        let mut all = Selection::everything("default", stdx::TimeRange::ALL);
        let types = fixture.engine.profile_types(&all).await.expect("types");
        all.profile_type = Some(types[0].id.clone());
        assert!(names(&fixture.engine, &all).await.contains(&"late".to_owned()));
        for (function, samples) in [("late", 1), ("0x1000", 0)] {
            let pattern = views::Pattern::parse(function).expect("a pattern");
            let (_, meta) =
                fixture.engine.tree(&all.with_function(&pattern)).await.expect("a tree");
            assert_eq!(meta.samples, samples, "{function}");
        }
    });
}
