//! What a process of ours costs, from `/proc`, and when it has come to rest.

use crate::children::Children;
use crate::command::now;
use crate::http::Client;
use anyhow::{Context, bail};
use std::path::Path;
use std::time::Duration;

/// CPU ticks a second in /proc (`USER_HZ`, 100 on every Linux we run on).
const TICKS_PER_SECOND: f64 = 100.0;
/// How often the server is looked at until it rests, and the CPU it may use meanwhile.
const REST_TICK: Duration = Duration::from_secs(5);
const REST_CPU: f64 = 0.05;
/// Looks in a row that find it at rest: together longer than the pause between two compactions.
const RESTS: u32 = 7;
/// Looks until we stop waiting.
const LOOKS_MAX: u32 = 72;

/// CPU and most memory of a process over some time.
pub(crate) fn watch(
    children: &mut Children,
    seconds: u64,
    id: u32,
    what: &str,
) -> anyhow::Result<()> {
    let (before, started) = (cpu_seconds(id)?, now());
    let mut rss_max = 0;
    while started.elapsed() < Duration::from_secs(seconds) && !children.stop_asked() {
        children.check()?;
        rss_max = rss_max.max(memory_kib(id, "VmRSS")?);
        std::thread::sleep(Duration::from_millis(500));
    }
    let used = cpu_seconds(id)? - before;
    let wall = started.elapsed().as_secs_f64();
    println!(
        "{what}: {:.4} CPU-s per second over {wall:.0} s, {} MiB RSS",
        used / wall,
        rss_max / 1024
    );
    Ok(())
}

/// Waits until everything is in segments, compacted, and the server has used next to nothing for
/// longer than compaction pauses.
pub(crate) fn settle(client: &Client, url: &str, server: u32) -> anyhow::Result<()> {
    let mut rests = 0;
    for _ in 0..LOOKS_MAX {
        let before = cpu_seconds(server)?;
        std::thread::sleep(REST_TICK);
        let (_, metrics) = client.get(&format!("{url}/metrics"))?;
        let is_flushed = metrics.lines().any(|line| line == "vesta_store_memtable_bytes 0");
        let is_resting = is_flushed && cpu_seconds(server)? - before < REST_CPU;
        rests = if is_resting { rests + 1 } else { 0 };
        if rests == RESTS {
            return Ok(());
        }
    }
    println!("note: the server has not come to rest within six minutes");
    Ok(())
}

/// User and system time of a process so far.
pub(crate) fn cpu_seconds(id: u32) -> anyhow::Result<f64> {
    let stat =
        std::fs::read_to_string(format!("/proc/{id}/stat")).context("the process is gone")?;
    // The name in parentheses may hold anything; the numbers begin after the last of them.
    let fields: Vec<&str> =
        stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok());
    let (Some(user), Some(system)) = (ticks(11), ticks(12)) else { bail!("odd /proc/{id}/stat") };
    Ok((user + system) / TICKS_PER_SECOND)
}

/// A line of /proc/PID/status in KiB: `VmRSS` is now, `VmHWM` the most since [`forget_peak`].
pub(crate) fn memory_kib(id: u32, name: &str) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find(|line| line.split(':').next() == Some(name)).unwrap_or_default();
    Ok(line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).unwrap_or(0))
}

/// Begins to watch the most memory of a process anew.
pub(crate) fn forget_peak(id: u32) {
    // Refused in some containers: then the peak is since its start, which is no less.
    let _ = std::fs::write(format!("/proc/{id}/clear_refs"), "5");
}

/// Bytes of all files below a folder.
pub(crate) fn bytes_below(dir: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(dir) else { return 0 };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => bytes_below(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    });
    sizes.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_process_can_be_read() {
        let id = std::process::id();
        assert!(cpu_seconds(id).unwrap() >= 0.0);
        let (now, peak) = (memory_kib(id, "VmRSS").unwrap(), memory_kib(id, "VmHWM").unwrap());
        assert!(now > 100 && peak >= now, "{now} KiB now, {peak} KiB at most");
    }
}
