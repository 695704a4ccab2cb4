//! What the engine reads, recorded: questions about metadata and coarse series open no samples, those
//! about a span no segment without it.

use crate::fixture::run;
use bytes::Bytes;
use catalog::Catalog;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use profile::{Profile, SampleKind};
use query::{Engine, Settings};
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use stdx::{ManualClock, Rng, TimeRange, Timestamp};
use store::{FileLayer, LayerFile, LocalFiles, Options, Store};
use testkit::load::Load;
use testkit::profiles::BASE_MS;
use views::{Filter, Matcher, Selection, SeriesQuery, Views};

/// Files that were read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Record(Arc<Mutex<BTreeSet<String>>>, Arc<Mutex<Trouble>>);

/// What goes wrong with ranges of files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Fault {
    #[default]
    None,
    /// An error.
    Fails,
    /// Half of what was asked for.
    Short,
    /// It takes its time.
    Slow,
    /// It does not come.
    Never,
}

/// The fault of one read in so many, and how many reads there were.
#[derive(Clone, Copy, Debug, Default)]
struct Trouble {
    fault: Fault,
    one_in: u64,
    reads: u64,
}

/// How many segments' file of a table was read.
pub(crate) fn segments(read: &BTreeSet<String>, table: &str) -> usize {
    read.iter().filter(|path| path.ends_with(&format!("/{table}.parquet"))).count()
}

impl Record {
    fn add(&self, path: &str) {
        self.0.lock().expect("no test thread panicked").insert(path.to_owned());
    }

    /// From now on one read of ranges in so many goes wrong.
    pub(crate) fn trouble(&self, fault: Fault, one_in: u64) {
        let trouble = Trouble { fault, one_in, reads: 0 };
        *self.1.lock().expect("no test thread panicked") = trouble;
    }

    /// Reads of ranges since then.
    pub(crate) fn reads(&self) -> u64 {
        self.1.lock().expect("no test thread panicked").reads
    }

    fn fault(&self) -> Fault {
        let mut trouble = self.1.lock().expect("no test thread panicked");
        trouble.reads += 1;
        let is_its_turn = trouble.one_in > 0 && trouble.reads.is_multiple_of(trouble.one_in);
        if is_its_turn { trouble.fault } else { Fault::None }
    }

    pub(crate) fn take(&self) -> BTreeSet<String> {
        std::mem::take(&mut *self.0.lock().expect("no test thread panicked"))
    }
}

#[derive(Debug)]
struct Recording {
    layer: LocalFiles,
    record: Record,
}

impl FileLayer for Recording {
    fn create(&self, path: &str) -> std::io::Result<Box<dyn LayerFile>> {
        self.layer.create(path)
    }

    fn read(&self, path: &str) -> std::io::Result<Bytes> {
        self.record.add(path);
        self.layer.read(path)
    }

    fn list(&self, dir: &str) -> std::io::Result<Vec<String>> {
        self.layer.list(dir)
    }

    fn create_dir(&self, path: &str) -> std::io::Result<()> {
        self.layer.create_dir(path)
    }

    fn remove_file(&self, path: &str) -> std::io::Result<()> {
        self.layer.remove_file(path)
    }

    fn remove_dir(&self, path: &str) -> std::io::Result<()> {
        self.layer.remove_dir(path)
    }

    fn rename(&self, from: &str, to: &str) -> std::io::Result<()> {
        self.layer.rename(from, to)
    }

    fn sync_dir(&self, path: &str) -> std::io::Result<()> {
        self.layer.sync_dir(path)
    }

    fn object_store(&self) -> Arc<dyn ObjectStore> {
        let (inner, record) = (self.layer.object_store(), self.record.clone());
        Arc::new(RecordingStore { inner, record })
    }
}

#[derive(Debug)]
struct RecordingStore {
    inner: Arc<dyn ObjectStore>,
    record: Record,
}

impl std::fmt::Display for RecordingStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "recording {}", self.inner)
    }
}

