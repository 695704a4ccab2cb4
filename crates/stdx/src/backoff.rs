//! Exponential back-off with jitter, bounded in delay.

use crate::Rng;
use std::time::Duration;

/// Delays that double from `first` to `max`, each shortened by up to a half at random.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    max: Duration,
    attempt: u32,
}

impl Backoff {
    /// Starts over at `first`.
    pub const fn new(first: Duration, max: Duration) -> Self {
        Self { first, max, attempt: 0 }
    }

    /// The delay before the next attempt.
    pub fn next_delay(&mut self, rng: &mut Rng) -> Duration {
        let full = self.first.saturating_mul(1 << self.attempt.min(20)).min(self.max);
        self.attempt = self.attempt.saturating_add(1);
        let half = full / 2;
        let half_nanos = u64::try_from(half.as_nanos()).unwrap_or(u64::MAX);
        half + Duration::from_nanos(rng.below(half_nanos.saturating_add(1)))
    }

    /// Forgets earlier failures.
    pub fn reset(&mut self) {
        self.attempt = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_and_stay_bounded() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        let mut rng = Rng::seeded(3);
        let first = backoff.next_delay(&mut rng);
        assert!(first >= Duration::from_millis(50) && first <= Duration::from_millis(100));
        for _ in 0..50 {
            assert!(backoff.next_delay(&mut rng) <= Duration::from_secs(1));
        }
        backoff.reset();
        assert!(backoff.next_delay(&mut rng) <= Duration::from_millis(100));
    }
}
