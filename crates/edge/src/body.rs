//! Bodies: one that comes too slowly is given up, and a connection is busy until its answer's body has ended.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep};

use crate::Limits;
use crate::table::Busy;

/// A body's error, for whoever reads it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// It comes too slowly.
    #[error("the body comes too slowly")]
    Slow,
    /// The connection's.
    #[error(transparent)]
    Connection(#[from] hyper::Error),
}

/// The body of a request, which must keep up a pace. Only the time in which its reader waits is counted.
pub(crate) struct Paced {
    inner: Incoming,
    wait: Duration,
    rate: u64,
    brought: u64,
    waited: Duration,
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl Paced {
    pub fn new(inner: Incoming, limits: &Limits) -> Paced {
        let rate = limits.body_rate.max(1);
        Paced { inner, wait: limits.body_wait, rate, brought: 0, waited: Duration::ZERO, waiting: None }
    }

    /// For how long it may keep its reader waiting still.
    fn left(&self) -> Duration {
        (self.wait + Duration::from_secs(self.brought / self.rate)).saturating_sub(self.waited)
    }
}

impl Body for Paced {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        match Pin::new(&mut this.inner).poll_frame(cx) {
            Poll::Ready(frame) => {
                if let Some((since, _)) = this.waiting.take() {
                    this.waited += since.elapsed();
                }
                if let Some(Ok(frame)) = &frame {
                    let bytes = frame.data_ref().map_or(0, |data| data.remaining());
                    this.brought = this.brought.saturating_add(bytes as u64);
                }
                Poll::Ready(frame.map(|frame| frame.map_err(BodyError::from)))
            }
            Poll::Pending => {
                let left = this.left();
                let (_, timer) = this.waiting.get_or_insert_with(|| (Instant::now(), Box::pin(sleep(left))));
                match timer.as_mut().poll(cx) {
                    Poll::Ready(()) => Poll::Ready(Some(Err(BodyError::Slow))),
                    Poll::Pending => Poll::Pending,
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// The body of an answer, with what says that its connection is busy.
pub(crate) struct Answer {
    pub inner: axum::body::Body,
    pub _busy: Busy,
}

impl Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
