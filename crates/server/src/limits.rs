//! Limits of the server's ports, units in their names.

use std::time::Duration;

/// Connections of one port; further ones wait until the system accepts no more.
pub(crate) const CONNECTIONS_MAX: u32 = 1024;
/// Requests at the same time on one HTTP/2 connection.
pub(crate) const STREAMS_MAX: u32 = 64;
/// How long a client may take to send the head of a request, and rest between requests of HTTP/1.
pub(crate) const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of the head of a request.
pub(crate) const HEAD_BYTES_MAX: usize = 64 << 10;
/// How often a quiet HTTP/2 client is asked whether it is still there, and how long it may take to
/// answer.
pub(crate) const PING_INTERVAL: Duration = Duration::from_secs(30);
/// How long requests may take to finish after the signal to stop.
pub(crate) const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);
