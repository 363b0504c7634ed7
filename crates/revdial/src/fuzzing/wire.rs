//! A connection on which bytes come, in pieces of any size. Shared by path with what else is held to its promises on one.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Some bytes come on it, and then its end. What is written on it is kept.
pub(crate) struct Wire<'a> {
    /// What has not come yet.
    pub(crate) comes: &'a [u8],
    pub(crate) written: Vec<u8>,
    pieces: Vec<usize>,
    piece: usize,
    /// Whether it has been waited for.
    waited: bool,
}

impl<'a> Wire<'a> {
    pub(crate) fn new(comes: &'a [u8], pieces: &[usize]) -> Self {
        Self { comes, written: Vec::new(), pieces: pieces.to_vec(), piece: 0, waited: false }
    }
}

impl AsyncRead for Wire<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // Each piece is waited for once, so that whoever reads has to go on where it was.
        self.waited = !self.waited;
        if self.waited {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let piece = self.pieces.get(self.piece).copied().unwrap_or(usize::MAX);
        self.piece = (self.piece + 1) % self.pieces.len().max(1);
        let (now, later) = self.comes.split_at(piece.min(to.remaining()).min(self.comes.len()));
        to.put_slice(now);
        self.comes = later;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire<'_> {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        self.written.extend_from_slice(from);
        Poll::Ready(Ok(from.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
