//! What tracers sent beside profiles, and heard: the part of the model that is of spans.

use crate::clients::TENANT;
use crate::spans::{batch, lines, shown};
use profile::SpanBatch;
use std::collections::BTreeSet;
use stdx::Rng;
use store::Store;
use testkit::profiles::BASE_MS;

/// Spans of a service that is never deleted.
#[derive(Default)]
pub(crate) struct Tracers {
    acknowledged: BTreeSet<String>,
    /// The last batch that was answered.
    answered: Option<SpanBatch>,
    /// Batches without an answer; their senders send them again when they can.
    unanswered: Vec<SpanBatch>,
    sent: u64,
}

impl Tracers {
    /// Spans that were acknowledged.
    pub(crate) fn known(&self) -> u64 {
        self.acknowledged.len() as u64
    }

    async fn send(&mut self, store: &Store, batch: SpanBatch) {
        let sent = lines(std::slice::from_ref(&batch));
        let is_known = sent.iter().all(|line| self.acknowledged.contains(line));
        match store.append_spans(TENANT, vec![batch.clone()]).await {
            Ok(kept) => {
                assert!(kept[0].is_repeat || !is_known, "a batch that was acknowledged is new");
                self.acknowledged.extend(sent);
                self.answered = Some(batch);
            }
            // Who has an answer already does not mind.
            Err(_) if is_known => {}
            Err(_) => self.unanswered.push(batch),
        }
    }

    /// What tracers do when the store is back.
    pub(crate) async fn try_again(&mut self, store: &Store) {
        for batch in std::mem::take(&mut self.unanswered) {
            self.send(store, batch).await;
        }
    }

    /// Sends a batch like no other, or the last one again.
    pub(crate) async fn step(&mut self, store: &Store, rng: &mut Rng) {
        let again = self.answered.clone().filter(|_| rng.chance(1, 4));
        let next = again.unwrap_or_else(|| {
            self.sent += 1;
            batch("traced", &format!("span {}", self.sent), BASE_MS + self.sent as i64)
        });
        self.send(store, next).await;
    }

    /// Every span is there once, when all were acknowledged in the end.
    pub(crate) async fn check_all(&self, store: &Store, when: &str) {
        assert!(self.unanswered.is_empty(), "{when}");
        assert_eq!(self.known(), self.sent, "{when}: all spans are accounted for");
        let wanted: Vec<String> = self.acknowledged.iter().cloned().collect();
        assert_eq!(shown(store).await, wanted, "{when}: spans");
    }
}
