//! Requests through guard, receivers and pipeline to a sink that only remembers.

use super::*;
use crate::auth::{Auth, Rule, Token, guard, hash_token};
use crate::payload::{Receiver, Request};
use crate::principal::{Need, Role};
use crate::receivers::{self, otlp::Export};
use crate::sink::Kept;
use axum::Router;
use axum::extract::Request as HttpRequest;
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use futures::future::BoxFuture;
use http::StatusCode;
use serde_json::json;
use std::sync::Mutex;
use std::time::Duration;
use stdx::{ManualClock, Ulid};
use tower::ServiceExt;

const UPLOAD: &str = "/api/v1/profiles?service_name=x";

type Fails = fn() -> SinkError;

#[derive(Default)]
struct Memory {
    appended: Mutex<Vec<(String, usize)>>,
    fails: Option<Fails>,
    repeats: bool,
    /// Keeps uploads as they came, with their profiles.
    keeps: bool,
    kept: Mutex<Vec<(Vec<Profile>, Payload)>>,
}

impl Sink for Memory {
    fn append<'a>(
        &'a self,
        tenant: &'a str,
        profiles: Vec<Profile>,
    ) -> BoxFuture<'a, Result<Vec<Kept>, SinkError>> {
        let kept = Kept { id: Ulid::nil(), is_repeat: self.repeats };
        let ids = profiles.iter().map(|_| kept).collect();
        self.appended.lock().unwrap().push((tenant.to_owned(), profiles.len()));
        let answer = self.fails.map_or(Ok(ids), |fails| Err(fails()));
        Box::pin(async move { answer })
    }

    fn keeps_payloads(&self) -> bool {
        self.keeps
    }

    fn append_with<'a>(
        &'a self,
        tenant: &'a str,
        profiles: Vec<Profile>,
        payload: Payload,
    ) -> BoxFuture<'a, Result<Vec<Kept>, SinkError>> {
        self.kept.lock().unwrap().push((profiles.clone(), payload));
        self.append(tenant, profiles)
    }
}

struct Intake {
    router: Router,
    sink: Arc<Memory>,
    clock: Arc<ManualClock>,
    ingest: Arc<Ingest>,
}

fn intake(sink: Memory, limits: Limits, tokens: Vec<Token>) -> Intake {
    let sink = Arc::new(sink);
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_800_000_000_000)));
    let ingest = Arc::new(Ingest::new(Arc::clone(&sink) as _, Arc::clone(&clock) as _, limits));
    // `/forgotten` is a route that no rule names.
    let routes = receivers::routes(Arc::clone(&ingest))
        .route("/forgotten", axum::routing::post(async || "open"));
    let auth = Arc::new(Auth::new(tokens, receivers::RULES.to_vec()));
    Intake { router: routes.layer(from_fn_with_state(auth, guard)), sink, clock, ingest }
}

fn open(limits: Limits) -> Intake {
    intake(Memory::default(), limits, Vec::new())
}

