//! What std should have for a profiler: injected clocks and randomness, time ranges, back-off and
//! human units. Nothing here knows about profiles.

pub mod backoff;
pub mod clock;
pub mod rng;
pub mod time;
pub mod units;

pub use clock::{Clock, ManualClock, SystemClock};
pub use rng::Rng;
pub use time::{TimeRange, Timestamp};
pub use ulid::Ulid;

/// Makes a new sortable id from the clock's time and the generator's randomness.
pub fn new_ulid(now: Timestamp, rng: &mut Rng) -> Ulid {
    let random = (u128::from(rng.next_u64()) << 64) | u128::from(rng.next_u64());
    Ulid::from_parts((now.nanos().max(0) / 1_000_000).cast_unsigned(), random)
}

/// The nearest 64-bit number. Sums are taken in 128 bits and shown through this, so that their
/// order never matters.
pub fn saturate(exact: i128) -> i64 {
    i64::try_from(exact).unwrap_or(if exact < 0 { i64::MIN } else { i64::MAX })
}
