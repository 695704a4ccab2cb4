//! The sampling loop: drains the rings, cuts batches, keeps the budget.

use crate::batch::Batch;
use crate::budget::Governor;
use crate::config::{Config, Target};
use crate::encode::Encoder;
use crate::process::{Host, Tracker};
use crate::{export, limits, output};
use anyhow::Context as _;
use sampler::{Options, Sampler, Scope, clock, heap};
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// The sampler of the configuration: the whole host, given processes, or one's own.
fn open(config: &Config) -> anyhow::Result<(Sampler, bool)> {
    let options = |scope| Options {
        scope,
        frequency_hz: config.frequency_hz,
        stack_bytes: config.stack_bytes,
        seed: clock::monotonic_nanos() ^ u64::from(std::process::id()),
    };
    if !config.pids.is_empty() {
        let mut sampler = Sampler::open(options(Scope::Processes { children: config.children }))?;
        for pid in &config.pids {
            let threads = sampler.add_process(*pid)?;
            tracing::info!(pid, threads, children = config.children, "profiling a process");
        }
        return Ok((sampler, false));
    }
    match Sampler::open(options(Scope::Host)) {
        Ok(sampler) => {
            tracing::info!(
                cpus = sampler.cpu_count(),
                hz = config.frequency_hz,
                "profiling this host"
            );
            Ok((sampler, false))
        }
        Err(error @ sampler::Error::Permission { .. }) if clock::effective_uid() != 0 => {
            tracing::warn!("profiling only the processes of this user, because {error}");
            let mut sampler = Sampler::open(options(Scope::Processes { children: true }))?;
            add_own(&mut sampler);
            Ok((sampler, true))
        }
        Err(error) => Err(error.into()),
    }
}

/// Adds the processes of this user that are not sampled yet.
fn add_own(sampler: &mut Sampler) {
    let uid = clock::effective_uid();
    let Ok(entries) = std::fs::read_dir("/proc") else { return };
    for entry in entries.flatten() {
        let pid = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
        let (Some(pid), Ok(meta)) = (pid, entry.metadata()) else { continue };
        if meta.uid() == uid
            && let Err(error) = sampler.add_process(pid)
        {
            tracing::debug!(pid, %error, "not profiled");
        }
    }
}

struct Loop<'a> {
    config: &'a Config,
    sampler: Sampler,
    tracker: Tracker,
    governor: Governor,
    rescans: bool,
    batch_start: u64,
    cpu_at_start: Duration,
    frequency_hz: u32,
    undelivered: u64,
    /// Windows that still hold the cost of the start: symbols that later ones find in memory.
    starting: u32,
}

