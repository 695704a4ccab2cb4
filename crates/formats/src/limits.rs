//! Limits of decoding: what one payload may cost. Each is counted as an issue when it is hit.

/// Limits of one payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Size after decompression.
    pub decompressed_bytes_max: usize,
    /// Rows, after a sample was split by kind and by timestamp.
    pub samples_max: usize,
    /// Frames of one stack; the ones nearest the leaf are kept.
    pub stack_depth_max: usize,
    /// Nodes of the stack prefix tree.
    pub stack_nodes_max: usize,
    /// Locations, and also functions and mappings, of one payload.
    pub locations_max: usize,
    /// Lines of all locations together.
    pub lines_max: usize,
    /// Entries of a string table.
    pub strings_max: usize,
    /// Length of one string; the rest is cut off.
    pub string_bytes_max: usize,
    /// Labels of one sample.
    pub labels_per_sample_max: usize,
    /// Labels of all distinct sets together.
    pub labels_max: usize,
    /// Bytes of text that profiles take over: names, labels, attributes, all together. One text of
    /// the payload may be needed by each of its profiles.
    pub text_bytes_max: usize,
    /// Bytes of the payload that are read again and again: what samples and profiles refer to.
    pub work_bytes_max: usize,
    /// Sample types.
    pub sample_types_max: usize,
    /// Profiles of one payload.
    pub profiles_max: usize,
}

/// Output beyond this size must keep to [`RATIO_MAX`].
pub const RATIO_FREE_BYTES: usize = 16 << 20;
/// How many times larger than its compressed form a payload may be.
pub const RATIO_MAX: usize = 250;
/// Largest zstd window, as a power of two (32 MiB).
pub const ZSTD_WINDOW_LOG_MAX: u32 = 25;
/// How often a payload may be compressed over (gzip inside gzip occurs in real clients).
pub const COMPRESSION_LAYERS_MAX: usize = 2;
/// How much of a payload is looked at to recognise its format.
pub const SNIFF_BYTES: usize = 64 << 10;
/// Resource attributes and comments of one profile.
pub const INFO_ENTRIES_MAX: usize = 200;
/// Chunks of one JFR file.
pub const JFR_CHUNKS_MAX: usize = 10_000;
/// Event types of one name that are read of one JFR chunk; each keeps up to [`JFR_STEPS_MAX`] steps.
pub const JFR_TYPES_OF_NAME_MAX: usize = 16;
/// Elements of the type descriptions of one JFR chunk: types, fields, annotations.
pub const JFR_ELEMENTS_MAX: usize = 500_000;
/// How deep elements of type descriptions lie in one another.
pub const JFR_ELEMENT_DEPTH_MAX: usize = 16;
/// Steps that a value of one type of a JFR file takes, parts of parts included.
pub const JFR_STEPS_MAX: usize = 2_000;
/// How deep types of a JFR file hold others.
pub const JFR_NESTING_MAX: usize = 8;
/// Constants of one JFR chunk.
pub const JFR_CONSTANTS_MAX: usize = 2_000_000;
/// Events of constants that are followed backwards where a chunk is damaged.
pub const JFR_CHECKPOINTS_MAX: usize = 10_000;
/// Bytes of the names in the type descriptions of one JFR chunk.
pub const JFR_TYPE_TEXT_BYTES_MAX: usize = 16 << 20;
/// Different types of events of one JFR chunk.
pub const JFR_EVENT_TYPES_MAX: usize = 50_000;
/// Event types of one JFR file whose events are counted by name though they are not kept.
pub const JFR_NOT_KEPT_NAMES_MAX: usize = 2_000;
/// Bytes of a name of an event type that is not kept.
pub const JFR_NOT_KEPT_NAME_BYTES_MAX: usize = 128;
/// Root spans of one JFR file whose endpoint is kept.
pub const JFR_ENDPOINTS_MAX: usize = 200_000;
/// Events of the runtime and readings of gauges of one file.
pub const RUNTIME_EVENTS_MAX: usize = 100_000;
/// Bytes of a text of an event of the runtime: its name, and names and values of its attributes.
pub const RUNTIME_TEXT_BYTES_MAX: usize = 512;
/// Attributes of one span.
pub const SPAN_ATTRIBUTES_MAX: usize = 64;
/// Bytes of a span's name, of what it was about, and of the name of an attribute.
pub const SPAN_NAME_BYTES_MAX: usize = 512;
/// Bytes of the value of a span's attribute, and of what its status says.
pub const SPAN_VALUE_BYTES_MAX: usize = 2048;
/// How deep lists inside the values of a span's attributes are read.
pub const SPAN_VALUE_DEPTH_MAX: usize = 3;
/// Services, with their environments and versions, of one request of Datadog's libraries.
pub const SPAN_BATCHES_MAX: usize = 1_000;
/// Types of events that are known at a time in a nettrace file.
pub const NETTRACE_TYPES_MAX: usize = 50_000;
/// Bytes of a name of a provider or of a type of events of a nettrace file.
pub const NETTRACE_NAME_BYTES_MAX: usize = 512;
/// Event types of one nettrace file whose events are counted by name though they are not kept.
pub const NETTRACE_NOT_KEPT_NAMES_MAX: usize = 2_000;
/// Stacks, and also lists of labels, between two sequence points of a nettrace file.
pub const NETTRACE_STACKS_MAX: usize = 500_000;
/// Threads that are known at a time in a nettrace file.
pub const NETTRACE_THREADS_MAX: usize = 100_000;
/// Addresses of the stacks of one nettrace file that are named.
pub const NETTRACE_ADDRESSES_MAX: usize = 1_000_000;
/// Methods of one nettrace file, of those that lie at addresses of stacks.
pub const NETTRACE_METHODS_MAX: usize = 1_000_000;
/// Modules of one nettrace file.
pub const NETTRACE_MODULES_MAX: usize = 100_000;
/// Starts of collections, and also of queued work, of one nettrace file.
pub const NETTRACE_STARTS_MAX: usize = 500_000;
/// Profiles of one push of Pyroscope's clients.
pub const PUSH_PROFILES_MAX: usize = 256;
/// Profiles of one request of logs.
pub const LOG_PROFILES_MAX: usize = 256;
/// Each profile of a request may at least read this much again and again, however small its share
/// of the request.
pub const PROFILE_WORK_BYTES_MIN: usize = 4 << 20;

impl Default for Limits {
    fn default() -> Self {
        Self {
            decompressed_bytes_max: 128 << 20,
            samples_max: 1_000_000,
            stack_depth_max: 1024,
            stack_nodes_max: 2_000_000,
            locations_max: 500_000,
            lines_max: 1_000_000,
            strings_max: 1_000_000,
            string_bytes_max: 64 << 10,
            labels_per_sample_max: 100,
            labels_max: 1_000_000,
            text_bytes_max: 128 << 20,
            work_bytes_max: 1 << 30,
            sample_types_max: 64,
            profiles_max: 10_000,
        }
    }
}
