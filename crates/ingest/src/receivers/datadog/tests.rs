//! Uploads as the libraries make them, taken apart and decoded.

use super::*;
use crate::receivers::datadog::parts::Content;
use formats::compress::gzip;
use profile::labels::names;
use profile::{Profile, SampleKind};
use stdx::Timestamp;

const EVENT: &str = r#"{"start":"2026-11-20T15:30:47.5Z","end":"2026-11-20T15:31:00Z","version":"4",
    "family":"python","attachments":["profile.pprof"],"tags_profiler":"TAGS",
    "endpoint_counts":{"GET /deep":168,"GET /lock":86,"odd":null},"process_tags":"svc.user:true",
    "info":{"runtime":{"available_processors":2},"profiler":{"settings":{"a":1},"none":null}}}"#;
const TAGS: &str = "env:staging,service:checkout,,version:1.2.3,runtime:CPython,team:payments,\
    runtime-id:a78c,process_id:31499,profile_seq:0,_dd.x:1,source:git,profiler_version:4.16.0,host:vm,";

/// A part: name of it, name of its file, bytes.
type Given<'a> = (&'a str, &'a str, &'a [u8]);

pub(crate) fn body(parts: &[Given<'_>]) -> Bytes {
    let mut body = Vec::new();
    for (name, file, bytes) in parts {
        let file = if file.is_empty() { String::new() } else { format!("; filename=\"{file}\"") };
        let head = format!("--x\r\ncontent-disposition: form-data; name=\"{name}\"{file}\r\n\r\n");
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--x--\r\n");
    body.into()
}

fn headers() -> HeaderMap {
    let content_type = "multipart/form-data; boundary=x".parse().unwrap();
    [(header::CONTENT_TYPE, content_type)].into_iter().collect()
}

fn pprof(folded: &str) -> Vec<u8> {
    let mut profile = profile::folded::from_folded(folded);
    profile.kinds = vec![SampleKind::from_id("stack").unwrap()];
    formats::pprof::encode_gzip(&profile)
}

/// A profile of Go's contentions: sample types that do not say of what.
fn contentions() -> Vec<u8> {
    let mut profile = profile::folded::from_folded("main;lock 7\n");
    profile.kinds = vec![SampleKind::from_id("mutex").unwrap()];
    formats::pprof::encode_gzip(&profile)
}

async fn opened(parts: &[Given<'_>]) -> Result<(Context, Upload), Problem> {
    open(body(parts), &headers(), &[]).await
}

fn label<'a>(context: &'a Context, name: &str) -> Option<&'a str> {
    let found = context.labels.iter().find(|(have, _)| have == name);
    found.map(|(_, value)| value.as_str())
}

fn info<'a>(profile: &'a Profile, name: &str) -> Option<&'a str> {
    let found = profile.metadata.info.iter().find(|(have, _)| have == name);
    found.map(|(_, value)| value.as_str())
}

