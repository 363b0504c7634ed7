//! A response's bytes as they come.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::Stream;
use http::HeaderMap;
use http_body::Body as _;
use hyper::body::Incoming;

use crate::error::Error;
use crate::pool::{Conn, Pool};

/// The bytes of a command's output, a file or an archive.
///
/// It ends cleanly only if the agent said so; a cut connection is an [`Error::Unreachable`] item, after which
/// the reader asks again from its own offset. Dropping it closes the connection.
pub struct OutputStream {
    body: Incoming,
    conn: Option<Conn>,
    pool: Arc<Pool>,
    trailers: Option<HeaderMap>,
    done: bool,
}

impl OutputStream {
    pub(crate) fn new(body: Incoming, conn: Conn, pool: Arc<Pool>) -> Self {
        Self { body, conn: Some(conn), pool, trailers: None, done: false }
    }

    /// Returns a trailer's value, once the stream has ended.
    pub fn trailer(&self, name: &str) -> Option<&str> {
        self.trailers.as_ref()?.get(name)?.to_str().ok()
    }
}

impl std::fmt::Debug for OutputStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OutputStream").field("done", &self.done).finish_non_exhaustive()
    }
}

impl Stream for OutputStream {
    type Item = Result<Bytes, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.done {
            return Poll::Ready(None);
        }
        loop {
            match std::task::ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if data.is_empty() => {}
                    Ok(data) => return Poll::Ready(Some(Ok(data))),
                    Err(frame) => self.trailers = frame.into_trailers().ok(),
                },
                Some(Err(error)) => {
                    self.done = true;
                    self.conn = None;
                    return Poll::Ready(Some(Err(Error::Unreachable {
                        address: self.pool.address.to_string(),
                        doing: "reading the answer",
                        source: Box::new(error),
                    })));
                }
                None => {
                    self.done = true;
                    if let Some(conn) = self.conn.take() {
                        self.pool.give_back(conn);
                    }
                    return Poll::Ready(None);
                }
            }
        }
    }
}
