//! A connection on which bytes come, in pieces of any size.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use arbitrary::Unstructured;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{number, one};

/// How many bytes come at once, one after another and from the start again.
pub(super) fn pieces(u: &mut Unstructured<'_>) -> Vec<usize> {
    (0..=number(u, 3)).map(|_| *one(u, &[1, 2, 3, 7, 64, 5000])).collect()
}

/// Some bytes come on it, and then its end. What is written on it is kept.
pub(super) struct Wire<'a> {
    /// What has not come yet.
    pub(super) comes: &'a [u8],
    pub(super) written: Vec<u8>,
    pieces: Vec<usize>,
    piece: usize,
    /// Whether it has been waited for.
    waited: bool,
}

impl<'a> Wire<'a> {
    pub(super) fn new(comes: &'a [u8], pieces: &[usize]) -> Self {
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

/// Runs to the end; nothing here waits for time to pass.
pub(super) fn run<T>(future: impl Future<Output = T>) -> T {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    }
    RUNTIME.with(|runtime| runtime.block_on(future))
}
