//! A connection's bytes: nobody is waited for without end who does not read, and a connection is closed so that the other
//! end can still read what it was answered.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// So long, and so many bytes, are read on after the end of what is written: bytes that come for a socket which is closed
/// make the other end's system throw away the answer.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 16 << 20;

/// A stream with limits.
pub(crate) struct Stream<S> {
    inner: S,
    stalled: Duration,
    stall: Option<Pin<Box<Sleep>>>,
    /// Once all is written: until when is read on, and how much was read.
    linger: Option<(Pin<Box<Sleep>>, usize)>,
}

impl<S> Stream<S> {
    pub fn new(inner: S, stalled: Duration) -> Stream<S> {
        Stream { inner, stalled, stall: None, linger: None }
    }

    /// Passes on what a write gave, unless it has waited too long.
    fn moving<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stall = None;
            return written;
        }
        let stalled = self.stalled;
        let timer = self.stall.get_or_insert_with(|| Box::pin(sleep(stalled)));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the other end does not read")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Stream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.moving(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, parts);
        self.moving(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(cx);
        self.moving(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.linger.is_none() {
            let shut = Pin::new(&mut this.inner).poll_shutdown(cx);
            if ready!(this.moving(cx, shut)).is_err() {
                return Poll::Ready(Ok(()));
            }
        }
        let (timer, read) = this.linger.get_or_insert_with(|| (Box::pin(sleep(LINGER)), 0));
        let mut space = [0; 8192];
        while timer.as_mut().poll(cx).is_pending() && *read < LINGER_BYTES {
            let mut buffer = ReadBuf::new(&mut space);
            match ready!(Pin::new(&mut this.inner).poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => *read += buffer.filled().len(),
                // Its end, or nobody is there any more.
                _ => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    #[tokio::test(start_paused = true)]
    async fn an_end_that_does_not_read_is_given_up() {
        let (ours, mut theirs) = duplex(16);
        let mut stream = Stream::new(ours, Duration::from_secs(60));
        stream.write_all(b"sixteen bytes...").await.unwrap();
        let error = stream.write_all(b"one more").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        // One that reads again in time is not.
        let mut stream = Stream::new(duplex(1).0, Duration::from_secs(60));
        let (ours, theirs_too) = duplex(16);
        stream.inner = ours;
        stream.write_all(b"sixteen bytes...").await.unwrap();
        let reader = tokio::spawn(async move {
            let mut theirs = theirs_too;
            tokio::time::sleep(Duration::from_secs(50)).await;
            let mut all = Vec::new();
            theirs.read_to_end(&mut all).await.unwrap();
            all.len()
        });
        stream.write_all(b"one more").await.unwrap();
        drop(stream);
        assert_eq!(reader.await.unwrap(), 24);
        theirs.shutdown().await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn what_still_comes_at_the_end_is_read_for_a_while() {
        let (ours, mut theirs) = duplex(64);
        let mut stream = Stream::new(ours, Duration::from_secs(60));
        theirs.write_all(&[7; 64]).await.unwrap();
        stream.shutdown().await.unwrap();
        let Stream { linger: Some((_, read)), .. } = stream else { panic!("it did not linger") };
        assert_eq!(read, 64);
    }
}