impl Intake {
    async fn post(&self, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Response {
        let mut request =
            HttpRequest::builder().method("POST").uri(path).header("host", "localhost");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.router.clone().oneshot(request.body(body.into()).unwrap()).await.unwrap()
    }

    fn count(&self, name: &str) -> u64 {
        let all = self.ingest.counters().read();
        all.into_iter().find(|(have, _)| *have == name).expect("a counter").1
    }
}

/// A body that comes piece by piece, without a length.
fn pieces(count: usize, bytes: usize) -> Body {
    let pieces = (0..count).map(move |_| Ok::<_, std::convert::Infallible>(vec![b'a'; bytes]));
    Body::from_stream(futures::stream::iter(pieces))
}

fn token(text: &str, role: Role, tenants: &[&str]) -> Token {
    let tenants = tenants.iter().map(|&name| name.to_owned()).collect();
    let (sha256, tenant) = (hash_token(text), "own".to_owned());
    Token { sha256, name: text.to_owned(), role, tenant, tenants }
}

#[tokio::test]
async fn too_large_bodies_are_refused_with_and_without_a_length() {
    let intake = open(Limits { body_bytes_max: 1000, ..Limits::default() });
    assert_eq!(intake.post(UPLOAD, &[], "main 5\n").await.status(), StatusCode::OK);
    let announced = intake.post(UPLOAD, &[("content-length", "1001")], pieces(1, 1001)).await;
    assert_eq!(announced.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let lied = intake.post(UPLOAD, &[("content-length", "5")], pieces(11, 100)).await;
    assert_eq!(lied.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(intake.post(UPLOAD, &[], pieces(11, 100)).await.status(), 413);
    assert_eq!((intake.count("limits_hit"), intake.count("uploads_refused")), (3, 3));
}

#[tokio::test]
async fn a_body_that_does_not_come_is_given_up() {
    let timeout = Duration::from_millis(30);
    let intake = open(Limits { body_read_timeout: timeout, ..Limits::default() });
    let never = futures::stream::pending::<Result<Vec<u8>, std::convert::Infallible>>();
    let answer = intake.post(UPLOAD, &[], Body::from_stream(never)).await;
    assert_eq!(answer.status(), StatusCode::REQUEST_TIMEOUT);
}

#[tokio::test]
async fn a_route_that_no_rule_names_is_refused_to_everyone() {
    let everyone = vec![token("root", Role::Admin, &["*"])];
    for (tokens, headers) in [(vec![], vec![]), (everyone, vec![("x-api-key", "root")])] {
        let intake = intake(Memory::default(), Limits::default(), tokens);
        let answer = intake.post("/forgotten", &headers, "").await;
        assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
    }
}

#[tokio::test]
async fn profiles_go_to_the_tenant_of_the_token_or_the_one_that_it_may_name() {
    let tokens = vec![token("in", Role::Ingest, &["second"]), token("out", Role::Viewer, &[])];
    let intake = intake(Memory::default(), Limits::default(), tokens);
    let send = async |token: &str, tenant: &str| {
        let headers = [("authorization", token), ("x-scope-orgid", tenant)];
        intake.post(UPLOAD, &headers, "main 5\n").await.status().as_u16()
    };
    assert_eq!(send("Bearer in", "").await, 200);
    assert_eq!(send("Bearer in", "second").await, 200);
    assert_eq!(send("Bearer in", "third").await, 403);
    assert_eq!(send("Bearer out", "").await, 403);
    assert_eq!(send("Bearer other", "").await, 401);
    let appended = intake.sink.appended.lock().unwrap();
    assert_eq!(*appended, [("own".to_owned(), 1), ("second".to_owned(), 1)]);
}

#[tokio::test]
async fn a_store_that_is_full_or_fails_is_answered_so_that_clients_try_again() {
    let cases: [(Fails, u16, &str); 3] = [
        (|| SinkError::Busy("full".to_owned()), 429, "uploads_busy"),
        (|| SinkError::DiskFull("no room".to_owned()), 503, "store_failures"),
        (|| SinkError::Failed("disk".to_owned()), 503, "store_failures"),
    ];
    for (fails, status, counter) in cases {
        let sink = Memory { fails: Some(fails), ..Memory::default() };
        let intake = intake(sink, Limits::default(), Vec::new());
        let answer = intake.post(UPLOAD, &[], "main 5\n").await;
        assert_eq!(answer.status(), status);
        assert!(answer.headers().contains_key("retry-after"));
        assert_eq!((intake.count(counter), intake.count("uploads_accepted")), (1, 0));
    }
}

/// A sink that stores nothing before it is told to.
struct Stalled(tokio::sync::Semaphore);

impl Sink for Stalled {
    fn append<'a>(
        &'a self,
        _: &'a str,
        profiles: Vec<Profile>,
    ) -> BoxFuture<'a, Result<Vec<Kept>, SinkError>> {
        Box::pin(async move {
            drop(self.0.acquire().await);
            Ok(profiles.iter().map(|_| Kept { id: Ulid::nil(), is_repeat: false }).collect())
        })
    }
}

#[tokio::test]
async fn while_the_store_stalls_writers_are_told_to_wait_before_memory_grows() {
    let limits = Limits {
        decoded_in_flight_bytes_max: 256 << 10,
        room_wait: Duration::from_millis(20),
        ..Limits::default()
    };
    let sink = Arc::new(Stalled(tokio::sync::Semaphore::new(0)));
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_800_000_000_000)));
    let ingest = Arc::new(Ingest::new(Arc::clone(&sink) as _, clock, limits));
    let auth = Arc::new(Auth::new(Vec::new(), receivers::RULES.to_vec()));
    let router = receivers::routes(Arc::clone(&ingest)).layer(from_fn_with_state(auth, guard));
    let body: String = (0..400).map(|at| format!("main;step{at};leaf{at} 1\n")).collect();
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let request = HttpRequest::builder().method("POST").uri(UPLOAD).header("host", "localhost");
        let request = request.body(Body::from(body.clone())).unwrap();
        writers.spawn(router.clone().oneshot(request));
    }
    let mut busy = 0;
    // Those that found room wait for the store; all others are answered.
    while let Ok(Some(answer)) =
        tokio::time::timeout(Duration::from_millis(400), writers.join_next()).await
    {
        let answer = answer.unwrap().unwrap();
        assert_eq!(answer.status(), 429);
        assert!(answer.headers().contains_key("retry-after"));
        busy += 1;
    }
    assert!((1..16).contains(&busy), "{busy} of 16 were told to wait");
    assert!(ingest.gate.held_bytes() <= 257 << 10, "{}", ingest.gate.held_bytes());
    sink.0.add_permits(16);
    while let Some(answer) = writers.join_next().await {
        assert_eq!(answer.unwrap().unwrap().status(), 200);
        busy += 1;
    }
    assert_eq!((busy, ingest.gate.held_bytes()), (16, 0));
}

