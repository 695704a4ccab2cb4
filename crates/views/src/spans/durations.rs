//! Percentiles of durations in bounded memory, added up in any order: counts by logarithmic steps, 64
//! for each power of two, so that a percentile is the true one within 0.8 %.

use std::collections::BTreeMap;

/// Steps of a power of two, as a power of two itself.
const STEP_BITS: u32 = 6;
const STEPS: u64 = 1 << STEP_BITS;

/// How many durations there are of each length.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Durations {
    counts: BTreeMap<u16, u64>,
}

fn step_of(nanos: i64) -> u16 {
    let value = nanos.max(0).cast_unsigned();
    let shift = (value | STEPS).ilog2() - STEP_BITS;
    // At most 57 * 64 + 127.
    (u64::from(shift) * STEPS + (value >> shift)) as u16
}

fn middle_of(step: u16) -> i64 {
    let step = u64::from(step);
    let shift = (step / STEPS).saturating_sub(1);
    let first = (step - shift * STEPS) << shift;
    (first + (1 << shift) / 2).cast_signed()
}

/// The duration as percentiles show it: the middle of its step.
pub fn rounded(nanos: i64) -> i64 {
    middle_of(step_of(nanos))
}

impl Durations {
    /// Adds one.
    pub fn add(&mut self, nanos: i64) {
        *self.counts.entry(step_of(nanos)).or_default() += 1;
    }

    /// The smallest duration that so many of a hundred do not exceed; 0 when there are none.
    pub fn percentile(&self, percent: u64) -> i64 {
        let count: u64 = self.counts.values().sum();
        let rank = (u128::from(count) * u128::from(percent)).div_ceil(100);
        let mut seen = 0_u128;
        for (step, count) in &self.counts {
            seen += u128::from(*count);
            if seen >= rank && *count > 0 {
                return middle_of(*step);
            }
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_percentile_is_the_true_one_within_a_hundredth(
            mut durations in prop::collection::vec(
                prop_oneof![0..200_i64, any::<i64>().prop_map(|it| it.max(0))], 1..200),
            percent in 1..100_u64,
        ) {
            let mut sums = Durations::default();
            for &nanos in &durations {
                sums.add(nanos);
            }
            durations.sort_unstable();
            let rank = (durations.len() as u64 * percent).div_ceil(100) as usize;
            let exact = durations[rank - 1];
            let found = sums.percentile(percent);
            prop_assert_eq!(found, rounded(exact));
            let error = (found as f64 - exact as f64).abs();
            prop_assert!(error <= exact as f64 * 0.008, "{} for {}", found, exact);
        }
    }

    #[test]
    fn short_durations_are_exact_and_none_give_zero() {
        assert!((0..128).all(|nanos| rounded(nanos) == nanos));
        assert_eq!(Durations::default().percentile(99), 0);
        assert!(rounded(i64::MAX) > i64::MAX / 100 * 99);
        assert_eq!(rounded(-5), 0);
    }
}
