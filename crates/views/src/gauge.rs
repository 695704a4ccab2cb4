//! The arithmetic of gauges: over a range, the mean over each series' profiles, then the sum over
//! series. Fixed point, so that every engine gets the same answer whatever the order.

/// Fractional bits of a mean.
const SHIFT: u32 = 20;

/// The mean of `sum` over `profiles` profiles, in fixed point. No profiles give 0.
pub fn mean(sum: i64, profiles: u64) -> i128 {
    if profiles == 0 { 0 } else { (i128::from(sum) << SHIFT) / i128::from(profiles) }
}

/// A sum of means as a whole number, rounded to nearest, saturating.
pub fn round(fixed: i128) -> i64 {
    let rounded = (fixed + (1 << (SHIFT - 1))) >> SHIFT;
    i64::try_from(rounded).unwrap_or(if rounded < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_profile_reads_exactly_and_thirds_add_up() {
        for value in [0, 1, -7, 123_456_789_012_345, i64::MAX, i64::MIN] {
            assert_eq!(round(mean(value, 1)), value);
        }
        assert_eq!(round(mean(1, 3) + mean(1, 3) + mean(1, 3)), 1);
        assert_eq!(mean(5, 0), 0);
    }
}