#[tokio::test]
async fn tags_become_labels_and_what_changes_with_each_upload_information() {
    let (cpu, event) = (pprof("main;work 5\n"), EVENT.replace("TAGS", TAGS));
    let metrics = br#"[["go_num_goroutine", 40], ["name", "text"], 7]"#;
    let parts: [Given<'_>; 4] = [
        ("profile.pprof", "profile.pprof", &cpu),
        ("code-provenance", "code-provenance.json", b"{}"),
        ("metrics.json", "metrics.json", &gzip(metrics)),
        ("event", "event.json", event.as_bytes()),
    ];
    let (context, upload) = opened(&parts).await.unwrap();
    for (name, value) in [
        (names::SERVICE, "checkout"),
        (names::ENV, "staging"),
        (names::VERSION, "1.2.3"),
        (names::HOST, "vm"),
        (names::INSTANCE, "a78c"),
        (names::RUNTIME, "CPython"),
        (names::SOURCE, "ddtrace"),
        ("team", "payments"),
    ] {
        assert_eq!(label(&context, name), Some(value), "{name}");
    }
    for name in ["process_id", "profile_seq", "_dd.x", "profiler_version", "service"] {
        assert_eq!(label(&context, name), None, "{name}");
    }
    assert_eq!(context.client, "dd-trace-py 4.16.0");
    assert_eq!(context.window.unwrap().start, Timestamp::from_millis(1_795_188_647_500));
    assert_eq!(context.window.unwrap().nanos(), 12_500_000_000);
    assert_eq!(context.notes.into_list(), ["part \"code-provenance.json\" is not used"]);
    let decoded = upload.decode(&Options::default());
    assert!(decoded.issues.is_empty(), "{:?}", decoded.issues);
    let profile = &decoded.profiles[0].profile;
    assert_eq!((profile.samples.len(), profile.metadata.cpu_count), (1, Some(2)));
    assert_eq!(info(profile, "endpoint_counts"), Some(r#"{"GET /deep":168,"GET /lock":86}"#));
    assert_eq!(info(profile, "process_id"), Some("31499"));
    assert_eq!(info(profile, "metrics.go_num_goroutine"), Some("40"));
    assert_eq!(info(profile, "metrics.name"), None);
    let events = profile.events.iter();
    let readings = events.map(|it| (&*it.name, it.start, it.reading.as_ref().map(|it| it.value)));
    let end = Timestamp::from_millis(1_795_188_660_000);
    assert_eq!(readings.collect::<Vec<_>>(), [("go_num_goroutine", end, Some(40.0))]);
    assert_eq!(info(profile, "profiler.settings"), Some(r#"{"a":1}"#));
    assert_eq!(info(profile, "part"), Some("profile.pprof"));
}

#[tokio::test]
async fn the_name_of_a_part_tells_mutex_from_block() {
    let bytes = contentions();
    let event = br#"{"family":"go","tags_profiler":"service:s"}"#;
    let parts: [Given<'_>; 5] = [
        ("metrics.json", "metrics.json", br#"{"heap": 0.5}"#),
        ("delta-mutex.pprof", "delta-mutex.pprof", &bytes),
        ("delta-block.pprof", "delta-block.pprof", &bytes),
        ("go.trace", "go.trace", b"go 1.23 trace"),
        ("event", "event.json", event),
    ];
    let (context, upload) = opened(&parts).await.unwrap();
    assert_eq!(context.notes.into_list().last().unwrap(), "part \"go.trace\" is not used");
    let decoded = upload.decode(&Options::default());
    let kinds = decoded.profiles.iter().map(|one| one.profile.kinds[0].id.to_string());
    assert_eq!(kinds.collect::<Vec<_>>(), ["mutex", "block"]);
    let readings = decoded.profiles.iter().map(|one| one.profile.events.len());
    assert_eq!(readings.collect::<Vec<_>>(), [1, 0], "an upload's readings come once");
    let parts: [Given<'_>; 2] =
        [("event", "event.json", event), ("mutex.pprof", "mutex.pprof", &bytes)];
    let (context, upload) = opened(&parts).await.unwrap();
    assert!(context.notes.into_list().iter().any(|note| note.contains("DD_PROFILING_DELTA")));
    assert_eq!(upload.decode(&Options::default()).profiles[0].profile.kinds[0].id, "mutex");
}

#[tokio::test]
async fn the_older_form_has_fields_for_tags_and_times() {
    let cpu = pprof("main;work 5\n");
    let parts: [Given<'_>; 7] = [
        ("recording-start", "", b"2026-11-20T15:30:47Z"),
        ("recording-end", "", b"2026-11-20T15:30:57Z"),
        ("tags[]", "", b"service:old"),
        ("tags[]", "", b"host:h1"),
        ("tags[]", "", b"language:go"),
        ("types[0]", "", b"samples,cpu"),
        ("data[0]", "pprof-data", &cpu),
    ];
    let (context, upload) = opened(&parts).await.unwrap();
    assert_eq!(label(&context, names::SERVICE), Some("old"));
    assert_eq!(label(&context, names::HOST), Some("h1"));
    assert_eq!(label(&context, names::RUNTIME), Some("go"));
    assert_eq!(context.window.unwrap().nanos(), 10_000_000_000);
    assert_eq!(upload.decode(&Options::default()).profiles.len(), 1);
}

#[tokio::test]
async fn an_agent_in_between_adds_what_the_library_does_not_know() {
    let headers = headers();
    let beside = [(TAG_HEADERS[0].to_owned(), "host:real,default_env:prod,agent_version:7".into())];
    let parts: [Given<'_>; 1] = [("event", "", br#"{"tags_profiler":"service:s,env:own"}"#)];
    let (context, _) = open(body(&parts), &headers, &beside).await.unwrap();
    assert_eq!(label(&context, names::HOST), Some("real"));
    assert_eq!(label(&context, names::ENV), Some("own"));
    assert_eq!(label(&context, "agent_version"), None);
}

#[tokio::test]
async fn files_that_are_no_profiles_cost_only_themselves() {
    let cpu = pprof("main;work 5\n");
    let parts: [Given<'_>; 3] = [
        ("event", "event.json", EVENT.as_bytes()),
        ("new.thing", "new.thing", &[0xff, 0xfe, 0, 1]),
        ("profile.pprof", "profile.pprof", &cpu),
    ];
    let (_, upload) = opened(&parts).await.unwrap();
    let decoded = upload.decode(&Options::default());
    assert_eq!(decoded.profiles.len(), 1);
    assert!(decoded.issues[0].example.starts_with("part \"new.thing\": "), "{:?}", decoded.issues);
}

#[tokio::test]
async fn the_files_of_one_upload_share_its_limits() {
    let cpu = pprof("a 1\nb 2\nc 3\n");
    let file: Given<'_> = ("cpu.pprof", "cpu.pprof", &cpu);
    let parts = [("event", "event.json", EVENT.as_bytes()), file, file, file];
    let (_, upload) = opened(&parts).await.unwrap();
    let mut options = Options::default();
    options.limits.samples_max = 4;
    let decoded = upload.decode(&options);
    let samples = decoded.profiles.iter().map(|one| one.profile.samples.len());
    assert_eq!(samples.sum::<usize>(), 4);
    let (_, upload) = opened(&parts).await.unwrap();
    options.limits = formats::Limits { decompressed_bytes_max: 1500, ..Default::default() };
    let decoded = upload.decode(&options);
    assert!(decoded.profiles.len() < 3);
    let is_limit = |issue: &Issue| issue.kind == IssueKind::Limit;
    assert!(decoded.issues.iter().any(is_limit), "{:?}", decoded.issues);
}

#[tokio::test]
async fn what_has_no_event_or_no_end_is_refused_and_many_tags_are_bounded() {
    let part: Given<'_> = ("a", "a", b"");
    let detail = |opened: Result<(Context, Upload), Problem>| opened.unwrap_err().detail;
    assert!(detail(opened(&[part]).await).contains("no part named `event`"));
    assert!(detail(opened(&[("event", "event.json", b"[1]")]).await).contains("no JSON object"));
    assert!(detail(opened(&vec![part; 1000]).await).contains("16 files"));
    assert!(detail(opened(&vec![("tags[]", "", b"a:b".as_slice()); 1000]).await).contains("128"));
    let tags: Vec<String> = (0..5000).map(|at| format!("t{at}:{at}")).collect();
    let counts: Vec<String> = (0..5000).map(|at| format!("\"GET /{at}\":{at}")).collect();
    let event = format!(
        r#"{{"tags_profiler":"{},service:last","endpoint_counts":{{{}}}}}"#,
        tags.join(","),
        counts.join(",")
    );
    let (context, upload) = opened(&[("event", "e", event.as_bytes())]).await.unwrap();
    assert!(context.labels.len() <= crate::limits::LABELS_MAX);
    assert!(upload.info.iter().all(|(_, value)| value.len() <= INFO_TEXT_BYTES_MAX));
    let counts = &upload.info.iter().find(|(name, _)| name == "endpoint_counts").unwrap().1;
    assert!(counts.contains("\"GET /4999\":4999"), "the most frequent stay");
    let (_, upload) = opened(&[("event", "e", b"{}")]).await.unwrap();
    assert!(upload.decode(&Options::default()).profiles.is_empty());
}

/// Bodies damaged in one to four places give an upload or a refusal, each.
#[tokio::test]
async fn damage_is_survived() {
    let cpu = pprof("main;work 5\n");
    let parts: [Given<'_>; 2] =
        [("event", "event.json", EVENT.as_bytes()), ("auto", "auto.pprof", &cpu)];
    let body = body(&parts);
    let mut rng = stdx::Rng::seeded(5);
    for _ in 0..2000 {
        let mut bytes = body.to_vec();
        for _ in 0..=rng.below(3) {
            let at = rng.below(bytes.len() as u64) as usize;
            match rng.below(3) {
                0 => bytes[at] = rng.next_u64() as u8,
                1 => drop(bytes.splice(at..at, *b"\r\n--x")),
                _ => bytes.truncate(at.max(1)),
            }
        }
        if let Ok((context, upload)) = open(bytes.into(), &headers(), &[]).await {
            assert!(context.labels.len() <= crate::limits::LABELS_MAX);
            std::hint::black_box(upload.decode(&Options::default()));
        }
    }
}

#[test]
fn names_say_what_a_file_is() {
    let file = |name: &str| File { name: name.to_owned(), bytes: Bytes::new() };
    for (name, content) in [
        ("main.jfr", Content::Profile),
        ("auto", Content::Profile),
        ("pprof-data", Content::Profile),
        ("code-provenance", Content::Other),
        ("code-provenance.json", Content::Other),
        ("go.trace", Content::Other),
        ("metrics.json", Content::Metrics),
    ] {
        assert_eq!(file(name).content(), content, "{name}");
    }
    assert_eq!((file("block.pprof").family(), file("cpu.pprof").family()), ("block", ""));
}
