//! What goes on, and how much may wait.

use super::*;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::post;
use http::header;
use stdx::SystemClock;
use tower::ServiceExt;

fn settings(to: &str) -> Settings {
    Settings {
        intake: Intake::Pyroscope,
        to: to.parse().unwrap(),
        header: None,
        has_credentials: false,
    }
}

/// An address that nobody sends to, and what would be sent there.
fn tees() -> (Arc<Tees>, mpsc::Receiver<Onward>) {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let (tee, onward) = Tee::new(settings("http://127.0.0.1:1"), clock);
    (Arc::new(Tees { all: vec![tee], name: "vesta-1".to_owned() }), onward)
}

/// Reads all of a body, or nothing of it, by the path.
fn router(tees: &Arc<Tees>) -> Router {
    let whole = async |body: Bytes| body.len().to_string();
    let routes = Router::new().route("/ingest", post(whole)).route("/v1/traces", post(whole));
    let routes = routes.route("/pyroscope/ingest", post(async || "not read"));
    let routes = routes.layer(DefaultBodyLimit::disable());
    routes.layer(axum::middleware::from_fn_with_state(Arc::clone(tees), copy))
}

async fn ask(tees: &Arc<Tees>, path: &str, via: &str, body: Vec<u8>) {
    let request =
        http::Request::post(path).header(header::VIA, via).body(Body::from(body)).unwrap();
    let answer = router(tees).oneshot(request).await.unwrap();
    assert!(answer.status().is_success(), "{path}: {}", answer.status());
}

fn held(tees: &Tees) -> usize {
    tees.all[0].bytes.load(Ordering::Relaxed)
}

#[tokio::test]
async fn whole_requests_of_the_intake_go_on_and_no_others() {
    let (tees, mut onward) = tees();
    ask(&tees, "/ingest?name=a", "1.1 other", vec![7; 100]).await;
    ask(&tees, "/v1/traces", "1.1 other", vec![7; 100]).await;
    ask(&tees, "/pyroscope/ingest", "1.1 other", vec![7; 100]).await;
    // It came from here: sent on, it would come again without end.
    ask(&tees, "/ingest", "1.1 other, 1.1 vesta-1", vec![7; 100]).await;
    let one = onward.try_recv().unwrap();
    assert_eq!((one.head.uri.to_string(), one.body.len()), ("/ingest?name=a".to_owned(), 100));
    assert!(onward.try_recv().is_err());
    assert_eq!(held(&tees), 100);
    drop(one);
    assert_eq!(held(&tees), 0);
}

#[tokio::test]
async fn what_waits_is_bounded_in_number_and_bytes() {
    let (tees, mut onward) = tees();
    let piece = TEE_BYTES_MAX / 4;
    for _ in 0..6 {
        ask(&tees, "/ingest", "", vec![7; piece]).await;
    }
    assert_eq!(held(&tees), 4 * piece);
    assert_eq!(tees.all[0].dropped.load(Ordering::Relaxed), 2);
    drop(onward.try_recv().unwrap());
    ask(&tees, "/ingest", "", vec![7; piece]).await;
    assert_eq!(tees.all[0].dropped.load(Ordering::Relaxed), 2, "there is room again");
    while onward.try_recv().is_ok() {}
    assert_eq!(held(&tees), 0);

    for _ in 0..TEE_REQUESTS_MAX + 3 {
        ask(&tees, "/ingest", "", vec![7; 10]).await;
    }
    assert_eq!(held(&tees), 10 * TEE_REQUESTS_MAX);
    assert_eq!(tees.all[0].dropped.load(Ordering::Relaxed), 5);
    let figures = tees.figures();
    let of = |name: &str| figures.iter().find(|figure| figure.name == name).unwrap().value as usize;
    assert_eq!((of("tee_dropped_total"), of("tee_waiting_requests")), (5, TEE_REQUESTS_MAX));
}

#[test]
fn headers_of_the_connection_and_of_our_tokens_stay() {
    let given = [
        ("authorization", "Bearer ours"),
        ("dd-api-key", "ours"),
        ("x-api-key", "ours"),
        ("cookie", "a=b"),
        ("connection", "keep-alive, X-Hop"),
        ("keep-alive", "timeout=5"),
        ("x-hop", "1"),
        ("te", "trailers"),
        ("transfer-encoding", "chunked"),
        ("host", "here"),
        ("content-length", "7"),
        ("content-encoding", "gzip"),
        ("datadog-meta-lang", "python"),
        ("x-scope-orgid", "a"),
    ];
    let given =
        given.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
    let given: http::HeaderMap = given.into_iter().collect();
    let via = HeaderValue::from_static("1.1 vesta-1");
    let mut settings = settings("http://h:1/base/");
    let names = |settings: &Settings| {
        let headers = headers::onward(&given, settings, &via);
        let mut names: Vec<String> = headers.keys().map(ToString::to_string).collect();
        names.sort();
        names
    };
    let kept = ["content-encoding", "datadog-meta-lang", "via", "x-scope-orgid"];
    assert_eq!(names(&settings), kept);
    settings.header =
        Some((HeaderName::from_static("dd-api-key"), HeaderValue::from_static("theirs")));
    let headers = headers::onward(&given, &settings, &via);
    assert_eq!(headers["dd-api-key"], "theirs");
    settings.has_credentials = true;
    let names = names(&settings);
    for name in ["authorization", "cookie", "dd-api-key", "x-api-key"] {
        assert!(names.iter().any(|have| have == name), "{name}");
    }
    assert_eq!(headers::onward(&given, &settings, &via)["dd-api-key"], "theirs");
    let asked = "/ingest?name=a%7Bb%3Dc%7D".parse().unwrap();
    let address = send::address(&settings.to, &asked).unwrap();
    assert_eq!(address, "http://h:1/base/ingest?name=a%7Bb%3Dc%7D");
    let address = send::address(&"https://h".parse().unwrap(), &asked).unwrap();
    assert_eq!(address, "https://h/ingest?name=a%7Bb%3Dc%7D");
}
