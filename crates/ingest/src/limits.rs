//! Every limit of the way in, its unit in its name. Hitting one is answered, counted and visible.

use std::time::Duration;

/// Limits of one server; the defaults fit a small host.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Largest request body as it arrives.
    pub body_bytes_max: usize,
    /// Largest body after decompression.
    pub decompressed_bytes_max: usize,
    /// Bytes of the bodies held in memory at the same time, all together.
    pub bodies_in_flight_bytes_max: usize,
    /// Estimated bytes of decoded profiles that wait to be stored, all together. One that does not
    /// fit in time is answered with 429. Beside these, each decoder holds one.
    pub decoded_in_flight_bytes_max: usize,
    /// Uploads being decoded and stored or waiting for it; more are answered with 429.
    pub uploads_in_flight_max: usize,
    /// Uploads decoded at the same time.
    pub decoders_max: usize,
    /// How long an arriving body waits until others have left memory.
    pub room_wait: Duration,
    /// Longest time for a body to arrive.
    pub body_read_timeout: Duration,
    /// Profiles of one upload.
    pub profiles_max: usize,
    /// Samples of one upload.
    pub samples_max: usize,
    /// Bytes of all strings of one profile.
    pub string_bytes_max: usize,
    /// Bytes of the labels of all profiles of one upload.
    pub label_bytes_max: usize,
    /// Older profiles are stored, but the retention drops them soon: the receipt says so.
    pub age_kept_nanos_max: Option<i64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes_max: 32 << 20,
            decompressed_bytes_max: 128 << 20,
            bodies_in_flight_bytes_max: 128 << 20,
            decoded_in_flight_bytes_max: 128 << 20,
            uploads_in_flight_max: 64,
            decoders_max: 2,
            room_wait: Duration::from_secs(5),
            body_read_timeout: Duration::from_mins(1),
            profiles_max: 10_000,
            samples_max: 4_000_000,
            string_bytes_max: 64 << 20,
            label_bytes_max: 32 << 20,
            age_kept_nanos_max: None,
        }
    }
}

/// Labels of one series.
pub const LABELS_MAX: usize = 48;
/// Bytes of a label's name.
pub const LABEL_NAME_BYTES_MAX: usize = 128;
/// Bytes of a label's value.
pub const LABEL_VALUE_BYTES_MAX: usize = 1024;
/// Entries of a profile's further information.
pub const INFO_ENTRIES_MAX: usize = 64;
/// Bytes of a tenant's name, as in Pyroscope.
pub const TENANT_BYTES_MAX: usize = 150;
/// Issues listed in one answer; the rest is only counted.
pub const ISSUES_SHOWN_MAX: usize = 20;
/// Issues listed of one payload that is read again.
pub const PAYLOAD_ISSUES_MAX: usize = 5;
/// Parts of one multipart body.
pub const PARTS_MAX: usize = 16;
/// Form fields of one multipart body, beside its files.
pub const FIELDS_MAX: usize = 128;
/// Bytes of a form field.
pub const FIELD_BYTES_MAX: usize = 16 << 10;
/// Bytes of the name of a part or of its file.
pub const PART_NAME_BYTES_MAX: usize = 128;
/// Bytes of the part `event` of Datadog's libraries.
pub const EVENT_BYTES_MAX: usize = 1 << 20;
/// Tags of one upload of Datadog's libraries, and entries of its event's `info`.
pub const TAGS_MAX: usize = 256;
/// Bytes of all tags of one upload in one text.
pub const TAGS_BYTES_MAX: usize = 64 << 10;
/// Bytes of the tags that a Datadog agent adds in headers.
pub const BESIDE_BYTES_MAX: usize = 1024;
/// Endpoints whose number of requests is kept with a profile.
pub const ENDPOINTS_MAX: usize = 500;
/// Bytes of `metrics.json` beside profiles.
pub const METRICS_BYTES_MAX: usize = 64 << 10;
/// Numbers of `metrics.json` that are information of a profile.
pub const INFO_METRICS_MAX: usize = 16;
/// Numbers of `metrics.json` that are kept as readings of gauges.
pub const METRICS_MAX: usize = 256;
/// Bytes of one entry of what Datadog's libraries tell of a process.
pub const INFO_TEXT_BYTES_MAX: usize = 16 << 10;
/// Bytes of a refusal over gRPC: clients accept no long headers.
pub const REJECTION_BYTES_MAX: usize = 1024;
/// Bytes of one issue's text.
pub const ISSUE_BYTES_MAX: usize = 500;
/// How far in the future a profile may start before its time is taken for wrong.
pub const FUTURE_NANOS_MAX: i64 = 10 * 60 * 1_000_000_000;
/// The longest window of one profile.
pub const WINDOW_NANOS_MAX: i64 = 31 * 24 * 3600 * 1_000_000_000;
/// Window of a profile that says no duration.
pub const WINDOW_NANOS_DEFAULT: i64 = 10_000_000_000;
/// What a client is told to wait when the server is busy.
pub const RETRY_AFTER_SECONDS: u32 = 5;
/// What a client is told to wait when the disk is full.
pub const RETRY_AFTER_FULL_SECONDS: u32 = 30;
