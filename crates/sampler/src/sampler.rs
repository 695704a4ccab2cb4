//! The events of a whole host or of some processes, read in order of time.

use crate::affinity::on_cpu;
use crate::event::{self, Shape};
use crate::record::{Record, decode, time_offset};
use crate::ring::Ring;
use crate::{Error, clock, limits};
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;
use stdx::Rng;

/// Which processes are sampled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Every process of the host.
    Host,
    /// Those given with [`Sampler::add_process`].
    Processes {
        /// Whether their later children are sampled too.
        children: bool,
    },
}

/// How to sample.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Which processes.
    pub scope: Scope,
    /// Samples per second of CPU time.
    pub frequency_hz: u32,
    /// Bytes of stack copied with each sample.
    pub stack_bytes: u32,
    /// Seed of the jitter.
    pub seed: u64,
}

struct Cpu {
    id: i32,
    /// Owner of the ring; the sampling event itself in host mode.
    owner: OwnedFd,
    ring: Ring,
    change_at: u64,
}

/// An open set of events and their rings.
pub struct Sampler {
    options: Options,
    cpus: Vec<Cpu>,
    threads: HashMap<u32, Vec<(u32, OwnedFd)>>,
    kernel: bool,
    rng: Rng,
    index: Vec<(u64, u32, u64)>,
    scratch: Vec<u8>,
}

impl std::fmt::Debug for Sampler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sampler").field("options", &self.options).finish_non_exhaustive()
    }
}

fn paranoid() -> String {
    std::fs::read_to_string("/proc/sys/kernel/perf_event_paranoid")
        .map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
}

fn explain(source: io::Error, what: &str, needed: i32) -> Error {
    match source.raw_os_error() {
        Some(libc::EACCES | libc::EPERM) => {
            Error::Permission { what: what.to_owned(), paranoid: paranoid(), needed }
        }
        Some(libc::ENOSYS | libc::ENOENT | libc::EOPNOTSUPP) => Error::Unavailable { source },
        _ => Error::System { what: format!("open a perf event for {what}"), source },
    }
}

fn online_cpus() -> Vec<i32> {
    let text = std::fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_default();
    let mut cpus = Vec::new();
    for range in text.trim().split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        if let (Ok(first), Ok(last)) = (first.parse::<i32>(), last.parse::<i32>()) {
            cpus.extend(first..=last.min(first.saturating_add(65_535)));
        }
    }
    if cpus.is_empty() { vec![0] } else { cpus }
}

fn ring_bytes(options: &Options, privileged: bool) -> usize {
    if !privileged {
        return limits::RING_BYTES_UNPRIVILEGED;
    }
    let per_second = u64::from(options.frequency_hz) * u64::from(options.stack_bytes + 512);
    let wanted = (per_second * limits::RING_HOLDS_MS / 1000) as usize;
    wanted.next_power_of_two().clamp(limits::RING_BYTES_MIN, limits::RING_BYTES_MAX)
}

impl Sampler {
    /// Opens the rings, and in host mode the events; nothing is sampled before [`Self::start`].
    ///
    /// # Errors
    /// See [`Error`]; the message says what to do.
    pub fn open(options: Options) -> Result<Self, Error> {
        let mut sampler = Self {
            options,
            cpus: Vec::new(),
            threads: HashMap::new(),
            kernel: true,
            rng: Rng::seeded(options.seed),
            index: Vec::new(),
            scratch: Vec::new(),
        };
        let host = options.scope == Scope::Host;
        let privileged = clock::effective_uid() == 0;
        for id in online_cpus() {
            let shape = sampler.shape(!host);
            let opened = event::open(&shape, if host { -1 } else { 0 }, id);
            let (owner, kernel) = match opened {
                Ok(event) => (event, true),
                Err(error) if !host && error.kind() == io::ErrorKind::PermissionDenied => {
                    let user_only = Shape { kernel: false, ..shape };
                    let event = event::open(&user_only, 0, id)
                        .map_err(|it| explain(it, "own processes", 2))?;
                    (event, false)
                }
                // A CPU went away between the listing and now.
                Err(error) if error.raw_os_error() == Some(libc::ENODEV) => continue,
                Err(error) if host => return Err(explain(error, "all processes", -1)),
                Err(error) => return Err(explain(error, "own processes", 2)),
            };
            sampler.kernel &= kernel;
            let ring = Ring::map(&owner, ring_bytes(&options, privileged))?;
            sampler.cpus.push(Cpu { id, owner, ring, change_at: 0 });
        }
        Ok(sampler)
    }

