//! Makes a connection's first request accept trailers.
//!
//! hyper drops trailers unless the request says `TE: trailers`, which Go's clients never say; without the
//! trailer of `/exec`, they take every command for a failure of the system. So the header is put in behind the
//! first request line. Requests that do not say it themselves get `Connection: close` in their answer (see
//! `http.rs`), so that each such request is a connection's first.
//!
//! In the same way hyper gives a connection away only to a request with an `Upgrade`, which the original's clients do not send
//! with `/connect-ssh` though an upgrade is all it is.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const HEADER: &[u8] = b"te: trailers\r\n";
/// How a request begins that is for a tunnel, and what it is given.
const TUNNEL: &[u8] = b"POST /connect-ssh";
const UPGRADE: &[u8] = b"upgrade: ssh\r\n";

/// A connection with the header put in.
pub(crate) struct WithTrailers<S> {
    inner: S,
    /// The bytes of the first line's end seen so far matter only for being empty: a leading CRLF is no line.
    line: usize,
    /// Whether the line so far is how one for a tunnel begins.
    tunnel: bool,
    done: bool,
    /// Read, and not yet given on.
    pending: Vec<u8>,
    given: usize,
}

impl<S> WithTrailers<S> {
    pub(crate) fn new(inner: S) -> Self {
        Self { inner, line: 0, tunnel: true, done: false, pending: Vec::new(), given: 0 }
    }

    /// Copies what was read, with the header behind the first line's end.
    fn take(&mut self, data: &[u8]) {
        for (index, byte) in data.iter().enumerate() {
            self.pending.push(*byte);
            match byte {
                b'\n' if self.line > 0 => {
                    self.done = true;
                    self.pending.extend_from_slice(HEADER);
                    if self.tunnel && self.line >= TUNNEL.len() {
                        self.pending.extend_from_slice(UPGRADE);
                    }
                    self.pending.extend_from_slice(data.get(index + 1..).unwrap_or_default());
                    return;
                }
                b'\r' | b'\n' => {}
                _ => {
                    self.tunnel &= TUNNEL.get(self.line).is_none_or(|want| want == byte);
                    self.line += 1;
                }
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WithTrailers<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.given == this.pending.len() {
            if this.done {
                this.pending = Vec::new();
                this.given = 0;
                return Pin::new(&mut this.inner).poll_read(cx, buf);
            }
            let mut bytes = [0; 2048];
            let mut read = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut this.inner).poll_read(cx, &mut read))?;
            if read.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            this.pending.clear();
            this.given = 0;
            this.take(read.filled());
        }
        let rest = this.pending.get(this.given..).unwrap_or_default();
        let now = rest.get(..rest.len().min(buf.remaining())).unwrap_or_default();
        buf.put_slice(now);
        this.given += now.len();
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WithTrailers<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[tokio::test]
    async fn a_request_for_a_tunnel_is_one_for_an_upgrade() {
        for (line, wants) in [
            ("POST /connect-ssh HTTP/1.1", true),
            ("POST /connect-ssh?x HTTP/1.1", true),
            ("POST /connect-s HTTP/1.1", false),
            ("GET /connect-ssh HTTP/1.1", false),
            ("POST /connect", false),
        ] {
            let (mut client, server) = tokio::io::duplex(256);
            client.write_all(format!("{line}\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
            drop(client);
            let mut got = String::new();
            WithTrailers::new(server).read_to_string(&mut got).await.unwrap();
            let upgrade = if wants { "upgrade: ssh\r\n" } else { "" };
            assert_eq!(got, format!("{line}\r\nte: trailers\r\n{upgrade}Host: x\r\n\r\n"));
        }
    }

    #[tokio::test]
    async fn the_header_comes_behind_the_first_line_however_it_is_cut() {
        let request = b"\r\nPOST /exec HTTP/1.1\r\nHost: x\r\n\r\nbody\nbody";
        let want = b"\r\nPOST /exec HTTP/1.1\r\nte: trailers\r\nHost: x\r\n\r\nbody\nbody";
        for cut in 0..=request.len() {
            let (mut client, server) = tokio::io::duplex(256);
            let mut server = WithTrailers::new(server);
            let mut got = Vec::new();
            client.write_all(&request[..cut]).await.unwrap();
            if cut > 0 {
                let mut some = [0; 3];
                let n = server.read(&mut some).await.unwrap();
                got.extend_from_slice(&some[..n]);
            }
            client.write_all(&request[cut..]).await.unwrap();
            drop(client);
            server.read_to_end(&mut got).await.unwrap();
            assert_eq!(got, want, "cut at {cut}");
        }
    }
}
