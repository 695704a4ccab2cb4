//! What work costs: CPU seconds of this process and its most memory, from `/proc`.

use crate::Failure;
use std::path::Path;

/// CPU ticks a second in /proc (`USER_HZ`, 100 on every Linux we run on).
const TICKS_PER_SECOND: f64 = 100.0;

/// User and system time of this process so far.
pub(crate) fn cpu_seconds() -> Result<f64, Failure> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // The name in parentheses may hold anything; the numbers begin after the last of them.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: f64 = fields.skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    Ok(ticks / TICKS_PER_SECOND)
}

/// The most resident memory since the process began or [`forget_peak`], in MiB.
pub(crate) fn peak_mib() -> Result<u64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or_default();
    let kib: u64 = line.split_whitespace().nth(1).unwrap_or("0").parse()?;
    Ok(kib / 1024)
}

/// Bytes of all files below a folder.
pub(crate) fn bytes_below(dir: &Path) -> Result<u64, Failure> {
    let mut sum = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        sum += if metadata.is_dir() { bytes_below(&entry.path())? } else { metadata.len() };
    }
    Ok(sum)
}

/// Begins to watch the most memory anew.
pub(crate) fn forget_peak() {
    // Refused in some containers: then the peak is that of the whole run, which is no less.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// CPU seconds since a moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage(f64);

impl Usage {
    pub(crate) fn begin() -> Result<Self, Failure> {
        cpu_seconds().map(Self)
    }

    pub(crate) fn cpu(self) -> Result<f64, Failure> {
        Ok(cpu_seconds()? - self.0)
    }
}
