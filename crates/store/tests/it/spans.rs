//! Spans go the way of profiles: durable before they are acknowledged, there once, in segments of
//! their own, gone when they are to go.

use crate::power::PowerLayer;
use catalog::{Catalog, Content};
use profile::{Profile, SpanBatch};
use proptest::prelude::*;
use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;
use stdx::{ManualClock, Rng, TimeRange, Timestamp};
use store::{FileLayer, Options, RetentionRule, Store};
use testkit::profiles::BASE_MS;
use testkit::spans::any_batch;
use views::SpanInfo;

pub(crate) const HOUR_MS: i64 = 3_600_000;

pub(crate) struct World {
    pub(crate) layer: PowerLayer,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) options: Options,
    pub(crate) store: Arc<Store>,
}

pub(crate) fn options() -> Options {
    Options { retired_grace: Duration::ZERO, ..Options::default() }
}

impl World {
    pub(crate) fn with(layer: PowerLayer, options: Options) -> Self {
        let catalog = Arc::new(Catalog::open_in_memory().expect("opens"));
        let now = Timestamp::from_millis(BASE_MS + 30 * HOUR_MS);
        let clock = Arc::new(ManualClock::new(now));
        let store = open(&layer, &catalog, &clock, &options).expect("opens");
        Self { layer, catalog, clock, options, store }
    }

    pub(crate) fn new(options: Options) -> Self {
        Self::with(PowerLayer::new(1, u64::MAX), options)
    }

    pub(crate) fn restart(&mut self) {
        let (layer, catalog) = (&self.layer, &self.catalog);
        self.store = open(layer, catalog, &self.clock, &self.options).expect("opens again");
    }

    async fn add(&self, batch: &SpanBatch) -> bool {
        let kept = self.store.append_spans("t", vec![batch.clone()]).await.expect("appends");
        kept[0].is_repeat
    }

    async fn shown(&self) -> Vec<String> {
        shown(&self.store).await
    }

    pub(crate) fn segments(&self) -> Vec<Content> {
        let rows = self.catalog.live().expect("lists");
        let mut contents: Vec<Content> = rows.iter().map(|row| row.content).collect();
        // Ids of one millisecond are in no order.
        contents.sort_by_key(|content| content.name());
        contents
    }

    pub(crate) fn files(&self) -> Vec<u8> {
        let mut all = Vec::new();
        for id in self.layer.list("segments").expect("lists") {
            for name in self.layer.list(&format!("segments/{id}")).expect("lists") {
                all.extend(self.layer.read(&format!("segments/{id}/{name}")).expect("reads"));
            }
        }
        all
    }
}

pub(crate) fn open(
    layer: &PowerLayer,
    catalog: &Arc<Catalog>,
    clock: &Arc<ManualClock>,
    options: &Options,
) -> Result<Arc<Store>, store::Error> {
    let shared: Arc<dyn FileLayer> = Arc::new(layer.clone());
    let (catalog, clock) = (Arc::clone(catalog), Arc::clone(clock));
    Store::open_parts(shared, catalog, options.clone(), clock, Rng::from_entropy())
}

fn line(info: &SpanInfo) -> String {
    format!("{:?} {:?}", info.labels, info.span)
}

pub(crate) async fn shown(store: &Store) -> Vec<String> {
    let mut lines = Vec::new();
    for part in store.span_parts("t", TimeRange::ALL) {
        lines.extend(part.all().await.expect("reads").iter().map(line));
    }
    lines.sort_unstable();
    lines
}

pub(crate) fn lines(batches: &[SpanBatch]) -> Vec<String> {
    let infos = batches.iter().flat_map(|batch| {
        let labels = Arc::new(batch.labels.clone());
        let received_at = Timestamp::from_nanos(0);
        let info = move |span: &profile::Span| {
            line(&SpanInfo { labels: Arc::clone(&labels), received_at, span: span.clone() })
        };
        batch.spans.iter().map(info)
    });
    let mut lines: Vec<String> = infos.collect();
    lines.sort_unstable();
    lines
}

pub(crate) fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("runtime").block_on(work)
}

fn span(name: &str, start_ms: i64) -> profile::Span {
    profile::Span {
        trace_id: 7,
        span_id: start_ms.unsigned_abs() + 1,
        parent_id: 0,
        is_entry: true,
        kind: profile::SpanKind::Server,
        status: profile::SpanStatus::Ok,
        name: name.into(),
        resource: "GET /".into(),
        message: "".into(),
        start: Timestamp::from_millis(start_ms),
        duration_nanos: 5_000_000,
        attributes: vec![("user".into(), name.into())],
    }
}