    fn shape(&self, dummy: bool) -> Shape {
        Shape {
            period_nanos: self.period_nanos(),
            kernel: self.kernel,
            inherit: self.options.scope == (Scope::Processes { children: true }),
            dummy,
            stack_bytes: self.options.stack_bytes & !7,
        }
    }

    /// Mean nanoseconds between two samples of one CPU, as configured now.
    pub fn period_nanos(&self) -> u64 {
        1_000_000_000 / u64::from(self.options.frequency_hz.max(limits::FREQUENCY_MIN_HZ))
    }

    /// Whether kernel frames are sampled.
    pub fn sees_kernel(&self) -> bool {
        self.kernel
    }

    /// Number of CPUs sampled.
    pub fn cpu_count(&self) -> usize {
        self.cpus.len()
    }

    /// A period near the mean. In host mode, what passed of a period is lost when it changes (half
    /// a period on average), which is made up for here.
    fn jittered_period(&mut self) -> u64 {
        let mean = self.period_nanos();
        let change = limits::PERIOD_CHANGE_MS * 1_000_000;
        let lost = if self.options.scope == Scope::Host { mean * mean / 2 / change } else { 0 };
        let spread = mean * limits::PERIOD_JITTER_PER_MILLE / 1000;
        mean.saturating_sub(lost).saturating_sub(spread) + self.rng.below(2 * spread + 1)
    }

    /// Starts host mode, each CPU at its own phase.
    ///
    /// # Errors
    /// When the kernel refuses, which it did not at opening.
    pub fn start(&mut self) -> Result<(), Error> {
        if self.options.scope != Scope::Host {
            return Ok(());
        }
        for cpu in &self.cpus {
            event::enable(&cpu.owner)
                .map_err(|source| Error::System { what: "start sampling".to_owned(), source })?;
        }
        self.change_periods();
        Ok(())
    }

    /// Changes the rate from now on.
    pub fn set_frequency(&mut self, frequency_hz: u32) {
        self.options.frequency_hz =
            frequency_hz.clamp(limits::FREQUENCY_MIN_HZ, limits::FREQUENCY_MAX_HZ);
        for cpu in &mut self.cpus {
            cpu.change_at = 0;
        }
        if self.options.scope == Scope::Host {
            self.change_periods();
            return;
        }
        let periods: Vec<u64> = (0..self.threads.values().map(Vec::len).sum())
            .map(|_| self.jittered_period())
            .collect();
        for ((_, event), period) in self.threads.values().flatten().zip(periods) {
            // A thread that is gone has no period to change.
            let _ = event::set_period(event, period);
        }
    }

    /// Moves the periods of the CPUs whose turn it is, so that no CPU keeps step with another,
    /// with the timer tick or with the work.
    fn change_periods(&mut self) {
        if self.options.scope != Scope::Host {
            return;
        }
        let now = clock::monotonic_nanos();
        for at in 0..self.cpus.len() {
            if self.cpus[at].change_at > now {
                continue;
            }
            let period = self.jittered_period();
            let half_change = limits::PERIOD_CHANGE_MS * 500_000;
            let pause = half_change + self.rng.below(2 * half_change);
            let cpu = &mut self.cpus[at];
            cpu.change_at = now + pause;
            // On failure the CPU keeps its period: still sampled, at the old rate.
            let _ = on_cpu(cpu.id, || event::set_period(&cpu.owner, period));
        }
    }