/// The methods' signatures are those that `async_trait` gives the trait.
impl ObjectStore for RecordingStore {
    fn put_opts<'a, 'b, 'c>(
        &'a self,
        location: &'b Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> BoxFuture<'c, Result<PutResult>>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        self.inner.put_opts(location, payload, options)
    }

    fn put_multipart_opts<'a, 'b, 'c>(
        &'a self,
        location: &'b Path,
        options: PutMultipartOptions,
    ) -> BoxFuture<'c, Result<Box<dyn MultipartUpload>>>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        self.inner.put_multipart_opts(location, options)
    }

    fn get_opts<'a, 'b, 'c>(
        &'a self,
        location: &'b Path,
        options: GetOptions,
    ) -> BoxFuture<'c, Result<GetResult>>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        self.record.add(location.as_ref());
        self.inner.get_opts(location, options)
    }

    fn get_ranges<'a, 'b, 'c, 'd>(
        &'a self,
        location: &'b Path,
        ranges: &'c [Range<u64>],
    ) -> BoxFuture<'d, Result<Vec<Bytes>>>
    where
        'a: 'd,
        'b: 'd,
        'c: 'd,
        Self: 'd,
    {
        self.record.add(location.as_ref());
        let work = self.inner.get_ranges(location, ranges);
        match self.record.fault() {
            Fault::None => work,
            Fault::Fails => Box::pin(async {
                let source = "the network is gone".into();
                Err(object_store::Error::Generic { store: "faulty", source })
            }),
            Fault::Short => Box::pin(async move {
                let half = |piece: Bytes| piece.slice(..piece.len() / 2);
                Ok(work.await?.into_iter().map(half).collect())
            }),
            Fault::Never => Box::pin(std::future::pending()),
            Fault::Slow => Box::pin(async move {
                tokio::time::sleep(Duration::from_millis(30)).await;
                work.await
            }),
        }
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_delimiter<'a, 'b, 'c>(
        &'a self,
        prefix: Option<&'b Path>,
    ) -> BoxFuture<'c, Result<ListResult>>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        self.inner.list_with_delimiter(prefix)
    }

    fn copy_opts<'a, 'b, 'c, 'd>(
        &'a self,
        from: &'b Path,
        to: &'c Path,
        options: CopyOptions,
    ) -> BoxFuture<'d, Result<()>>
    where
        'a: 'd,
        'b: 'd,
        'c: 'd,
        Self: 'd,
    {
        self.inner.copy_opts(from, to, options)
    }
}

const TENANT: &str = "default";

fn options() -> Options {
    // No cache, so that each question reads what it needs.
    Options { cache_bytes_max: 0, ..Options::default() }
}

fn load() -> Load {
    Load { services: 4, instances: 2, samples: (20, 40), ..Load::of_fifty(50, false) }
}

/// A store of a few services in segments, opened anew so that nothing is in memory.
pub(crate) async fn recorded(folder: &std::path::Path, settings: Settings) -> (Engine, Record) {
    recorded_of(folder, settings, load().profiles().take(64).collect()).await
}

/// A store of profiles in segments of 16, opened anew so that nothing is in memory.
pub(crate) async fn recorded_of(
    folder: &std::path::Path,
    settings: Settings,
    profiles: Vec<Profile>,
) -> (Engine, Record) {
    let layer = LocalFiles::open(folder).expect("a folder");
    let record = Record::default();
    let layer = Arc::new(Recording { layer, record: record.clone() });
    let catalog = Arc::new(Catalog::open_in_memory().expect("opens"));
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(BASE_MS + 3_600_000)));
    let open = |seed| {
        let layer: Arc<dyn FileLayer> = Arc::clone(&layer) as _;
        let (catalog, clock) = (Arc::clone(&catalog), Arc::clone(&clock));
        Store::open_parts(layer, catalog, options(), clock, Rng::seeded(seed)).expect("opens")
    };
    let store = open(1);
    for some in profiles.chunks(16) {
        store.append(TENANT, some.to_vec()).await.expect("accepted");
        store.flush().await.expect("flushed");
    }
    drop(store);
    let engine = Engine::new(open(2), settings);
    record.take();
    (engine, record)
}

