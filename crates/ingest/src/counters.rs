//! What came in and what went wrong, for `/metrics`.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        /// Counters since the start of the process.
        #[derive(Debug, Default)]
        pub struct Counters {$(
            $(#[$doc])*
            pub $name: AtomicU64,
        )+}

        impl Counters {
            /// Names and values, in a fixed order.
            pub fn read(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name.load(Ordering::Relaxed))),+]
            }
        }
    };
}

counters! {
    /// Uploads that were acknowledged.
    uploads_accepted,
    /// Uploads that were refused for what they are.
    uploads_refused,
    /// Uploads that were answered with 429.
    uploads_busy,
    /// Bytes of bodies read.
    body_bytes,
    /// Profiles acknowledged.
    profiles_accepted,
    /// Profiles acknowledged that were there already, because they were sent twice.
    profiles_repeated,
    /// Samples acknowledged.
    samples_accepted,
    /// Spans acknowledged.
    spans_accepted,
    /// Spans that were left out of uploads that were acknowledged.
    spans_rejected,
    /// Spans acknowledged that were there already, because they were sent twice.
    spans_repeated,
    /// Log records that hold no profile and were not kept.
    records_ignored,
    /// Issues found while decoding and normalising.
    decode_issues,
    /// Panics caught while decoding.
    decode_panics,
    /// Limits hit (see `limits`).
    limits_hit,
    /// Appends that the store failed.
    store_failures,
}

/// Adds to a counter.
pub(crate) fn add(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}