    /// Adds the threads of a process to the sampled ones; returns how many. In process mode only.
    ///
    /// # Errors
    /// [`Error::NoProcess`], [`Error::Permission`] and what the system says.
    pub fn add_process(&mut self, pid: u32) -> Result<usize, Error> {
        if self.threads.contains_key(&pid) {
            return Ok(0);
        }
        let mut opened = Vec::new();
        let tasks =
            std::fs::read_dir(format!("/proc/{pid}/task")).map_err(|_| Error::NoProcess { pid })?;
        let mut count = 0;
        for task in tasks.flatten() {
            let Some(tid) = task.file_name().to_str().and_then(|name| name.parse::<u32>().ok())
            else {
                continue;
            };
            count += usize::from(self.add_thread(pid, tid, &mut opened)?);
        }
        if opened.is_empty() {
            return Err(Error::NoProcess { pid });
        }
        self.threads.insert(pid, opened);
        Ok(count)
    }

    fn add_thread(
        &mut self,
        pid: u32,
        tid: u32,
        opened: &mut Vec<(u32, OwnedFd)>,
    ) -> Result<bool, Error> {
        let in_use: usize = self.threads.values().map(Vec::len).sum();
        if in_use + opened.len() + self.cpus.len() > limits::THREAD_EVENTS_MAX {
            return Ok(false);
        }
        let what = format!("process {pid}");
        let shape = Shape { period_nanos: self.jittered_period(), ..self.shape(false) };
        for cpu in &self.cpus {
            let event = match event::open(&shape, tid.cast_signed(), cpu.id) {
                Ok(event) => event,
                Err(error) if error.raw_os_error() == Some(libc::ESRCH) => return Ok(false),
                Err(error) => return Err(explain(error, &what, 2)),
            };
            event::redirect(&event, &cpu.owner)
                .and_then(|()| event::enable(&event))
                .map_err(|source| Error::System { what: format!("sample {what}"), source })?;
            opened.push((tid, event));
        }
        Ok(true)
    }

    /// Closes the events of a process that ended.
    pub fn remove_process(&mut self, pid: u32) {
        self.threads.remove(&pid);
    }

    /// Whether no process is left to sample, in process mode.
    pub fn is_idle(&self) -> bool {
        self.options.scope != Scope::Host && self.threads.is_empty()
    }

    /// Waits until a ring is a good part full, at most `timeout`.
    pub fn wait(&self, timeout: Duration) {
        let mut polled: Vec<libc::pollfd> = self
            .cpus
            .iter()
            .map(|cpu| libc::pollfd { fd: cpu.owner.as_raw_fd(), events: libc::POLLIN, revents: 0 })
            .collect();
        let millis = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the array is valid for its length. A signal or error just ends the wait early.
        unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, millis) };
    }

    /// Hands everything the rings hold to `take`, in order of time over all CPUs.
    pub fn drain(&mut self, mut take: impl FnMut(Record<'_>)) {
        let mut index = std::mem::take(&mut self.index);
        let mut scratch = std::mem::take(&mut self.scratch);
        index.clear();
        let pending: Vec<(u64, u64)> = self.cpus.iter().map(|cpu| cpu.ring.pending()).collect();
        for (number, (cpu, (tail, head))) in self.cpus.iter().zip(&pending).enumerate() {
            let mut at = *tail;
            while at < *head {
                let (kind, _, size) = cpu.ring.header(at);
                if size < 8 {
                    break;
                }
                if let Some(offset) = time_offset(kind, size) {
                    let bytes = cpu.ring.bytes(at + offset as u64, 8, &mut scratch);
                    let time = u64::from_le_bytes(bytes.try_into().unwrap_or_default());
                    index.push((time, number as u32, at));
                }
                at += size as u64;
            }
        }
        index.sort_unstable();
        for (_, number, at) in &index {
            let ring = &self.cpus[*number as usize].ring;
            let (kind, misc, size) = ring.header(*at);
            if let Some(record) = decode(kind, misc, ring.bytes(*at, size, &mut scratch)) {
                take(record);
            }
        }
        for (cpu, (_, head)) in self.cpus.iter_mut().zip(pending) {
            cpu.ring.release(head);
        }
        self.index = index;
        self.scratch = scratch;
        self.change_periods();
    }
}
