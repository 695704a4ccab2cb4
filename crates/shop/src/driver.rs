//! The load: each endpoint is asked at its own bounded rate, from a seeded generator, so that the
//! whole costs about half of one core and a laptop stays usable.

use crate::server::stop_signal;
use anyhow::{Context, ensure};
use axum::body::Body;
use axum::http::{Method, Request};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use stdx::Rng;
use tokio::time::MissedTickBehavior;

/// How much load, and how much to say about it.
#[derive(clap::Args, Clone, Copy, Debug)]
pub(crate) struct LoadArgs {
    /// Multiplies every endpoint's request rate.
    #[arg(long, default_value_t = 1.0)]
    load: f64,
    /// Seed of the random requests.
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Prints the rates reached every ten seconds.
    #[arg(long)]
    rates: bool,
}

impl Default for LoadArgs {
    fn default() -> Self {
        Self { load: 1.0, seed: 42, rates: false }
    }
}

impl LoadArgs {
    /// The same choice as command line arguments, for a child process.
    pub(crate) fn to_args(self) -> Vec<String> {
        let mut args = vec![format!("--load={}", self.load), format!("--seed={}", self.seed)];
        args.extend(self.rates.then(|| "--rates".to_owned()));
        args
    }
}

/// One endpoint's share of the load.
pub(crate) struct Endpoint {
    name: &'static str,
    method: Method,
    /// Requests a second at load 1.
    per_second: f64,
    /// Requests at the same time; more than one where waiting for each other is the point.
    at_once: usize,
    /// Makes the path and the body of a request.
    request: fn(&mut Rng) -> (String, Bytes),
}

/// The weights: what the shop's users do all day.
pub(crate) const ENDPOINTS: [Endpoint; 7] = [
    Endpoint {
        name: "products",
        method: Method::GET,
        per_second: 40.0,
        at_once: 1,
        request: product,
    },
    Endpoint { name: "search", method: Method::GET, per_second: 10.0, at_once: 1, request: search },
    Endpoint {
        name: "checkout",
        method: Method::POST,
        per_second: 40.0,
        at_once: 8,
        request: checkout,
    },
    Endpoint { name: "report", method: Method::GET, per_second: 9.0, at_once: 1, request: report },
    Endpoint {
        name: "recommend",
        method: Method::GET,
        per_second: 5.0,
        at_once: 1,
        request: recommend,
    },
    Endpoint {
        name: "thumbnail",
        method: Method::GET,
        per_second: 16.0,
        at_once: 1,
        request: thumbnail,
    },
    Endpoint { name: "export", method: Method::POST, per_second: 8.0, at_once: 1, request: export },
];

fn product(rng: &mut Rng) -> (String, Bytes) {
    (format!("/products/{}", rng.below(crate::catalogue::PRODUCTS as u64)), Bytes::new())
}

fn search(rng: &mut Rng) -> (String, Bytes) {
    const QUERIES: [&str; 4] = ["quiet*lamps", "golden*violas", "tiny*drills", "waterproof*canoe"];
    (format!("/search?q={}", QUERIES[rng.below(4) as usize]), Bytes::new())
}

fn checkout(rng: &mut Rng) -> (String, Bytes) {
    let basket: Vec<u64> = (0..14).map(|_| rng.below(crate::catalogue::PRODUCTS as u64)).collect();
    ("/checkout".into(), serde_json::to_vec(&basket).unwrap_or_default().into())
}

fn report(_: &mut Rng) -> (String, Bytes) {
    ("/report".into(), Bytes::new())
}

fn recommend(_: &mut Rng) -> (String, Bytes) {
    ("/recommend".into(), Bytes::new())
}

fn thumbnail(rng: &mut Rng) -> (String, Bytes) {
    (format!("/thumbnail/{}", rng.below(crate::catalogue::PRODUCTS as u64)), Bytes::new())
}

fn export(_: &mut Rng) -> (String, Bytes) {
    ("/export".into(), Bytes::new())
}

type HttpClient = Client<HttpConnector, Body>;

/// Requests answered and failed, by endpoint.
#[derive(Default)]
struct Counts {
    answered: AtomicU64,
    failed: AtomicU64,
}

/// Asks until it is told to stop (SIGINT or SIGTERM). A shop that does not answer is waited for.
pub(crate) async fn drive(target: SocketAddr, args: LoadArgs) -> anyhow::Result<()> {
    ensure!(args.load > 0.0 && args.load <= 100.0, "--load must lie between 0 and 100");
    let client = Client::builder(TokioExecutor::new()).build_http();
    let counts: Arc<[Counts; ENDPOINTS.len()]> = Arc::default();
    println!("vesta-shop: driving http://{target} at load {}", args.load);
    for (index, endpoint) in ENDPOINTS.iter().enumerate() {
        for lane in 0..endpoint.at_once {
            let rng = Rng::seeded(args.seed ^ ((index as u64) << 8) ^ lane as u64);
            let lanes = endpoint.at_once as f64;
            let pause = Duration::from_secs_f64(lanes / (endpoint.per_second * args.load));
            let (client, counts) = (client.clone(), counts.clone());
            tokio::spawn(async move {
                ask_for_ever(&client, target, index, pause, rng, &counts[index]).await;
            });
        }
    }
    if args.rates {
        tokio::spawn(print_rates(counts));
    }
    stop_signal().await;
    Ok(())
}

async fn ask_for_ever(
    client: &HttpClient,
    target: SocketAddr,
    endpoint: usize,
    pause: Duration,
    mut rng: Rng,
    counts: &Counts,
) {
    let mut tick = tokio::time::interval(pause);
    // A slow answer must not be followed by a burst: the rate is a bound.
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        match ask(client, target, &ENDPOINTS[endpoint], &mut rng).await {
            Ok(()) => counts.answered.fetch_add(1, Ordering::Relaxed),
            Err(_) => counts.failed.fetch_add(1, Ordering::Relaxed),
        };
    }
}

async fn ask(
    client: &HttpClient,
    target: SocketAddr,
    endpoint: &Endpoint,
    rng: &mut Rng,
) -> anyhow::Result<()> {
    let (path, body) = (endpoint.request)(rng);
    let request = Request::builder()
        .method(endpoint.method.clone())
        .uri(format!("http://{target}{path}"))
        .header("content-type", "application/json")
        .body(Body::from(body))?;
    let response = client.request(request).await.with_context(|| format!("asking {path}"))?;
    ensure!(response.status().is_success(), "{} answers {}", endpoint.name, response.status());
    response.into_body().collect().await?;
    Ok(())
}

async fn print_rates(counts: Arc<[Counts; ENDPOINTS.len()]>) {
    let seconds = 10;
    let mut tick = tokio::time::interval(Duration::from_secs(seconds));
    tick.tick().await;
    loop {
        tick.tick().await;
        let rates: Vec<String> = ENDPOINTS
            .iter()
            .zip(counts.iter())
            .map(|(endpoint, count)| {
                let answered = count.answered.swap(0, Ordering::Relaxed) as f64 / seconds as f64;
                let failed = count.failed.swap(0, Ordering::Relaxed);
                format!("{} {answered:.1}/s ({failed} failed)", endpoint.name)
            })
            .collect();
        println!("vesta-shop: {}", rates.join(", "));
    }
}

/// One request to each endpoint; how many answered well, or the first error.
#[cfg(test)]
pub(crate) async fn ask_each_once(target: SocketAddr) -> anyhow::Result<usize> {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let mut rng = Rng::seeded(1);
    for endpoint in &ENDPOINTS {
        ask(&client, target, endpoint, &mut rng).await?;
    }
    Ok(ENDPOINTS.len())
}
