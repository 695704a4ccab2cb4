//! `/metrics` in Prometheus' text format: requests by route and status, panics, what came in, and
//! figures that the server adds (the store's).

use ingest::Ingest;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A figure of the server's.
#[derive(Clone, Debug)]
pub struct Figure {
    /// Name without the prefix `vesta_`; a counter when it ends in `_total`, else a gauge.
    pub name: &'static str,
    /// What it counts.
    pub help: &'static str,
    /// Its value.
    pub value: f64,
}

type Figures = Box<dyn Fn() -> Vec<Figure> + Send + Sync>;

/// Counters of the process.
pub struct Metrics {
    requests: Mutex<BTreeMap<(String, u16), u64>>,
    panics: AtomicU64,
    is_ready: AtomicBool,
    ingest: Arc<Ingest>,
    figures: Figures,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").field("panics", &self.panics).finish_non_exhaustive()
    }
}

impl Metrics {
    /// No requests yet; not ready.
    pub fn new(ingest: Arc<Ingest>, figures: Figures) -> Self {
        let (requests, panics) = (Mutex::default(), AtomicU64::new(0));
        Self { requests, panics, is_ready: AtomicBool::new(false), ingest, figures }
    }

    /// Counts an answer. `route` is the router's pattern, of which there are few.
    pub fn count_request(&self, route: &str, status: u16) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        *requests.entry((route.to_owned(), status)).or_default() += 1;
    }

    /// Counts a panic of a handler.
    pub fn count_panic(&self) {
        self.panics.fetch_add(1, Ordering::Relaxed);
    }

    /// Says whether requests can be served.
    pub fn set_ready(&self, is_ready: bool) {
        self.is_ready.store(is_ready, Ordering::SeqCst);
    }

    /// Whether requests can be served.
    pub fn is_ready(&self) -> bool {
        self.is_ready.load(Ordering::SeqCst)
    }

    /// Everything as text.
    pub fn render(&self) -> String {
        let mut text = String::new();
        head(&mut text, "http_requests_total", "Requests by route and status");
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for ((route, status), count) in requests {
            let route = route.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let labels = format!("route=\"{route}\",status=\"{status}\"");
            let _ = writeln!(text, "vesta_http_requests_total{{{labels}}} {count}");
        }
        head(&mut text, "handler_panics_total", "Panics caught in request handlers");
        let panics = self.panics.load(Ordering::Relaxed);
        let _ = writeln!(text, "vesta_handler_panics_total {panics}");
        for (name, value) in self.ingest.counters().read() {
            let name = format!("ingest_{name}_total");
            head(&mut text, &name, "See the counter's name");
            let _ = writeln!(text, "vesta_{name} {value}");
        }
        for figure in (self.figures)() {
            head(&mut text, figure.name, figure.help);
            let _ = writeln!(text, "vesta_{} {}", figure.name, figure.value);
        }
        text
    }
}

fn head(text: &mut String, name: &str, help: &str) {
    let kind = if name.ends_with("_total") { "counter" } else { "gauge" };
    let _ = writeln!(text, "# HELP vesta_{name} {help}\n# TYPE vesta_{name} {kind}");
}
