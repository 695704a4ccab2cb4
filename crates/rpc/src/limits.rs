//! Limits of the clients; servers take theirs as parameters.

use std::time::Duration;

/// The largest message that is sent or accepted as an answer, uncompressed.
pub const CLIENT_MESSAGE_BYTES_MAX: usize = 32 << 20;
/// How long a client waits for a connection.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a client waits for the answer to one export.
pub const EXPORT_TIMEOUT: Duration = Duration::from_secs(15);
