//! Keeps the agent's own CPU time within its budget by changing the sampling rate.

use crate::limits;
use std::time::Duration;

/// Weight of the newest window in the running mean.
const NEWEST: f64 = 0.3;
/// Below this part of the budget the rate may rise again.
const COMFORT: f64 = 0.6;

/// Decides on the rate after each window.
#[derive(Debug)]
pub(crate) struct Governor {
    budget_cpus: f64,
    wanted_hz: u32,
    current_hz: u32,
    mean_cpus: Option<f64>,
}

impl Governor {
    /// `budget` is a share of a machine with `cpu_count` CPUs.
    pub(crate) fn new(budget: f64, cpu_count: u32, wanted_hz: u32) -> Self {
        Self {
            budget_cpus: budget * f64::from(cpu_count.max(1)),
            wanted_hz,
            current_hz: wanted_hz,
            mean_cpus: None,
        }
    }

    /// CPUs that the agent may use.
    pub(crate) fn budget_cpus(&self) -> f64 {
        self.budget_cpus
    }

    /// Takes the CPU time used in a window; returns a new rate if it is to change.
    pub(crate) fn observe(&mut self, used: Duration, window: Duration) -> Option<u32> {
        if window.is_zero() {
            return None;
        }
        let cpus = used.as_secs_f64() / window.as_secs_f64();
        let mean = self.mean_cpus.map_or(cpus, |mean| mean + NEWEST * (cpus - mean));
        self.mean_cpus = Some(mean);
        let fitting = f64::from(self.current_hz) * self.budget_cpus * 0.8 / mean.max(1e-9);
        let next = if mean > self.budget_cpus {
            (fitting as u32).max(limits::FREQUENCY_FLOOR_HZ).min(self.current_hz)
        } else if mean < COMFORT * self.budget_cpus {
            (fitting as u32).min(self.current_hz * 2).clamp(self.current_hz, self.wanted_hz)
        } else {
            self.current_hz
        };
        if next == self.current_hz || self.wanted_hz < limits::FREQUENCY_FLOOR_HZ {
            return None;
        }
        // The mean belongs to the old rate.
        self.mean_cpus = Some(mean * f64::from(next) / f64::from(self.current_hz));
        self.current_hz = next;
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(10);

    #[test]
    fn the_rate_falls_when_over_budget_and_comes_back() {
        let mut governor = Governor::new(0.01, 2, 99);
        assert_eq!(governor.observe(Duration::from_millis(150), WINDOW), None);
        let mut hz = 99;
        for _ in 0..10 {
            // Each sample costs 1 ms.
            let used = Duration::from_millis(u64::from(hz) * 10);
            hz = governor.observe(used, WINDOW).unwrap_or(hz);
        }
        assert!((10..=20).contains(&hz), "{hz} Hz cost {hz} ms/s of 20 allowed");
        for _ in 0..20 {
            hz = governor.observe(Duration::from_millis(10), WINDOW).unwrap_or(hz);
        }
        assert_eq!(hz, 99);
    }

    #[test]
    fn a_floor_is_kept() {
        let mut governor = Governor::new(0.0001, 1, 99);
        let mut hz = 99;
        for _ in 0..10 {
            hz = governor.observe(Duration::from_secs(9), WINDOW).unwrap_or(hz);
        }
        assert_eq!(hz, limits::FREQUENCY_FLOOR_HZ);
    }
}
