//! A stream of a session, to read and to write.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::session::Shared;

/// A stream. It has no half: once it is shut down or dropped, both ways are closed, and what came and was not read is lost.
///
/// Reading gives an error, and not an end, where the session ended before the stream, and where nobody read for
/// [`Limits::patience`](super::Limits::patience) what filled its inbox.
#[derive(Debug)]
pub struct Stream {
    shared: Shared,
    id: u32,
}

impl Stream {
    pub(super) fn new(shared: Shared, id: u32) -> Stream {
        Stream { shared, id }
    }

    /// Returns its number in the session.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.shared.state().poll_read(self.id, cx, to)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        self.shared.state().poll_write(self.id, cx, from)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // What is written is sent as soon as the connection takes it.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shared.state().close(self.id);
        Poll::Ready(Ok(()))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.shared.state().abandon(self.id);
    }
}
