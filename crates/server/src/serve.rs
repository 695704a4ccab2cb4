//! `vesta serve`: opens the store, wires ingest, engine, API and page together, and listens.

pub(crate) mod data_dir;
pub(crate) mod debuginfod;
mod listen;
mod names;
mod rest;
mod sink;
mod socket;

use crate::config::{Config, Flags};
use crate::limits::{HEAD_TIMEOUT, SHUTDOWN_GRACE};
use crate::outward::Trust;
use crate::page;
use crate::tee::{self, Tees};
use anyhow::{Context, Result};
use api::layers::Around;
use api::{
    AdminState, ApiState, Figure, Metrics, PayloadsState, Queries, ServerInfo, SymbolsState,
};
use axum::Router;
use axum::middleware::from_fn_with_state;
use http::Uri;
use ingest::receivers::otlp::Export;
use ingest::receivers::otlp_grpc::OtlpGrpc;
use ingest::{Auth, Ingest, Sink};
use names::StoreNames;
use query::{Engine, Settings};
use sink::StoreSink;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use stdx::{Clock, Rng, SystemClock};
use store::{Options, Store};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use views::Views;

/// Exit code of a stop that did not wait: that of a process ended by Ctrl-C.
const EXIT_AT_ONCE: i32 = 130;

/// Runs until a signal.
pub(crate) async fn run(flags: &Flags) -> Result<()> {
    let config = Config::load(flags)?;
    let trust = Trust::towards(others(&config))?;
    // The port first: a second server must not even touch the data of the first.
    let main = bind_main(config.listen).await?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let _held = data_dir::hold(&config.data_dir)?;
    let store = open(&config, Arc::clone(&clock)).await?;
    // Before anybody learns that this server runs, and after what may take long.
    let mut signals = Signals::new()?;
    let wired = wire(&config, &store, &trust, clock);
    let (stop, stopped) = watch::channel(false);
    let mut servers = JoinSet::new();
    let stopping = || {
        let mut stopped = stopped.clone();
        async move {
            // An error means that the sender is gone: stop as well.
            let _ = stopped.wait_for(|stop| *stop).await;
        }
    };
    let url = format!("http://{}", main.local_addr()?);
    servers.spawn(listen::serve(main, wired.main, stopped.clone(), HEAD_TIMEOUT));
    let others = [
        (config.otlp_grpc_listen, "OTLP over gRPC", wired.grpc),
        (config.otlp_http_listen, "OTLP over HTTP", wired.otlp),
        (config.datadog_listen, "Datadog's protocol", wired.datadog.clone()),
    ];
    for (address, what, router) in others {
        let Some(listener) = bind_other(address, what).await else { continue };
        servers.spawn(listen::serve(listener, router, stopped.clone(), HEAD_TIMEOUT));
    }
    if let Some(socket) = config.datadog_socket.as_deref().and_then(socket::bind) {
        let router = socket::local(wired.datadog);
        servers.spawn(listen::serve(socket, router, stopped.clone(), HEAD_TIMEOUT));
    }
    let maintenance = tokio::spawn(Arc::clone(&store).run_maintenance(stopping()));
    wired.metrics.set_ready(true);
    tracing::info!(data = %config.data_dir.display(), "vesta is ready at {url}");
    signals.next().await;
    tracing::info!("stopping: no new requests; the last ones are finished, then all is flushed");
    tokio::spawn(async move {
        signals.next().await;
        // What was acknowledged is in the log on disk; the next start reads it.
        tracing::warn!("stopped at once by a second signal");
        end_at_once();
    });
    wired.metrics.set_ready(false);
    stop.send_replace(true);
    let finish = async { while servers.join_next().await.is_some() {} };
    if tokio::time::timeout(SHUTDOWN_GRACE, finish).await.is_err() {
        tracing::warn!("some requests did not finish within {} s", SHUTDOWN_GRACE.as_secs());
    }
    maintenance.await.context("the store's maintenance failed")?;
    tracing::info!("stopped");
    Ok(())
}

async fn open(config: &Config, clock: Arc<dyn Clock>) -> Result<Arc<Store>> {
    let path = &config.data_dir;
    let default = Options::default();
    let options = Options {
        flush_interval: config.flush_interval.unwrap_or(default.flush_interval),
        compact_interval: config.maintenance_interval.unwrap_or(default.compact_interval),
        retention: Duration::from_secs_f64(config.retention_days * 86_400.0),
        retention_rules: config.retention_rules.clone(),
        resolution: config.resolution,
        resolution_rules: config.resolution_rules.clone(),
        rollup_retention: Duration::from_secs_f64(config.rollup_days * 86_400.0),
        payload_rules: config.payload_rules.clone(),
        payload_bytes_max: config.payload_bytes_max,
        disk_budget_bytes: config.disk_budget_bytes,
        cache_bytes_max: usize::try_from(config.cache_bytes_max).unwrap_or(usize::MAX),
        memtable_bytes_max: usize::try_from(config.memtable_bytes_max).unwrap_or(usize::MAX),
        ..default
    };

    Store::open(path, options, clock, Rng::from_entropy())
        .await
        .with_context(|| data_dir::hint(path))
}