#[tokio::test]
async fn an_upload_that_came_before_is_a_success_and_said_to_be_a_duplicate() {
    for repeats in [false, true] {
        let sink = Memory { repeats, ..Memory::default() };
        let intake = intake(sink, Limits::default(), Vec::new());
        let answer = intake.post(UPLOAD, &[], "main 5\n").await;
        assert_eq!(answer.status(), 200);
        let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        let said = format!("\"duplicate\":{repeats}");
        assert!(String::from_utf8_lossy(&body).contains(&said), "{body:?}");
        assert_eq!(intake.count("profiles_repeated"), u64::from(repeats));
    }
}

#[tokio::test]
async fn what_was_left_out_is_said_in_the_receipt() {
    let intake = open(Limits::default());
    let answer = intake.post(UPLOAD, &[], "main 5\nno value\n").await;
    let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
    assert!(String::from_utf8_lossy(&body).contains("not a number"), "{body:?}");
    let proto = [("content-type", "application/x-protobuf")];
    // A resource whose length leads beyond the end.
    let answer = intake.post(Export::Profiles.path(), &proto, vec![0x0a, 0x7f, 0x12]).await;
    let status = answer.status();
    let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(String::from_utf8_lossy(&body).contains("damaged"), "{body:?}");
}

#[tokio::test]
async fn labels_and_names_without_end_are_refused() {
    let intake = open(Limits { label_bytes_max: 60, ..Limits::default() });
    let long = format!("{UPLOAD}&label=l={}", "x".repeat(50));
    assert_eq!(intake.post(&long, &[], "main 5\n").await.status(), 413);
    let many: String = (0..=LABELS_MAX).map(|at| format!("&label=l{at}=x")).collect();
    assert_eq!(intake.post(&format!("{UPLOAD}{many}"), &[], "main 5\n").await.status(), 400);
    let intake = open(Limits { string_bytes_max: 100, ..Limits::default() });
    let name = format!("{} 5\n", "f".repeat(200));
    assert_eq!(intake.post(UPLOAD, &[], name).await.status(), 413);
    assert_eq!(intake.post(UPLOAD, &[], "main 5\n").await.status(), 200);
}

#[tokio::test]
async fn labels_of_spans_that_take_too_much_room_are_counted_as_those_of_profiles() {
    let intake = open(Limits { label_bytes_max: 60, ..Limits::default() });
    let span =
        json!({"traceId": "1".repeat(32), "spanId": "2".repeat(16), "startTimeUnixNano": "5"});
    let service = json!({"key": "service.name", "value": {"stringValue": "s".repeat(60)}});
    let body = json!({"resourceSpans": [{
        "resource": {"attributes": [service]}, "scopeSpans": [{"spans": [span]}],
    }]});
    let json = [("content-type", "application/json")];
    let answer = intake.post("/v1/traces", &json, body.to_string()).await;
    assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!((intake.count("limits_hit"), intake.count("uploads_refused")), (1, 1));
}

