//! Limits of the agent, units in their names. Hitting one is counted and sent.

use std::time::Duration;

/// Time between two looks at the rings; bounds how late a short-lived process is looked up.
pub(crate) const DRAIN_EVERY: Duration = Duration::from_millis(100);
/// Time from the start to the first batch.
pub(crate) const FIRST_BATCH_AFTER: Duration = Duration::from_millis(1_200);
/// Windows after the start that do not count against the CPU budget: the first short one and the
/// one in which its symbols are read.
pub(crate) const STARTING_WINDOWS: u32 = 2;
/// Time that the exporter gets at the end to deliver what is left.
pub(crate) const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait for an answer to one HTTP export.
pub(crate) const EXPORT_TIMEOUT: Duration = Duration::from_secs(15);
/// First pause after a failed export.
pub(crate) const RETRY_FIRST: Duration = Duration::from_millis(500);
/// Longest pause after a failed export.
pub(crate) const RETRY_MAX: Duration = Duration::from_secs(30);
/// Requests kept while the server cannot be reached.
pub(crate) const QUEUE_REQUESTS_MAX: usize = 64;
/// Their bytes.
pub(crate) const QUEUE_BYTES_MAX: usize = 12 << 20;
/// Batches between the sampling and the sending thread.
pub(crate) const BATCHES_WAITING_MAX: usize = 2;
/// Samples of one batch; later ones count as lost.
pub(crate) const BATCH_SAMPLES_MAX: usize = 4_000_000;
/// Processes known at a time.
pub(crate) const PROCESSES_MAX: usize = 32_768;
/// Mappings of code known of one process.
pub(crate) const MAPPINGS_MAX: usize = 8_192;
/// Files of code kept open.
pub(crate) const MODULES_MAX: usize = 512;
/// Functions remembered for addresses of files.
pub(crate) const SYMBOLS_MAX: usize = 60_000;
/// Questions about a file after which its table of symbols is sorted.
pub(crate) const SORTED_AFTER_ASKED: u32 = 3;
/// Questions about other files after which a sorted table that nobody asks about is dropped.
pub(crate) const SORTED_UNASKED_MAX: u64 = 500;
/// Functions of the files whose tables of symbols are kept sorted, 12 bytes each.
pub(crate) const SORTED_FUNCTIONS_MAX: usize = 400_000;
/// Addresses symbolised in one call.
pub(crate) const SYMBOLIZE_AT_ONCE_MAX: usize = 4_096;
/// Largest line programs of a file, in bytes, in which the places of functions are looked up
/// (about 10 ns a byte of the units sampled); functions of larger ones have names only.
pub(crate) const LINE_BYTES_MAX: u64 = 4 << 20;
/// Bytes read of a small file under /proc.
pub(crate) const PROC_FILE_BYTES_MAX: u64 = 1 << 20;
/// Bytes of a perf map.
pub(crate) const PERF_MAP_BYTES_MAX: u64 = symbols::limits::PERF_MAP_BYTES_MAX as u64;
/// Bytes of a name that is sent.
pub(crate) const NAME_BYTES_MAX: usize = 256;
/// Lowest rate that the CPU budget may lead to.
pub(crate) const FREQUENCY_FLOOR_HZ: u32 = 7;
/// Time between two looks for new processes without the right to see all.
pub(crate) const RESCAN_EVERY: Duration = Duration::from_secs(1);
/// Pages of files, our own program's among them, that may stay in memory: 16 MiB.
pub(crate) const FILE_PAGES_MAX: u64 = 4_096;
/// Records of samples and processes that are taken in without a look at those pages.
pub(crate) const RELEASE_EVERY_RECORDS: usize = 8;
/// Time between two looks at the pages of files of code that were read.
pub(crate) const RELEASE_EVERY: Duration = Duration::from_millis(500);