pub(crate) fn batch(service: &str, name: &str, start_ms: i64) -> SpanBatch {
    let labels = [("service_name", service), ("env", "prod")].into_iter().collect();
    SpanBatch { labels, spans: vec![span(name, start_ms)] }
}

pub(crate) fn holds(all: &[u8], name: &str) -> bool {
    all.windows(name.len()).any(|window| window == name.as_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn every_span_survives_flush_compaction_and_restart(
        batches in prop::collection::vec(any_batch(), 1..12),
    ) {
        run(async {
            let mut world = World::new(options());
            let mut stored: Vec<SpanBatch> = Vec::new();
            for (at, batch) in batches.iter().enumerate() {
                let known = stored.contains(batch);
                assert_eq!(world.add(batch).await, known, "the same is a repeat");
                if !known {
                    stored.push(batch.clone());
                }
                assert_eq!(world.shown().await, lines(&stored), "at once");
                if at % 3 == 1 {
                    world.store.flush().await.expect("flushes");
                }
                if at % 4 == 3 {
                    world.restart();
                    assert!(world.add(batch).await, "a repeat after a restart");
                }
            }
            world.restart();
            assert_eq!(world.shown().await, lines(&stored), "from the log");
            world.store.flush().await.expect("flushes");
            while world.store.compact_once().await.expect("compacts") {}
            assert_eq!(world.shown().await, lines(&stored), "compacted");
            assert!(world.segments().len() <= 1, "{:?}", world.segments());
            world.restart();
            assert_eq!(world.shown().await, lines(&stored), "after all");
            let found = world.store.fsck().await.expect("checks");
            assert!(found.problems.is_empty() && found.unknown.is_empty(), "{found:?}");
            assert_eq!(found.spans as usize, lines(&stored).len());
        });
    }

    #[test]
    fn what_was_acknowledged_survives_a_power_cut_once(
        seed in any::<u64>(), cut in 1..120_u64,
        batches in prop::collection::vec(any_batch(), 1..10),
    ) {
        run(async {
            let layer = PowerLayer::new(seed, cut);
            let catalog = Arc::new(Catalog::open_in_memory().expect("opens"));
            let now = Timestamp::from_millis(BASE_MS + 30 * HOUR_MS);
            let clock = Arc::new(ManualClock::new(now));
            let mut known: Vec<SpanBatch> = Vec::new();
            if let Ok(store) = open(&layer, &catalog, &clock, &options()) {
                for (at, batch) in batches.iter().enumerate() {
                    match store.append_spans("t", vec![batch.clone()]).await {
                        Ok(_) if known.contains(batch) => {}
                        Ok(_) => known.push(batch.clone()),
                        Err(_) => break,
                    }
                    if at % 3 == 2 && store.flush().await.is_err() {
                        break;
                    }
                    if at % 5 == 4 && store.compact_once().await.is_err() {
                        break;
                    }
                }
            }
            let layer = layer.after_power_cut(u64::MAX);
            let store = open(&layer, &catalog, &clock, &options()).expect("opens after the cut");
            // What got no answer may be there; its client sends it again.
            for batch in &batches {
                store.append_spans("t", vec![batch.clone()]).await.expect("appends");
                if !known.contains(batch) {
                    known.push(batch.clone());
                }
            }
            assert_eq!(shown(&store).await, lines(&known));
            store.flush().await.expect("flushes");
            assert_eq!(shown(&store).await, lines(&known), "flushed");
        });
    }
}

#[test]
fn profiles_and_spans_lie_in_segments_of_their_own() {
    run(async {
        let world = World::new(options());
        let mut profile: Profile = profile::folded::from_folded("a;b 5\n");
        profile.labels.set("service_name", "shop");
        world.store.append("t", vec![profile]).await.expect("appends");
        world.add(&batch("shop", "checkout", BASE_MS)).await;
        world.store.flush().await.expect("flushes");
        assert_eq!(world.segments(), [Content::Profiles, Content::Spans]);
        let stats = world.store.stats();
        assert_eq!((stats.spans, stats.span_segments, stats.span_rows), (1, 1, 1));
        assert_eq!((stats.segments, stats.segment_profiles, stats.wal_bytes), (1, 1, 0));
        assert!(world.layer.list("wal").expect("lists").is_empty());
    });
}

#[test]
fn a_deletion_hides_spans_at_once_and_leaves_no_name_behind() {
    run(async {
        let mut world = World::new(options());
        let keep =
            [batch("shop", "visible_a", BASE_MS), batch("bank", "later_d", BASE_MS + HOUR_MS)];
        world.add(&keep[0]).await;
        world.add(&batch("bank", "secret_b", BASE_MS)).await;
        world.store.flush().await.expect("flushes");
        world.add(&keep[1]).await;
        world.add(&batch("bank", "secret_c", BASE_MS + 1)).await;
        let end = Timestamp::from_millis(BASE_MS + 60_000);
        let range = TimeRange::new(Timestamp::from_millis(BASE_MS), end);
        world.store.delete("t", "{service_name=\"bank\"}", range).await.expect("deletes");
        assert_eq!(world.shown().await, lines(&keep), "hidden at once");
        world.restart();
        assert_eq!(world.shown().await, lines(&keep), "hidden after a restart");
        while world.store.delete_once().await.expect("rewrites") > 0 {}
        assert_eq!(world.shown().await, lines(&keep), "rewritten");
        world.store.retain_once().await.expect("removes files");
        let files = world.files();
        assert!(holds(&files, "visible_a") && !holds(&files, "secret_"));
        assert!(world.store.deletions().await.expect("lists")[0].done_at.is_some());
        // The same again is meant to be there again.
        let again = batch("bank", "secret_b", BASE_MS);
        assert!(!world.add(&again).await, "not a repeat of what was deleted");
    });
}

#[test]
fn rules_and_the_budget_drop_spans_and_pins_keep_them() {
    run(async {
        let rule = |service: Option<&str>, hours| RetentionRule {
            service: service.map(str::to_owned),
            kind: Some("spans".to_owned()),
            keep: Duration::from_hours(hours),
            ..RetentionRule::default()
        };
        let retention_rules = vec![rule(None, 40), rule(Some("short"), 2)];
        let mut world = World::new(Options { retention_rules, ..options() });
        let old = BASE_MS;
        world.add(&batch("shop", "stays", old)).await;
        world.add(&batch("short", "goes", old)).await;
        world.store.flush().await.expect("flushes");
        let stays = [batch("shop", "stays", old)];
        world.store.retain_once().await.expect("retains");
        assert_eq!(world.shown().await, lines(&stays), "a service with a rule of its own");
        world.restart();
        assert_eq!(world.shown().await, lines(&stays));
        let range = TimeRange::new(Timestamp::from_millis(old), Timestamp::from_millis(old + 1));
        world.store.pin("t", "incident", "shop", range).await.expect("pins");
        world.clock.advance(Duration::from_hours(20));
        world.add(&batch("shop", "newer", old + 2 * HOUR_MS)).await;
        world.store.flush().await.expect("flushes");
        world.store.retain_once().await.expect("retains");
        assert_eq!(world.shown().await, lines(&stays), "pinned");
        world.options.disk_budget_bytes = Some(1);
        world.restart();
        world.store.retain_once().await.expect("retains");
        assert_eq!(world.shown().await, lines(&stays), "pinned, whatever the budget");
        world.store.unpin("t", "incident").await.expect("unpins");
        world.store.retain_once().await.expect("retains");
        assert!(world.shown().await.is_empty() && world.segments().is_empty());
    });
}

#[test]
fn a_backup_brings_spans_to_another_store() {
    run(async {
        let world = World::new(options());
        let all = [batch("shop", "a", BASE_MS), batch("bank", "b", BASE_MS)];
        for batch in &all {
            world.add(batch).await;
        }
        let mut archive = Vec::new();
        let backup = world.store.backup(None).await.expect("backs up");
        let put = &mut |piece: bytes::Bytes| {
            archive.extend_from_slice(&piece);
            true
        };
        backup.write(put).expect("writes");
        let mut other = World::new(options());
        for known in [0, 1] {
            let restored = other.store.restore(Cursor::new(archive.clone())).await;
            let restored = restored.expect("restores");
            assert_eq!((restored.segments, restored.known), (1, known));
            assert_eq!(other.shown().await, lines(&all));
        }
        other.restart();
        assert_eq!(other.shown().await, lines(&all));
    });
}

#[test]
fn damage_of_a_file_is_found() {
    run(async {
        let world = World::new(options());
        world.add(&batch("shop", "a", BASE_MS)).await;
        world.store.flush().await.expect("flushes");
        let id = world.catalog.live().expect("lists")[0].id;
        let path = format!("segments/{id}/spans.parquet");
        let mut file = world.layer.read(&path).expect("reads").to_vec();
        let middle = file.len() / 2;
        file.truncate(middle);
        world.layer.remove_file(&path).expect("removes");
        let mut new = world.layer.create(&path).expect("creates");
        new.append(&file).expect("writes");
        let found = world.store.fsck().await.expect("checks");
        assert!(!found.problems.is_empty());
    });
}