impl Loop<'_> {
    fn drain(&mut self) {
        let tracker = &mut self.tracker;
        let mut records = 0_usize;
        self.sampler.drain(|record| {
            tracker.take(record);
            // After a while without a CPU there are many, of programs not seen before.
            records += 1;
            if records.is_multiple_of(limits::RELEASE_EVERY_RECORDS) {
                tracker.release_pages();
            }
        });
        for pid in self.tracker.take_ended() {
            self.sampler.remove_process(pid);
        }
    }

    /// Closes the window and begins the next, at a new rate if the budget asks for one.
    fn cut(&mut self) -> Batch {
        let now = clock::monotonic_nanos();
        let mut batch = self.tracker.cut();
        batch.start = self.batch_start;
        batch.end = now;
        batch.unix_offset = clock::unix_offset_nanos();
        batch.period_nanos = self.sampler.period_nanos();
        batch.lost += std::mem::take(&mut self.undelivered);
        let used = clock::own_cpu_time();
        let window = Duration::from_nanos(now - self.batch_start);
        if self.starting == 0
            && let Some(hz) = self.governor.observe(used.saturating_sub(self.cpu_at_start), window)
        {
            tracing::warn!(
                from_hz = self.frequency_hz,
                to_hz = hz,
                budget_cpus = self.governor.budget_cpus(),
                used_cpus =
                    (used.saturating_sub(self.cpu_at_start)).as_secs_f64() / window.as_secs_f64(),
                "changing the sampling rate to keep the CPU budget"
            );
            self.sampler.set_frequency(hz);
            self.frequency_hz = hz;
        }
        self.starting = self.starting.saturating_sub(1);
        self.cpu_at_start = used;
        self.batch_start = now;
        batch
    }

    /// Runs until told to stop; hands batches to `give`, which says whether it took them.
    fn run(&mut self, stop: &AtomicBool, mut give: impl FnMut(Batch) -> Result<(), Batch>) {
        let start = clock::monotonic_nanos();
        let end = self.config.duration.map(|it| start + it.as_nanos() as u64);
        let is_file = matches!(self.config.target, Target::File(_));
        let interval = self.config.interval.as_nanos() as u64;
        let mut next_cut = start + limits::FIRST_BATCH_AFTER.as_nanos() as u64;
        let mut next_scan = start;
        let mut next_release = start;
        loop {
            self.sampler.wait(limits::DRAIN_EVERY);
            let now = clock::monotonic_nanos();
            self.drain();
            let is_over = stop.load(Ordering::Relaxed)
                || end.is_some_and(|end| now >= end)
                || (!self.config.pids.is_empty() && self.sampler.is_idle());
            if is_over {
                break;
            }
            if !is_file && now >= next_cut {
                let batch = self.cut();
                if let Err(batch) = give(batch) {
                    self.undelivered += batch.lost + batch.sample_count as u64;
                    tracing::warn!("the exporter is behind; a batch is dropped");
                }
                next_cut = now + interval;
            }
            if now >= next_release {
                self.tracker.release_pages();
                next_release = now + limits::RELEASE_EVERY.as_nanos() as u64;
            }
            if self.rescans && now >= next_scan {
                add_own(&mut self.sampler);
                next_scan = now + limits::RESCAN_EVERY.as_nanos() as u64;
            }
        }
        let batch = self.cut();
        // Nothing comes after the last batch, so this one may wait for room.
        let mut rest = Some(batch);
        for _ in 0..50 {
            match rest.take().map(&mut give) {
                Some(Err(batch)) => rest = Some(batch),
                _ => return,
            }
            self.sampler.wait(limits::DRAIN_EVERY);
        }
    }
}

/// Samples and exports until told to stop.
pub(crate) fn run(config: &Config) -> anyhow::Result<()> {
    heap::keep_small();
    clock::raise_open_files_limit();
    let (mut sampler, rescans) = open(config)?;
    if !sampler.sees_kernel() {
        tracing::warn!("kernel frames are not sampled: perf_event_paranoid is above 1");
    }
    let cpu_count = sampler.cpu_count() as u32;
    let stop = Arc::new(AtomicBool::new(false));
    let (sender, receiver) = mpsc::channel(limits::BATCHES_WAITING_MAX);
    let host = Host::read(cpu_count);
    let exporter = exporter(config.clone(), host, receiver, stop.clone())?;
    sampler.start()?;
    let mut sampling = Loop {
        config,
        sampler,
        tracker: Tracker::new(),
        governor: Governor::new(config.cpu_budget, cpu_count, config.frequency_hz),
        rescans,
        batch_start: clock::monotonic_nanos(),
        cpu_at_start: clock::own_cpu_time(),
        frequency_hz: config.frequency_hz,
        undelivered: 0,
        starting: limits::STARTING_WINDOWS,
    };
    sampling.run(&stop, |batch| {
        sender.try_send(batch).map_err(|error| match error {
            mpsc::error::TrySendError::Full(batch) | mpsc::error::TrySendError::Closed(batch) => {
                batch
            }
        })
    });
    drop(sampling);
    drop(sender);
    exporter.join().unwrap_or_else(|_| anyhow::bail!("the exporter panicked"))
}

type Exporter = std::thread::JoinHandle<anyhow::Result<()>>;

fn exporter(
    config: Config,
    host: Host,
    batches: mpsc::Receiver<Batch>,
    stop: Arc<AtomicBool>,
) -> anyhow::Result<Exporter> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let signals = {
        let _guard = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    let body = move || {
        runtime.block_on(async move {
            let (mut interrupt, mut terminate) = signals;
            let on_signal = stop.clone();
            tokio::spawn(async move {
                tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
                on_signal.store(true, Ordering::Relaxed);
            });
            let encoder = Encoder::new(host, config.frequency_hz);
            let result = match &config.target {
                Target::File(path) => output::run(path, encoder, batches).await,
                _ => export::run(&config, encoder, batches).await,
            };
            stop.store(true, Ordering::Relaxed);
            result
        })
    };
    std::thread::Builder::new()
        .name("export".to_owned())
        .spawn(body)
        .context("cannot start a thread")
}
