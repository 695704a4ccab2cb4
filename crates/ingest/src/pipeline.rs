//! From a body to stored profiles: admit, decode, normalise, limit, append.

use crate::counters::{Counters, add};
use crate::gate::{Gate, Panicked, Place};
use crate::limits::{LABELS_MAX, Limits};
use crate::normalise::{Context, normalise};
use crate::notes::Notes;
use crate::payload::{Payload, Request};
use crate::principal::Principal;
use crate::problem::Problem;
use crate::receipt::{Receipt, Stored};
use crate::sink::{Sink, SinkError};
use axum::body::{Body, BodyDataStream};
use bytes::Bytes;
use formats::{Decoded, DecodedProfile, IssueKind, Options};
use futures::StreamExt;
use http::{HeaderMap, header};
use profile::Profile;
use std::sync::Arc;
use stdx::{Clock, Timestamp};
use tokio::sync::OwnedSemaphorePermit;

mod spans;

pub use spans::SpanReceipt;

/// The way in, shared by all receivers.
pub struct Ingest {
    sink: Arc<dyn Sink>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) limits: Limits,
    gate: Gate,
    counters: Counters,
}

impl std::fmt::Debug for Ingest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ingest").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// A body in memory, and its place in the line.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) bytes: Bytes,
    /// The body as it came, where uploads are kept.
    pub(crate) original: Option<Bytes>,
    pub(crate) place: Place,
}

/// What decoding gave, normalised and within the limits.
pub(crate) struct Prepared<T> {
    pub(crate) content: T,
    pub(crate) notes: Notes,
    is_over_limit: bool,
    /// Estimated bytes of the content in memory.
    pub(crate) bytes: usize,
}

/// Profiles, and what is said of them in the receipt.
pub(crate) struct Uploaded {
    pub(crate) profiles: Vec<Profile>,
    stored: Vec<Stored>,
    ignored: u64,
}

/// Normalises and checks what was decoded, or says why all of it is refused.
type Prepare<D, T> = fn(D, &Context, Timestamp, &Limits) -> Result<Prepared<T>, Problem>;

impl Ingest {
    /// A way into `sink`.
    pub fn new(sink: Arc<dyn Sink>, clock: Arc<dyn Clock>, limits: Limits) -> Self {
        let gate = Gate::new(&limits);
        Self { sink, clock, limits, gate, counters: Counters::default() }
    }