/// Addresses that requests are sent to.
fn others(config: &Config) -> impl Iterator<Item = &Uri> {
    let debuginfod = config.debuginfod.iter().flat_map(|servers| &servers.urls);
    config.tees.iter().map(|tee| &tee.to).chain(debuginfod)
}

struct Wired {
    main: Router,
    grpc: Router,
    otlp: Router,
    datadog: Router,
    metrics: Arc<Metrics>,
}

fn wire(config: &Config, store: &Arc<Store>, trust: &Trust, clock: Arc<dyn Clock>) -> Wired {
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    let sink: Arc<dyn Sink> = Arc::new(StoreSink(Arc::clone(store)));
    let limits = ingest::limits::Limits {
        decoders_max: cores,
        age_kept_nanos_max: Some((config.retention_days * 86_400e9) as i64),
        ..Default::default()
    };
    let ingest = Arc::new(Ingest::new(sink, Arc::clone(&clock), limits));
    let engine =
        Engine::new(Arc::clone(store), Settings { scans_max: cores, ..Settings::default() });
    let engine = engine.with_naming(Arc::new(StoreNames::new(Arc::clone(store))));
    let views: Arc<dyn Views> = Arc::new(engine);
    let tees = Arc::new(Tees::start(config.tees.clone(), trust, &clock));
    let (of_store, of_tees) = (Arc::clone(store), Arc::clone(&tees));
    let all = move || [figures(&of_store), record_figures(&of_store), of_tees.figures()].concat();
    let metrics = Arc::new(Metrics::new(Arc::clone(&ingest), Box::new(all)));
    let auth = Arc::new(Auth::new(config.tokens.clone(), api::rules()));
    let admin = AdminState { store: Arc::clone(store), clock: Arc::clone(&clock) };
    let symbols = SymbolsState::new(admin.clone(), Arc::clone(&views), config.data_dir.clone());
    let payloads = PayloadsState::new(admin.clone(), Arc::clone(&views), Arc::clone(&ingest));
    if let Some(settings) = config.debuginfod.clone() {
        // Ends with the process: what it keeps is whole or not there.
        tokio::spawn(debuginfod::run(settings, trust.clone(), symbols.clone()));
    }
    let state = ApiState {
        classes: Arc::new(config.classify.clone()),
        views: Arc::clone(&views),
        clock: Arc::clone(&clock),
        info: Arc::new(server_info(config, &auth)),
        queries: Arc::new(Queries::new(Arc::clone(&clock))),
        payloads: Arc::clone(store) as _,
        metrics: Arc::clone(&metrics),
    };
    let around = Arc::new(Around::new(Arc::clone(&metrics), clock));
    let protect = |routes: Router| api::protect(routes, Arc::clone(&auth), Arc::clone(&around));
    let routes = api::router(state).merge(api::routes::admin::router(admin));
    let routes = routes.merge(api::routes::symbols::router(symbols));
    let routes = routes.merge(api::routes::payloads::router(payloads));
    let teed = |routes: Router| routes.layer(from_fn_with_state(Arc::clone(&tees), tee::copy));
    let routes = routes.merge(teed(ingest::receivers::routes(Arc::clone(&ingest))));
    let main = protect(routes.fallback(page::serve));
    let otlp = ingest::receivers::otlp_routes(Arc::clone(&ingest));
    let otlp = protect(otlp.fallback(page::not_here));
    let datadog = teed(ingest::receivers::datadog_routes(Arc::clone(&ingest)));
    let datadog = protect(datadog.fallback(page::not_here));
    let exports = |holds| OtlpGrpc::new(holds, Arc::clone(&ingest), Arc::clone(&auth));
    let (profiles, traces) = (exports(Export::Profiles), exports(Export::Traces));
    let logs = exports(Export::Logs);
    let grpc = rpc::otlp::services(Arc::new(profiles), Arc::new(traces), Arc::new(logs))
        .layer(from_fn_with_state(auth, ingest::auth::own_pages_only))
        .layer(from_fn_with_state(around, api::layers::around));
    Wired { main, grpc, otlp, datadog, metrics }
}

fn server_info(config: &Config, auth: &Auth) -> ServerInfo {
    let note = "no tokens are configured: whoever is on this machine may see and change everything";
    ServerInfo {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        build: if cfg!(debug_assertions) { "debug" } else { "release" }.to_owned(),
        retention_days: Some(config.retention_days),
        is_local: auth.is_local(),
        note: auth.is_local().then(|| note.to_owned()),
    }
}

