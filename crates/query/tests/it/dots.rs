//! Property: what profiles and their spans hold is what the oracle says, and adds up to what other
//! views say.

use crate::agree::{any_selection, any_tenants_profile, text};
use crate::fixture::{Fixture, Layout, run};
use profile::{Link, Profile, ProfileTypeId, Sample, SampleKind};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use query::{Engine, Settings};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use stdx::{TimeRange, Timestamp};
use testkit::profiles::BASE_MS;
use views::spans::cpu::CPU;
use views::{DotSpan, DotsOf, Filter, Selection, ViewError, Views};

/// Few ids, so that links of one profile meet.
fn any_link() -> impl Strategy<Value = Link> {
    (0..3_u128, 0..5_u64, 0..5_u64).prop_map(|(trace_id, span_id, root)| Link {
        trace_id,
        span_id,
        // Some clients do not say it.
        root_span_id: root.saturating_sub(2),
    })
}

fn linked_profile() -> impl Strategy<Value = (String, Profile)> {
    let links = prop::collection::vec(prop::option::weighted(0.8, any_link()), 1..8);
    (any_tenants_profile(), links).prop_map(|((tenant, mut profile), links)| {
        for (sample, link) in profile.samples.iter_mut().zip(links.iter().cycle()) {
            sample.link = link.map(|link| profile.tables.links.intern(link));
        }
        (tenant, profile)
    })
}

#[test]
fn profiles_and_spans_hold_what_the_oracle_says() {
    let profiles = prop::collection::vec(linked_profile(), 1..12);
    let selections = prop::collection::vec(any_selection(), 8);
    let layouts = vec![Layout::Memory, Layout::Mixed, Layout::Flushed, Layout::Compacted];
    let (all, filtered) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let mut runner = TestRunner::new(ProptestConfig::with_cases(32));
    let asked = (profiles, selections, prop::sample::select(layouts));
    let done = runner.run(&asked, |(profiles, mut selections, layout)| {
        selections.extend(selections.clone().into_iter().map(of_one_span));
        run(async {
            let Fixture { engine, naive, .. } = &Fixture::with(&profiles, layout).await;
            for selection in &selections {
                for of in [DotsOf::Profiles, DotsOf::Spans] {
                    let found = text(engine.dots(selection, of).await);
                    assert_eq!(found, text(naive.dots(selection, of).await), "{of:?}");
                    let count = found.map_or(0, |dots| dots.len());
                    let kind = if selection.filter.is_empty() { &all } else { &filtered };
                    kind.fetch_add(count, Ordering::Relaxed);
                }
            }
        });
        Ok(())
    });
    done.expect("equal");
    // Or nothing was compared.
    let counts = (all.into_inner(), filtered.into_inner());
    assert!(counts.0 > 0 && counts.1 > 0, "{counts:?}");
}

/// The same of all series, and one span: most filters keep few samples.
fn of_one_span(selection: Selection) -> Selection {
    let filter = Filter { span: Some(1), ..Filter::default() };
    Selection { matchers: Vec::new(), source: None, filter, ..selection }
}

/// A request whose own samples take 1 and 2 and those of a span below it 4, one whose client does not
/// say its root of 8, and 16 of none.
fn requests(start_ms: i64) -> Profile {
    let start = Timestamp::from_millis(BASE_MS + start_ms);
    let labels = [("service_name", "cart")].into_iter().collect();
    let window = TimeRange::new(start, start.plus_nanos(1_000_000_000));
    let mut profile = Profile { labels, window, ..Profile::default() };
    let kind = profile.intern_kind(&SampleKind::from_id("stack").expect("a registered kind"));
    let links = [(0, 10, 10), (7, 10, 10), (7, 11, 10), (8, 20, 0), (0, 0, 0)];
    for ((trace_id, span_id, root_span_id), at) in links.into_iter().zip(0..) {
        let link = Some(profile.tables.links.intern(Link { trace_id, span_id, root_span_id }));
        let values = [1 << at, 1, 0, 0];
        profile.samples.push(Sample { kind, link, values, ..Sample::default() });
    }
    profile
}

async fn requested() -> Fixture {
    let profiles = [0, 5_000, 9_000].map(|start| ("default".to_owned(), requests(start)));
    Fixture::with(&profiles, Layout::Mixed).await
}

fn all() -> Selection {
    let profile_type = Some(ProfileTypeId(CPU.to_owned()));
    Selection { profile_type, ..Selection::everything("default", TimeRange::ALL) }
}

#[test]
fn a_span_is_a_dot_of_each_profile_and_a_filter_with_it_keeps_its_samples() {
    run(async {
        let Fixture { engine, ids, .. } = &requested().await;
        let profiles = engine.dots(&all(), DotsOf::Profiles).await.expect("dots");
        assert_eq!(profiles.iter().map(|dot| dot.value).collect::<Vec<_>>(), [31; 3]);
        let spans = engine.dots(&all(), DotsOf::Spans).await.expect("dots");
        assert_eq!(spans.len(), 6);
        for (pair, (at, (_, id))) in spans.chunks(2).zip(ids.iter().enumerate()) {
            let (request, other) = (&pair[0], &pair[1]);
            assert_eq!(request.span, Some(DotSpan { id: 10, trace: 7 }));
            assert_eq!(other.span, Some(DotSpan { id: 20, trace: 8 }));
            assert_eq!((request.value, other.value), (7, 8));
            assert_eq!((request.profile, other.profile), (*id, *id));
            assert_eq!(request.at_ms, BASE_MS + [0, 5_000, 9_000][at]);
            for dot in pair {
                let mut narrow = Selection { profile: Some(dot.profile), ..all() };
                narrow.filter.span = dot.span.map(|span| span.id);
                let (tree, _) = engine.tree(&narrow).await.expect("a tree");
                assert_eq!(tree.total(), dot.value);
            }
        }
    });
}

#[test]
fn more_dots_than_the_limit_are_refused_with_its_name() {
    run(async {
        let Fixture { store, .. } = &requested().await;
        for (of, count) in [(DotsOf::Profiles, 3), (DotsOf::Spans, 6)] {
            let dots = async |dots_max| {
                let settings = Settings { dots_max, ..Settings::default() };
                Engine::new(Arc::clone(store), settings).dots(&all(), of).await
            };
            assert_eq!(dots(count).await.expect("as many as there may be").len(), count);
            let error = dots(count - 1).await.expect_err("one too many");
            assert!(matches!(error, ViewError::TooLarge(_)), "{error}");
            assert!(error.to_string().contains("dots_max"), "{error}");
        }
    });
}
