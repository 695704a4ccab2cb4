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
/// Bytes of a body that are read after its request was answered, so that the connection can be used
/// again; with more the connection closes.
pub(crate) const REST_BYTES_MAX: usize = 256 << 10;
/// How long they may take.
pub(crate) const REST_TIMEOUT: Duration = Duration::from_secs(2);
/// How often a quiet HTTP/2 client is asked whether it is still there, and how long it may take to
/// answer.
pub(crate) const PING_INTERVAL: Duration = Duration::from_secs(30);
/// How long requests may take to finish after the signal to stop.
pub(crate) const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);
/// Tables of names that are kept in memory, in bytes; the one in use may be larger.
pub(crate) const NAME_TABLES_BYTES_MAX: usize = 64 << 20;
/// How long another server may take to accept a connection, with TLS where that is spoken.
pub(crate) const OUTWARD_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Redirects that are followed on the way out.
pub(crate) const EGRESS_REDIRECTS_MAX: usize = 3;
/// How long a request to another server may take with its answer.
pub(crate) const EGRESS_TIMEOUT: Duration = Duration::from_mins(10);
/// Debug information of one binary that is fetched, in bytes.
pub(crate) const DEBUGINFOD_BYTES_MAX: u64 = 1 << 30;
/// Binaries of one tenant that debuginfod servers are asked for at a time.
pub(crate) const DEBUGINFOD_BINARIES_MAX: usize = 20;
/// How long a binary that no server had is not asked for again.
pub(crate) const DEBUGINFOD_RETRY: Duration = Duration::from_hours(24);
/// Bytes of the requests that are copied for, wait for or are sent to one further address.
pub(crate) const TEE_BYTES_MAX: usize = 32 << 20;
/// Requests that wait to be sent to one further address.
pub(crate) const TEE_REQUESTS_MAX: usize = 1_000;
/// Requests sent to one further address at the same time.
pub(crate) const TEE_SENDERS: usize = 4;
/// How long a further address may take for one request, its answer included.
pub(crate) const TEE_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes that are read of its answer.
pub(crate) const TEE_ANSWER_BYTES_MAX: usize = 64 << 10;
/// How often it is said that requests did not go onward.
pub(crate) const TEE_LOG_INTERVAL: Duration = Duration::from_mins(1);