#[tokio::test]
async fn a_decoder_that_panics_costs_its_own_upload_only() {
    let intake = open(Limits::default());
    let principal =
        Auth::default().admit(&HeaderMap::new(), Need::Upload).expect("the local admin");
    let received = async || intake.ingest.receive(&HeaderMap::new(), Body::from("x")).await;
    let body = received().await.unwrap();
    let decode = |_: &[u8], _: &Options| -> Decoded { panic!("as asked for") };
    let request = Request::of(Receiver::Upload, Timestamp::MIN, &[], &HeaderMap::new());
    let of = (request, Context::default());
    let failed = intake.ingest.store(&principal, body, of, decode).await;
    assert_eq!(failed.unwrap_err().status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(intake.count("decode_panics"), 1);
    assert_eq!(intake.post(UPLOAD, &[], "main 5\n").await.status(), 200);
}

#[tokio::test]
async fn a_profile_that_the_retention_is_about_to_drop_is_told_so() {
    const DAY_NANOS: i64 = 86_400_000_000_000;
    let limits = Limits { age_kept_nanos_max: Some(7 * DAY_NANOS), ..Limits::default() };
    let intake = open(limits);
    let said = async |from: &str| {
        let answer = intake.post(&format!("{UPLOAD}&from={from}"), &[], "main 5\n").await;
        let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        String::from_utf8_lossy(&body).into_owned()
    };
    assert!(said("now-30d").await.contains("29 days old"));
    assert!(!said("now-6d").await.contains("days old"));
}

/// Path, headers and body.
type Upload<'a> = (&'a str, &'a [(&'a str, &'a str)], Vec<u8>);

/// A profile as text, but for its tables.
fn told(profile: &Profile) -> String {
    let Profile { labels, window, metadata, kinds, samples, tables, events } = profile;
    let names: Vec<&str> = tables.strings.iter().collect();
    format!("{labels:?} {window:?} {metadata:?} {kinds:?} {samples:?} {names:?} {events:?}")
}

#[tokio::test]
async fn what_is_kept_reads_again_as_it_did_whoever_took_it() {
    let sink = Memory { keeps: true, ..Memory::default() };
    let intake = intake(sink, Limits::default(), Vec::new());
    let pprof = include_bytes!("../../../../fixtures/go-pprof/cpu.pb.gz");
    let form = [
        &b"--x\r\nContent-Disposition: form-data; name=\"profile\"; filename=\"p\"\r\n\r\n"[..],
        pprof,
        b"\r\n--x--\r\n",
    ]
    .concat();
    let multipart = ("content-type", "multipart/form-data; boundary=x");
    let agent = ("user-agent", "client/7");
    let uploads: [Upload<'_>; 4] = [
        ("/api/v1/profiles?service=a&label=k=v&from=now-1h", &[agent], pprof.to_vec()),
        ("/api/v1/profiles?service=a", &[], b"main;b 3\n".to_vec()),
        ("/ingest?name=shop.cpu{env=prod}&from=now-1min", &[multipart, agent], form),
        ("/ingest?name=shop.wall&format=lines&sampleRate=50", &[], b"main;c\nmain;d\n".to_vec()),
    ];
    for (path, headers, body) in uploads {
        let status = intake.post(path, headers, body.clone()).await.status();
        assert_eq!(status, StatusCode::OK, "{path}");
        let (stored, payload) = intake.sink.kept.lock().unwrap().pop().expect("it is kept");
        assert!(payload.body == body, "{path}: the untouched body");
        let text = payload.request.to_text();
        let request = crate::payload::Request::from_text(&text).expect("its own form");
        // Long after, and whatever `now` is then.
        intake.clock.advance(Duration::from_hours(100));
        let again = intake.ingest.read_again(Payload { request, ..payload }).await.unwrap();
        let told = |all: &[Profile]| all.iter().map(told).collect::<Vec<_>>();
        assert!(!stored.is_empty());
        assert_eq!(told(&again.profiles), told(&stored), "{path}");
    }
    let request = Request::of(Receiver::Pyroscope, Timestamp::MIN, &[], &HeaderMap::new());
    let nameless = Payload { request, body: Bytes::new(), received_at: Timestamp::MIN };
    let refused = intake.ingest.read_again(nameless).await.unwrap_err();
    assert!(refused.detail.contains("`name` is missing"), "{refused:?}");
}

#[test]
fn each_receiver_has_a_rule_that_asks_for_uploading() {
    let rules: Vec<&Rule> = receivers::RULES.iter().collect();
    let others = rules.iter().filter(|rule| rule.need != Need::Upload);
    let others: Vec<_> = others.map(|rule| (rule.method, rule.path, rule.need)).collect();
    assert_eq!(others, [("GET", "/info", Need::Public)], "which says only what is served");
    assert_eq!(rules.len(), 26);
}
