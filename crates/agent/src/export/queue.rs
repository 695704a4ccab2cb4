//! Requests that wait to be sent, bounded in number and bytes; the oldest are dropped first.

use crate::limits;
use bytes::Bytes;
use std::collections::VecDeque;

#[derive(Debug, Default)]
pub(crate) struct Queue {
    waiting: VecDeque<Bytes>,
    bytes: usize,
    dropped: u64,
}

impl Queue {
    pub(crate) fn push(&mut self, body: Bytes) {
        self.bytes += body.len();
        self.waiting.push_back(body);
        while self.waiting.len() > 1
            && (self.waiting.len() > limits::QUEUE_REQUESTS_MAX
                || self.bytes > limits::QUEUE_BYTES_MAX)
        {
            self.refused();
        }
    }

    /// The oldest.
    pub(crate) fn first(&self) -> Option<Bytes> {
        self.waiting.front().cloned()
    }

    /// The oldest was delivered.
    pub(crate) fn done(&mut self) {
        if let Some(body) = self.waiting.pop_front() {
            self.bytes -= body.len();
        }
    }

    /// The oldest is given up.
    pub(crate) fn refused(&mut self) {
        self.done();
        self.dropped += 1;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Requests given up so far.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_dropped_and_counted() {
        let mut queue = Queue::default();
        for number in 0..limits::QUEUE_REQUESTS_MAX as u8 + 3 {
            queue.push(Bytes::from(vec![number]));
        }
        assert_eq!((queue.len(), queue.dropped()), (limits::QUEUE_REQUESTS_MAX, 3));
        assert_eq!(queue.first().as_deref(), Some(&[3u8][..]));
        queue.push(Bytes::from(vec![0; limits::QUEUE_BYTES_MAX + 1]));
        assert_eq!(queue.len(), 1, "a request that fills the queue alone is still tried");
        queue.done();
        assert!(queue.is_empty() && queue.bytes == 0);
    }
}
