//! Sends requests and keeps those that failed, within bounds.

mod http;
mod queue;

use crate::batch::Batch;
use crate::config::{Config, Target};
use crate::encode::Encoder;
use crate::limits;
use anyhow::Context as _;
use bytes::Bytes;
use queue::Queue;
use std::time::Duration;
use stdx::backoff::Backoff;
use tokio::sync::mpsc::Receiver;
use tokio::time::Instant;

/// What to do about a request that was not taken.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Keep it and try again.
    Later(String),
    /// Drop it: it would be refused again.
    Never(String),
}

/// How requests leave.
enum Sender {
    Http(Box<http::Client>),
    Grpc(Box<rpc::otlp::ProfilesClient>),
}

impl Sender {
    fn new(config: &Config) -> anyhow::Result<Self> {
        let token = config.token.as_deref();
        match &config.target {
            Target::Http(uri) => Ok(Self::Http(Box::new(http::Client::new(uri.clone(), token)?))),
            Target::Grpc(address) => {
                let client = rpc::otlp::ProfilesClient::connect_lazy(address, token)?;
                Ok(Self::Grpc(Box::new(client)))
            }
            Target::File(path) => {
                anyhow::bail!("{} is a file, not a server", path.display())
            }
        }
    }

    async fn send(&self, body: Bytes) -> Result<(), Failure> {
        match self {
            Self::Http(client) => client.send(body).await,
            Self::Grpc(client) => client.export(body).await.map_err(|error| {
                if error.is_retryable() {
                    Failure::Later(error.to_string())
                } else {
                    Failure::Never(error.to_string())
                }
            }),
        }
    }
}

/// Encodes and sends what arrives until the channel closes, then delivers the rest in a bounded
/// time.
pub(crate) async fn run(
    config: &Config,
    mut encoder: Encoder,
    mut batches: Receiver<Batch>,
) -> anyhow::Result<()> {
    let sender = Sender::new(config).context("cannot send profiles")?;
    let mut queue = Queue::default();
    let mut backoff = Backoff::new(limits::RETRY_FIRST, limits::RETRY_MAX);
    let mut rng = stdx::Rng::from_entropy();
    let mut retry_at = Instant::now();
    loop {
        let is_waiting = !queue.is_empty();
        tokio::select! {
            batch = batches.recv() => match batch {
                Some(batch) => queue.push(encoder.encode(&batch).into()),
                None => break,
            },
            () = tokio::time::sleep_until(retry_at), if is_waiting => {}
        }
        if Instant::now() < retry_at {
            continue;
        }
        retry_at = Instant::now() + deliver(&sender, &mut queue, &mut backoff, &mut rng).await;
    }
    flush(&sender, &mut queue).await
}

/// Sends what waits, oldest first; returns how long to pause before the next attempt.
async fn deliver(
    sender: &Sender,
    queue: &mut Queue,
    backoff: &mut Backoff,
    rng: &mut stdx::Rng,
) -> Duration {
    while let Some(body) = queue.first() {
        match sender.send(body).await {
            Ok(()) => {
                backoff.reset();
                queue.done();
            }
            Err(Failure::Never(reason)) => {
                tracing::error!(reason, "the server refused a batch; it is dropped");
                queue.refused();
            }
            Err(Failure::Later(reason)) => {
                let pause = backoff.next_delay(rng);
                tracing::warn!(
                    reason,
                    waiting = queue.len(),
                    dropped = queue.dropped(),
                    "cannot send; trying again in {:.1} s",
                    pause.as_secs_f64()
                );
                return pause;
            }
        }
    }
    Duration::ZERO
}

async fn flush(sender: &Sender, queue: &mut Queue) -> anyhow::Result<()> {
    let mut backoff = Backoff::new(limits::RETRY_FIRST, limits::RETRY_FIRST * 2);
    let mut rng = stdx::Rng::from_entropy();
    let deadline = Instant::now() + limits::FLUSH_TIMEOUT;
    while !queue.is_empty() && Instant::now() < deadline {
        let attempt = deliver(sender, queue, &mut backoff, &mut rng);
        let Ok(pause) = tokio::time::timeout_at(deadline, attempt).await else { break };
        tokio::time::sleep(pause).await;
    }
    let lost = queue.len() as u64 + queue.dropped();
    anyhow::ensure!(lost == 0, "{lost} batches could not be delivered");
    Ok(())
}