fn figures(store: &Store) -> Vec<Figure> {
    let stats = store.stats();
    let figure = |name, help, value: u64| Figure { name, help, value: value as f64 };
    vec![
        figure("store_profiles_total", "Profiles appended", stats.profiles),
        figure("store_samples_total", "Samples appended", stats.samples),
        figure("store_wal_commits_total", "Group commits", stats.wal_commits),
        figure("store_wal_written_bytes_total", "Bytes written to logs", stats.wal_bytes_written),
        figure("store_wal_bytes", "Bytes in logs", stats.wal_bytes),
        figure("store_memtable_bytes", "Bytes of the memtable", stats.memtable_bytes),
        figure("store_cache_bytes", "Bytes kept for later queries", stats.cache_bytes),
        figure("store_segments", "Live segments", stats.segments),
        figure("store_segment_rows", "Rows of live segments", stats.segment_rows),
        figure("store_segment_profiles", "Profiles of live segments", stats.segment_profiles),
        figure("store_segment_bytes", "Bytes of live segments", stats.segment_bytes),
        figure("store_retired_segments", "Segments to be deleted", stats.retired_segments),
        figure("store_flushes_total", "Flushes", stats.flushes),
        figure("store_flush_failures_total", "Flushes that failed", stats.flush_failures),
        figure("store_compactions_total", "Compactions", stats.compactions),
        figure("store_dropped_by_retention_total", "Segments too old", stats.dropped_by_retention),
        figure("store_dropped_by_budget_total", "Segments over budget", stats.dropped_by_budget),
        figure("store_corrupt_records_total", "Damaged log records", stats.corrupt_records),
        figure("store_torn_logs_total", "Logs that ended early", stats.torn_logs),
        figure("store_rejected_full_total", "Appends refused", stats.rejected_full),
        figure(
            "store_rejected_disk_full_total",
            "Appends refused because the disk is full",
            stats.rejected_disk_full,
        ),
        figure("store_rollups", "Live hourly rollups", stats.rollups),
        figure("store_rollup_bytes", "Bytes of hourly rollups", stats.rollup_bytes),
        figure("store_rollups_made_total", "Hours rolled up", stats.rollups_made),
        figure("store_open_hours", "Hours to be rolled up", stats.open_hours),
        figure("store_payloads", "Uploads kept as they came", stats.payloads),
        figure("store_payload_bytes", "Bytes of those", stats.payload_bytes),
        figure("store_payloads_kept_total", "Uploads that were kept", stats.payloads_kept),
        figure(
            "store_payloads_too_large_total",
            "Uploads to be kept that were too large",
            stats.payloads_too_large,
        ),
        figure("store_payloads_dropped_total", "Kept uploads that went", stats.payloads_dropped),
        figure("store_rewrites_total", "Segments written anew", stats.rewrites),
        figure("store_dropped_bytes_total", "Bytes freed", stats.dropped_bytes),
        figure("store_deletions_total", "Deletions asked for", stats.deletions),
        figure("store_open_deletions", "Deletions whose files remain", stats.open_deletions),
        figure("store_overdue_deletions", "Those after ten minutes", stats.overdue_deletions),
        figure("store_orphans_removed_total", "Unknown folders moved aside", stats.orphans_removed),
        figure("store_orphans_left", "Unknown folders left", stats.orphans_left),
        figure("store_repeats_total", "Profiles sent twice and counted once", stats.repeats),
        figure("store_remembered_profiles", "Remembered to recognise repeats", stats.remembered),
        figure(
            "store_forgotten_early_total",
            "Forgotten within the hour for lack of memory",
            stats.forgotten_early,
        ),
    ]
}

fn record_figures(store: &Store) -> Vec<Figure> {
    let stats = store.stats();
    let figure = |name, help, value: u64| Figure { name, help, value: value as f64 };
    vec![
        figure("store_spans_total", "Spans appended", stats.spans),
        figure("store_span_segments", "Live segments of spans", stats.span_segments),
        figure("store_span_rows", "Spans of live segments", stats.span_rows),
        figure("store_span_bytes", "Bytes of live segments of spans", stats.span_bytes),
        figure("store_events_total", "Events and readings of runtimes appended", stats.events),
        figure("store_event_segments", "Live segments of events", stats.event_segments),
        figure("store_event_rows", "Events and readings of live segments", stats.event_rows),
        figure("store_event_bytes", "Bytes of live segments of events", stats.event_bytes),
    ]
}

async fn bind_main(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!(
            "listen on {address}: is another vesta (or Pyroscope, which uses 4040 too) running? \
             stop it, or choose another port with --listen 127.0.0.1:PORT"
        )
    })
}

/// A port that another collector holds is no reason not to start.
async fn bind_other(address: Option<SocketAddr>, what: &str) -> Option<TcpListener> {
    let address = address?;
    match TcpListener::bind(address).await {
        Ok(listener) => {
            tracing::info!("{what} at {}", listener.local_addr().unwrap_or(address));
            Some(listener)
        }
        Err(error) => {
            tracing::warn!(
                "{what} is not served: {address} cannot be listened on ({error}). Another collector \
                 may hold it; choose another port or turn it off, what is spoken over HTTP is also \
                 served on the main port"
            );
            None
        }
    }
}

#[expect(clippy::exit, reason = "whoever asks twice does not want to wait for what is running")]
fn end_at_once() {
    std::process::exit(EXIT_AT_ONCE);
}

/// Ctrl-C and SIGTERM.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> Result<Self> {
        let interrupt = signal(SignalKind::interrupt()).context("listen for Ctrl-C")?;
        let terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
        Ok(Self { interrupt, terminate })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
