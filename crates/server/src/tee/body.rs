//! A body that is copied while somebody else reads it.

use super::Place;
use axum::body::Body;
use bytes::Bytes;
use http::request::Parts;
use hyper::body::{Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// What has been copied, and for whom.
#[derive(Debug)]
pub(super) struct Copy {
    head: Arc<Parts>,
    bytes: Vec<u8>,
    places: Vec<Place>,
}

/// The body.
#[derive(Debug)]
pub(super) struct Copied {
    body: Body,
    /// Gone when it is sent, or cannot be.
    copy: Option<Copy>,
}

impl Copy {
    pub(super) fn new(head: Arc<Parts>, places: Vec<Place>) -> Self {
        Self { head, bytes: Vec::new(), places }
    }

    /// Takes a piece, for those that have room for it.
    fn take(&mut self, piece: &[u8]) {
        self.places.retain_mut(|place| {
            let has_room = place.grow(piece.len());
            if !has_room {
                place.tee.drop_one("the requests that wait fill the memory for them");
            }
            has_room
        });
        if self.places.is_empty() {
            self.bytes = Vec::new();
        } else {
            self.bytes.extend_from_slice(piece);
        }
    }

    fn send(self) {
        let body = Bytes::from(self.bytes.into_boxed_slice());
        for place in self.places {
            place.enqueue(&self.head, &body);
        }
    }
}

impl Copied {
    pub(super) fn new(body: Body, copy: Copy) -> Self {
        Self { body, copy: Some(copy) }
    }
}

impl hyper::body::Body for Copied {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let (Some(copy), Some(piece)) = (&mut self.copy, frame.data_ref()) {
                    copy.take(piece);
                }
            }
            // A body that broke off is no request.
            Poll::Ready(Some(Err(_))) => self.copy = None,
            _ => {}
        }
        let is_over = matches!(polled, Poll::Ready(None)) || self.body.is_end_stream();
        if is_over && let Some(copy) = self.copy.take() {
            copy.send();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
