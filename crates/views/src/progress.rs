//! How far a question is, for whoever waits for it.
//!
//! Whoever answers asks for [`current`] and counts into it; whoever asks runs the question inside
//! [`watched`]. A question that nobody watches counts into nothing.

use std::cell::RefCell;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

/// Rows looked through and to be looked through; the latter grows while more is found to be read.
#[derive(Debug, Default)]
pub struct Progress {
    rows_read: AtomicU64,
    rows_to_read: AtomicU64,
}

impl Progress {
    /// Further rows will be read.
    pub fn expect(&self, rows: u64) {
        self.rows_to_read.fetch_add(rows, Ordering::Relaxed);
    }

    /// Rows have been read.
    pub fn advance(&self, rows: u64) {
        self.rows_read.fetch_add(rows, Ordering::Relaxed);
    }

    /// Rows read, and to be read in all, as far as is known.
    pub fn rows(&self) -> (u64, u64) {
        let read = self.rows_read.load(Ordering::Relaxed);
        (read, self.rows_to_read.load(Ordering::Relaxed).max(read))
    }
}

thread_local! {
    static CURRENT: RefCell<Option<Arc<Progress>>> = const { RefCell::new(None) };
}

/// The progress of the question that is being answered here.
pub fn current() -> Arc<Progress> {
    CURRENT.with_borrow(Clone::clone).unwrap_or_default()
}

/// Runs a question that counts into `progress`.
pub fn watched<F: Future>(progress: Arc<Progress>, question: F) -> Watched<F> {
    Watched { progress, question: Box::pin(question) }
}

/// See [`watched`].
#[derive(Debug)]
pub struct Watched<F> {
    progress: Arc<Progress>,
    question: Pin<Box<F>>,
}

/// Puts back what was there before, also when a question panics.
struct Restore(Option<Arc<Progress>>);

impl Drop for Restore {
    fn drop(&mut self) {
        let before = self.0.take();
        CURRENT.with_borrow_mut(|current| *current = before);
    }
}

impl<F: Future> Future for Watched<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let own = Some(Arc::clone(&self.progress));
        let _restore = Restore(CURRENT.with_borrow_mut(|current| std::mem::replace(current, own)));
        self.question.as_mut().poll(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::executor::block_on;
    use futures::future::join;

    /// Ends at its second poll, so that two of them take turns.
    async fn turn() {
        let mut is_second = false;
        std::future::poll_fn(|context| {
            if std::mem::replace(&mut is_second, true) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    #[test]
    fn questions_that_take_turns_count_each_into_its_own() {
        let (one, two) = (Arc::new(Progress::default()), Arc::new(Progress::default()));
        let count = |rows| async move {
            current().expect(rows * 2);
            turn().await;
            current().advance(rows);
        };
        block_on(join(watched(Arc::clone(&one), count(3)), watched(Arc::clone(&two), count(50))));
        assert_eq!((one.rows(), two.rows()), ((3, 6), (50, 100)));
        current().advance(7);
        assert_eq!(one.rows(), (3, 6), "nobody watches what comes after");
    }
}