pub(crate) fn everything() -> Selection {
    let kind = SampleKind::from_id("stack").expect("registered");
    let start = Timestamp::from_millis(BASE_MS);
    let range = TimeRange::new(start, start.plus_nanos(3_600_000_000_000));
    Selection {
        profile_type: Some(kind.measures[2].type_id()),
        ..Selection::everything(TENANT, range)
    }
}

#[test]
fn lists_facets_and_coarse_series_read_no_samples_and_flame_graphs_do() {
    run(async {
        let folder = tempfile::tempdir().expect("a folder");
        let (engine, record) = recorded(folder.path(), Settings::default()).await;
        let all = everything();
        let matchers = vec![Matcher::equal("service_name", "service-1")];
        let one = Selection { matchers, ..all.clone() };
        let check = |what: &str| {
            let read = record.take();
            assert_eq!(segments(&read, "samples"), 0, "{what} read {read:?}");
            assert!(!read.is_empty(), "{what} read nothing: the record does not record");
        };
        assert_eq!(engine.profiles(&all, 100, None).await.expect("a list").profiles.len(), 64);
        check("a list");
        assert!(!engine.label_names(&all).await.expect("names").is_empty());
        check("label names");
        assert_eq!(engine.label_values(&all, "service_name").await.expect("values").len(), 4);
        check("label values");
        assert!(!engine.profile_types(&one).await.expect("types").is_empty());
        check("profile types");
        assert_eq!(engine.services(&all, 60).await.expect("services").services.len(), 4);
        check("services");
        // No bucket's edge cuts through a profile: what happens then is the engine's to choose.
        let query = SeriesQuery { step_ms: 3_600_000, group_by: vec!["service_name".to_owned()] };
        assert_eq!(engine.series(&all, &query).await.expect("series").series.len(), 4);
        check("a coarse series by service");
        let plain = SeriesQuery { group_by: Vec::new(), ..query };
        assert_eq!(engine.series(&one, &plain).await.expect("series").series.len(), 1);
        check("a coarse series of one service");
        assert!(engine.flamegraph(&one, 1_000).await.expect("a graph").meta.total > 0);
        assert!(segments(&record.take(), "samples") > 0, "a flame graph reads samples");
    });
}

#[test]
fn a_span_is_looked_for_where_the_filters_of_links_may_hold_it() {
    run(async {
        let folder = tempfile::tempdir().expect("a folder");
        let (engine, record) = recorded(folder.path(), Settings::default()).await;
        let first = load().profiles().take(16).find(|profile| !profile.tables.links.is_empty());
        let link = first.expect("a traced service").tables.links.rows()[0];
        let asked = |trace, span| {
            let filter = Filter { trace, span, ..Filter::default() };
            Selection { filter, ..everything() }
        };
        let (trace, span) = (Some(link.trace_id), Some(link.span_id));
        for (trace, span) in [(trace, None), (None, span), (trace, span)] {
            let graph = engine.flamegraph(&asked(trace, span), 1_000).await.expect("a graph");
            assert!(graph.meta.total > 0, "{trace:?} {span:?} has samples");
            let read = record.take();
            assert_eq!(segments(&read, "links"), 4, "all four may hold it: {read:?}");
            assert_eq!(segments(&read, "samples"), 1, "one does: {read:?}");
            // What was read last may still be known.
            assert!(segments(&read, "nodes") <= 1, "only its tables are read: {read:?}");
        }
        // The trace is in one segment, and the span in none with it.
        let graph = engine.flamegraph(&asked(trace, Some(1)), 1_000).await.expect("a graph");
        assert_eq!((graph.meta.total, segments(&record.take(), "samples")), (0, 0));
    });
}
