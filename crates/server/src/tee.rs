//! Teeing: what clients of an intake send also goes to another address, as it came. Our own answer
//! neither waits for that nor changes with it: a copy is made while the body passes, and what does
//! not fit into a bounded queue is dropped, counted and said once in a while.

mod body;
mod headers;
mod send;

use crate::limits::{TEE_BYTES_MAX, TEE_LOG_INTERVAL, TEE_REQUESTS_MAX};
use crate::outward::Trust;
use api::Figure;
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use body::{Copied, Copy};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Uri};
use ingest::receivers::Intake;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use stdx::{Clock, Rng};
use tokio::sync::mpsc;

/// One address that requests go on to.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// What of.
    pub(crate) intake: Intake,
    /// Where to; the path of a request follows its path.
    pub(crate) to: Uri,
    /// A header of its own, which takes the place of the client's.
    pub(crate) header: Option<(HeaderName, HeaderValue)>,
    /// Whether headers that may hold a token of this server go on.
    pub(crate) has_credentials: bool,
}

/// All addresses.
#[derive(Debug)]
pub(crate) struct Tees {
    all: Vec<Arc<Tee>>,
    /// What this process calls itself in `Via`, by which it knows its own requests.
    name: String,
}

/// The way to one address.
#[derive(Debug)]
struct Tee {
    settings: Settings,
    queue: mpsc::Sender<Onward>,
    /// Bytes of the copies there are, whether they are being made, wait or are sent.
    bytes: AtomicUsize,
    sent: AtomicU64,
    failed: AtomicU64,
    dropped: AtomicU64,
    clock: Arc<dyn Clock>,
    /// When something was logged last, and how many failed and were dropped by then.
    logged: Mutex<(Option<Duration>, u64, u64)>,
}

/// A request on its way.
#[derive(Debug)]
struct Onward {
    head: Arc<Parts>,
    body: Bytes,
    place: Place,
}

/// Bytes held of what one address may have; freed when dropped.
#[derive(Debug)]
struct Place {
    tee: Arc<Tee>,
    bytes: usize,
}

impl Tees {
    /// Starts a task for each address.
    pub(crate) fn start(all: Vec<Settings>, trust: &Trust, clock: &Arc<dyn Clock>) -> Self {
        let name = format!("vesta-{:016x}", Rng::from_entropy().next_u64());
        let start = |settings: Settings| {
            tracing::info!(intake = settings.intake.name(), "requests also go to {}", settings.to);
            let (tee, onward) = Tee::new(settings, Arc::clone(clock));
            // Ends with the process: what waits then is lost.
            let clients = send::Clients::new(trust, &format!("1.1 {name}"));
            tokio::spawn(send::run(Arc::clone(&tee), onward, clients));
            tee
        };
        Self { all: all.into_iter().map(start).collect(), name }
    }

    /// The request, whose body is copied while it is read if it is to go on.
    fn copied(&self, request: Request) -> Request {
        let path = request.extensions().get::<MatchedPath>();
        let intake = path.and_then(|path| Intake::of(request.method(), path.as_str()));
        let is_wanted = |tee: &&Arc<Tee>| Some(tee.settings.intake) == intake;
        if !self.all.iter().any(|tee| is_wanted(&tee)) || headers::names(&request, &self.name) {
            return request;
        }
        let places = self.all.iter().filter(is_wanted).map(Place::new).collect();
        let (parts, body) = request.into_parts();
        let mut head = parts.clone();
        head.extensions.clear();
        let copy = Copy::new(Arc::new(head), places);
        Request::from_parts(parts, Body::new(Copied::new(body, copy)))
    }

    /// What became of the requests, for `/metrics`.
    pub(crate) fn figures(&self) -> Vec<Figure> {
        let sum = |of: fn(&Tee) -> u64| self.all.iter().map(|tee| of(tee)).sum::<u64>() as f64;
        let figure = |name, help, value| Figure { name, help, value };
        let counter = |of: fn(&Tee) -> &AtomicU64| {
            self.all.iter().map(|tee| of(tee).load(Ordering::Relaxed)).sum::<u64>() as f64
        };
        vec![
            figure("tee_sent_total", "Requests sent onward and taken", counter(|tee| &tee.sent)),
            figure(
                "tee_failed_total",
                "Requests sent onward and not taken",
                counter(|tee| &tee.failed),
            ),
            figure(
                "tee_dropped_total",
                "Requests not sent onward for lack of room",
                counter(|tee| &tee.dropped),
            ),
            figure(
                "tee_waiting_bytes",
                "Bytes of requests that go onward",
                sum(|tee| tee.bytes.load(Ordering::Relaxed) as u64),
            ),
            figure(
                "tee_waiting_requests",
                "Requests that wait to be sent onward",
                sum(|tee| (tee.queue.max_capacity() - tee.queue.capacity()) as u64),
            ),
        ]
    }
}

/// The layer around the receivers.
pub(crate) async fn copy(State(tees): State<Arc<Tees>>, request: Request, next: Next) -> Response {
    next.run(tees.copied(request)).await
}

impl Tee {
    fn new(settings: Settings, clock: Arc<dyn Clock>) -> (Arc<Self>, mpsc::Receiver<Onward>) {
        let (queue, onward) = mpsc::channel(TEE_REQUESTS_MAX);
        let tee = Self {
            settings,
            queue,
            bytes: AtomicUsize::new(0),
            sent: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            clock,
            logged: Mutex::default(),
        };
        (Arc::new(tee), onward)
    }

    fn drop_one(&self, why: &str) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
        self.log(why);
    }

    fn fail_one(&self, why: &str) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        self.log(why);
    }

    /// Says what went wrong, with how much since it was said last; not often.
    fn log(&self, why: &str) {
        let now = self.clock.monotonic();
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        if logged.0.is_some_and(|last| now.saturating_sub(last) < TEE_LOG_INTERVAL) {
            return;
        }
        let failed = self.failed.load(Ordering::Relaxed);
        let dropped = self.dropped.load(Ordering::Relaxed);
        let (new_failed, new_dropped) = (failed - logged.1, dropped - logged.2);
        *logged = (Some(now), failed, dropped);
        drop(logged);
        tracing::warn!(
            to = %self.settings.to, failed = new_failed, dropped = new_dropped, why,
            "requests did not go onward"
        );
    }
}

impl Place {
    fn new(tee: &Arc<Tee>) -> Self {
        Self { tee: Arc::clone(tee), bytes: 0 }
    }

    /// Takes further bytes, if there is room.
    fn grow(&mut self, bytes: usize) -> bool {
        let more = |held: usize| held.checked_add(bytes).filter(|sum| *sum <= TEE_BYTES_MAX);
        let held = &self.tee.bytes;
        let is_taken = held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok();
        self.bytes += if is_taken { bytes } else { 0 };
        is_taken
    }

    /// Into the queue, or nowhere.
    fn enqueue(self, head: &Arc<Parts>, body: &Bytes) {
        let tee = Arc::clone(&self.tee);
        let onward = Onward { head: Arc::clone(head), body: body.clone(), place: self };
        if tee.queue.try_send(onward).is_err() {
            tee.drop_one("too many requests wait already");
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.tee.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
