//! A connection that can be cut from outside.
//!
//! The protocol runs in a task of its own; it ends when what it reads from and writes to does.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// A stream that fails once it was cut.
pub(super) struct Severed<S> {
    inner: S,
    /// Both halves wait for it, each in its own task's words.
    reading: Pin<Box<WaitForCancellationFutureOwned>>,
    writing: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl<S> Severed<S> {
    pub(super) fn new(inner: S, cut: CancellationToken) -> Self {
        let (reading, writing) = (cut.clone().cancelled_owned(), cut.cancelled_owned());
        Self { inner, reading: Box::pin(reading), writing: Box::pin(writing) }
    }

    fn write<T>(
        &mut self,
        cx: &mut Context<'_>,
        poll: impl FnOnce(Pin<&mut S>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>>
    where
        S: Unpin,
    {
        match self.writing.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(cut())),
            Poll::Pending => poll(Pin::new(&mut self.inner), cx),
        }
    }
}

fn cut() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the connection was cut")
}

impl<S: AsyncRead + Unpin> AsyncRead for Severed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.reading.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(cut())),
            Poll::Pending => Pin::new(&mut self.inner).poll_read(cx, buf),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Severed<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.write(cx, |inner, cx| inner.poll_write(cx, data))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.write(cx, |inner, cx| inner.poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.write(cx, |inner, cx| inner.poll_shutdown(cx))
    }
}