    /// What came in so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The limits in force.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Reads a body within the limits.
    pub(crate) async fn receive(
        &self,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<Received, Problem> {
        let length = headers.get(header::CONTENT_LENGTH);
        let length = length.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
        let max = self.limits.body_bytes_max;
        if length.is_some_and(|length| length > max) {
            self.drain(body.into_data_stream()).await;
            return Err(self.count(self.too_large()));
        }
        let mut pieces = body.into_data_stream();
        let reading = self.read(&mut pieces);
        let read = tokio::time::timeout(self.limits.body_read_timeout, reading).await;
        let problem = match read {
            Ok(Ok(received)) => return Ok(received),
            Ok(Err(problem)) => problem,
            Err(_) => return Err(self.count(self.too_slow())),
        };
        self.drain(pieces).await;
        Err(self.count(problem))
    }

    async fn read(&self, pieces: &mut BodyDataStream) -> Result<Received, Problem> {
        let mut room = self.gate.room();
        let mut bytes = Vec::new();
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|error| {
                let hint = "the connection broke: send it again";
                Problem::bad_request(format!("the body could not be read: {error}"), hint)
            })?;
            if piece.len() > self.limits.body_bytes_max - bytes.len() {
                return Err(self.too_large());
            }
            room.grow(piece.len()).await?;
            bytes.extend_from_slice(&piece);
        }
        let place = self.gate.enter(room)?;
        add(&self.counters.body_bytes, bytes.len() as u64);
        let bytes = Bytes::from(bytes);
        let original = self.sink.keeps_payloads().then(|| bytes.clone());
        Ok(Received { bytes, original, place })
    }

    /// Reads on without keeping anything, for a while: a client that is still sending when the
    /// connection is closed sees a broken pipe instead of the answer.
    pub(crate) async fn drain(&self, mut pieces: BodyDataStream) {
        let mut left = self.limits.body_bytes_max.saturating_mul(4);
        let reading = async {
            while let Some(Ok(piece)) = pieces.next().await {
                let Some(rest) = left.checked_sub(piece.len()) else { break };
                left = rest;
            }
        };
        // Whoever sends too slowly as well is not waited for.
        let _ = tokio::time::timeout(self.limits.body_read_timeout, reading).await;
    }

    fn too_slow(&self) -> Problem {
        let seconds = self.limits.body_read_timeout.as_secs();
        let detail = format!("the body did not arrive within {seconds} s");
        let title = "The body came too slowly";
        let status = http::StatusCode::REQUEST_TIMEOUT;
        let hint = "send it again over a faster connection or in smaller parts";
        Problem::new(status, "/problems/slow", title, detail, hint)
    }

    /// Counts a panic of a receiver.
    pub(crate) fn count_panic(&self) {
        add(&self.counters.decode_panics, 1);
    }

    fn too_large(&self) -> Problem {
        add(&self.counters.limits_hit, 1);
        let max = self.limits.body_bytes_max;
        let hint = "send shorter windows, or fewer profiles in one request";
        Problem::too_large(format!("the body is larger than {max} bytes"), hint)
    }

    /// Counts a refusal.
    pub(crate) fn count(&self, problem: Problem) -> Problem {
        let is_busy = problem.status == http::StatusCode::TOO_MANY_REQUESTS;
        let counters = &self.counters;
        add(if is_busy { &counters.uploads_busy } else { &counters.uploads_refused }, 1);
        problem
    }

    /// Runs a decoder when one is free.
    pub(crate) async fn run_decoder<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<(T, OwnedSemaphorePermit), Panicked> {
        let done = self.gate.run(work).await;
        done.inspect_err(|_| add(&self.counters.decode_panics, 1))
    }

    /// Decodes a received body, normalises and stores what is in it. The answer comes when all of
    /// it is durable.
    pub(crate) async fn store(
        &self,
        principal: &Principal,
        received: Received,
        (request, context): (Request, Context),
        decode: impl FnOnce(&[u8], &Options) -> Decoded + Send + 'static,
    ) -> Result<Receipt, Problem> {
        let Received { bytes, original, place } = received;
        let received_at = self.clock.now();
        let (prepared, held) = self.prepare(bytes, (context, received_at), decode, prepare).await?;
        let payload = original.map(|body| Payload { request, body, received_at });
        let receipt = self.append(principal, prepared, payload).await?;
        drop((held, place));
        Ok(receipt)
    }

    /// Decodes and prepares a body, and waits until there is memory for what came out of it. Counts
    /// what was found on the way.
    async fn prepare<D: 'static, T: Send + 'static>(
        &self,
        bytes: Bytes,
        (context, now): (Context, Timestamp),
        decode: impl FnOnce(&[u8], &Options) -> D + Send + 'static,
        prepare: Prepare<D, T>,
    ) -> Result<(Prepared<T>, OwnedSemaphorePermit), Problem> {
        if context.labels.len() > LABELS_MAX {
            let detail = format!("the request names {} labels", context.labels.len());
            let hint = format!("name at most {LABELS_MAX}");
            return Err(self.count(Problem::bad_request(detail, hint)));
        }
        let limits = self.limits.clone();
        let work = move || {
            let decoded = decode(&bytes, &crate::decode::options(&limits));
            drop(bytes);
            prepare(decoded, &context, now, &limits)
        };
        let (prepared, decoder) = self
            .run_decoder(work)
            .await
            .map_err(|_| self.count(Problem::internal("the decoder failed on this body")))?;
        let prepared = prepared.map_err(|problem| {
            if problem.status == http::StatusCode::PAYLOAD_TOO_LARGE {
                add(&self.counters.limits_hit, 1);
            }
            self.count(problem)
        })?;
        // The decoder stays taken until there is room, so that no more is decoded meanwhile.
        let held = self.gate.hold(prepared.bytes).await.map_err(|problem| self.count(problem))?;
        drop(decoder);
        add(&self.counters.limits_hit, prepared.is_over_limit.into());
        add(&self.counters.decode_issues, prepared.notes.count() as u64);
        Ok((prepared, held))
    }

    async fn append(
        &self,
        principal: &Principal,
        prepared: Prepared<Uploaded>,
        payload: Option<Payload>,
    ) -> Result<Receipt, Problem> {
        let Prepared { content: Uploaded { profiles, mut stored, ignored }, notes, .. } = prepared;
        let samples: usize = profiles.iter().map(|profile| profile.samples.len()).sum();
        if !profiles.is_empty() {
            let appended = match payload {
                None => self.sink.append(&principal.tenant, profiles).await,
                Some(payload) => self.sink.append_with(&principal.tenant, profiles, payload).await,
            };
            let kept = appended.map_err(|error| self.count(self.refused(&error)))?;
            let repeats = kept.iter().filter(|kept| kept.is_repeat).count();
            add(&self.counters.profiles_repeated, repeats as u64);
            for (stored, kept) in stored.iter_mut().zip(kept) {
                stored.set(kept);
            }
        }
        add(&self.counters.uploads_accepted, 1);
        add(&self.counters.profiles_accepted, stored.len() as u64);
        add(&self.counters.samples_accepted, samples as u64);
        add(&self.counters.records_ignored, ignored);
        Ok(Receipt { profiles: stored, issues: notes.into_list(), ignored })
    }

    fn refused(&self, error: &SinkError) -> Problem {
        match error {
            SinkError::Busy(_) => Problem::busy(error.to_string()),
            SinkError::DiskFull(_) => {
                add(&self.counters.store_failures, 1);
                tracing::error!(%error, "an upload was not stored");
                Problem::disk_full(error.to_string())
            }
            SinkError::Failed(_) => {
                add(&self.counters.store_failures, 1);
                tracing::error!(%error, "an upload was not stored");
                Problem::unavailable(error.to_string())
            }
        }
    }
}

