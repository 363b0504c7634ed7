//! Bytes of the other end, whatever they are, in each protocol and role.
//!
//! The targets of `fuzz/` run these functions on a fuzzer's bytes, and the test below on their seeds and on random ones. No program
//! has them in it.

mod frames;
mod lines;

pub use frames::v1;
pub use lines::v2;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A connection on which some bytes come, so many at once, and then its end. What is written on it is kept.
struct Wire<'a> {
    comes: &'a [u8],
    at_once: usize,
    written: Vec<u8>,
}

impl<'a> Wire<'a> {
    fn new(comes: &'a [u8], at_once: usize) -> Self {
        Self { comes, at_once: at_once.max(1), written: Vec::new() }
    }
}

impl AsyncRead for Wire<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let most = self.at_once.min(to.remaining()).min(self.comes.len());
        let (now, later) = self.comes.split_at(most);
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
fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.expect("a runtime").block_on(future)
}

#[cfg(test)]
mod tests {
    use testkit::hold;

    #[test]
    fn frames_of_any_kind_reach_their_streams_or_end_the_session() {
        hold("revdial-v1", super::v1);
    }

    #[test]
    fn heads_and_lines_of_any_kind_are_read_or_refused() {
        hold("revdial-v2", super::v2);
    }
}
