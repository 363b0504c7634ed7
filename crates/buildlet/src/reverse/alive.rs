//! A control connection that ends if its other end falls silent.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// Fails to be read if no line ends on it for a while. A coordinator that lost its power closes nothing: without this, the
/// machine would wait for it for ever, and would be missing once it is back.
pub(super) struct Alive<S> {
    inner: S,
    silence: Duration,
    end: Pin<Box<Sleep>>,
}

impl<S> Alive<S> {
    /// Takes a connection that has just been answered.
    pub(super) fn new(inner: S, silence: Duration) -> Self {
        Self { inner, silence, end: Box::pin(sleep(silence)) }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Alive<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        // What has come counts, however late it is read.
        if let Poll::Ready(read) = Pin::new(&mut this.inner).poll_read(cx, buf) {
            if buf.filled().iter().skip(before).any(|byte| *byte == b'\n') {
                this.end.as_mut().reset(Instant::now() + this.silence);
            }
            return Poll::Ready(read);
        }
        this.end.as_mut().poll(cx).map(|()| {
            let text = format!("no sign of life for {} s", this.silence.as_secs());
            Err(io::Error::new(io::ErrorKind::TimedOut, text))
        })
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Alive<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    const SILENCE: Duration = Duration::from_secs(90);

    #[tokio::test(start_paused = true)]
    async fn lines_keep_it_alive_and_bytes_without_an_end_do_not() {
        let (ours, mut theirs) = duplex(64);
        let mut ours = Alive::new(ours, SILENCE);
        let began = Instant::now();
        let speak = async {
            for _ in 0..3 {
                tokio::time::sleep(Duration::from_secs(60)).await;
                theirs.write_all(b"{}\n").await.unwrap();
            }
            loop {
                tokio::time::sleep(Duration::from_secs(20)).await;
                theirs.write_all(b" ").await.unwrap();
            }
        };
        let mut got = Vec::new();
        let error = tokio::select! {
            read = ours.read_to_end(&mut got) => read.unwrap_err(),
            () = speak => unreachable!("it speaks for ever"),
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(error.to_string(), "no sign of life for 90 s");
        assert!(got.starts_with(b"{}\n{}\n{}\n "));
        assert_eq!((Instant::now() - began).as_secs(), 180 + 90);
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_that_came_in_time_and_is_read_late_counts() {
        let (ours, mut theirs) = duplex(64);
        let mut ours = Alive::new(ours, SILENCE);
        theirs.write_all(b"{}\n").await.unwrap();
        tokio::time::sleep(SILENCE * 2).await;
        assert_eq!(ours.read(&mut [0; 8]).await.unwrap(), 3);
    }
}