/// Normalises and checks; refuses an upload in which there is no profile but trouble.
pub(crate) fn prepare(
    decoded: Decoded,
    context: &Context,
    now: Timestamp,
    limits: &Limits,
) -> Result<Prepared<Uploaded>, Problem> {
    let Decoded { mut profiles, issues: found, ignored } = decoded;
    let is_over_limit = found.iter().any(|issue| issue.kind == IssueKind::Limit);
    let mut notes = context.notes.clone();
    for issue in &found {
        notes.add(|| issue.to_string());
    }
    if profiles.is_empty() && !found.is_empty() && ignored == 0 {
        let hint = "check the format; pprof, JFR, folded text and OTLP profiles are read here";
        return Err(Problem::unreadable(notes.into_list().join("; "), hint));
    }
    let mut label_bytes = 0;
    for DecodedProfile { profile, .. } in &mut profiles {
        check_strings(profile, limits)?;
        normalise(profile, context, now, &mut notes);
        if let Some(note) = too_old(profile, now, limits) {
            notes.add(|| note);
        }
        let labels = profile.labels.iter();
        label_bytes += labels.map(|(name, value)| name.len() + value.len()).sum::<usize>();
        if label_bytes > limits.label_bytes_max {
            let hint = format!("at most {} bytes are accepted", limits.label_bytes_max);
            return Err(Problem::too_large("the profiles' labels take too much room", hint));
        }
    }
    let stored = profiles.iter().map(Stored::of).collect();
    let bytes = profiles.iter().map(|decoded| weight(&decoded.profile)).sum();
    let profiles = profiles.into_iter().map(|decoded| decoded.profile).collect();
    Ok(Prepared { content: Uploaded { profiles, stored, ignored }, notes, is_over_limit, bytes })
}

/// Estimated bytes of a profile in memory, indexes of its tables included.
pub(crate) fn weight(profile: &Profile) -> usize {
    let samples = profile.samples.len() * size_of::<profile::Sample>();
    let events = profile::runtime::estimated_bytes(&profile.events);
    1024 + samples + events + profile.tables.estimated_bytes()
}

/// What people should know of a profile that the retention is about to drop.
fn too_old(profile: &Profile, now: Timestamp, limits: &Limits) -> Option<String> {
    let kept = limits.age_kept_nanos_max?;
    let times = profile.samples.iter().filter_map(|sample| sample.time);
    let newest = times.max().unwrap_or(profile.window.end);
    let age = now.nanos().saturating_sub(newest.nanos());
    (age > kept).then(|| {
        const DAY_NANOS: i64 = 86_400_000_000_000;
        let (age, kept) = (age / DAY_NANOS, kept / DAY_NANOS);
        format!(
            "the profile is {age} days old and will soon be dropped, because profiles are kept for \
             {kept} days: keep them longer (--retention-days); from=now gives a new time to profiles \
             whose samples have none"
        )
    })
}

fn check_strings(profile: &Profile, limits: &Limits) -> Result<(), Problem> {
    let bytes = profile.tables.strings.text_bytes();
    if bytes > limits.string_bytes_max {
        let hint = format!("at most {} bytes are accepted", limits.string_bytes_max);
        return Err(Problem::too_large(format!("{bytes} bytes of names in one profile"), hint));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
