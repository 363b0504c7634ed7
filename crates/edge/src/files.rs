//! What lies in a file and is mapped can be sent by the system from there, without a copy of it.
//!
//! An answer's body is then what it always is, bytes in memory: nothing above knows. Where such bytes come to be written into a
//! connection without TLS, they are recognised by where they lie, and `sendfile` is called in place of `write`.

use std::fs::File;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Says in which file bytes in memory lie, and from where on in it; none where they lie in no file.
///
/// What is sent is what the file has: it has to be what the bytes are, for as long as they are there. So they are of a mapping
/// that still is, of a file that is never changed there.
pub type Files = Arc<dyn Fn(&[u8]) -> Option<(Arc<File>, u64)> + Send + Sync>;

/// Fewer bytes are copied: that costs less than to look for them.
const LEAST: usize = 16 << 10;

/// A connection that sends from files.
pub(crate) struct Sending {
    stream: TcpStream,
    files: Option<Files>,
}

impl Sending {
    pub fn new(stream: TcpStream, files: Option<Files>) -> Self {
        Self { stream, files }
    }

    fn lies(&self, bytes: &[u8]) -> Option<(Arc<File>, u64)> {
        self.files.as_ref().filter(|_| bytes.len() >= LEAST)?(bytes)
    }

    /// Sends from a file as much as the connection takes.
    #[cfg(target_os = "linux")]
    fn send(&self, cx: &mut Context<'_>, file: &File, from: u64, length: usize) -> Poll<io::Result<usize>> {
        loop {
            std::task::ready!(self.stream.poll_write_ready(cx))?;
            let send = || Ok(rustix::fs::sendfile(&self.stream, file, Some(&mut { from }), length)?);
            match self.stream.try_io(tokio::io::Interest::WRITABLE, send) {
                // It was ready, and is no more.
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => {}
                // Somebody cut it, whatever was said.
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                sent => return Poll::Ready(sent),
            }
        }
    }
}

impl AsyncRead for Sending {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Sending {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        #[cfg(target_os = "linux")]
        if let Some((file, from)) = self.lies(bytes) {
            return self.send(cx, &file, from, bytes.len());
        }
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // What is before the first of a file goes first.
        let found = parts.iter().enumerate().find_map(|(at, part)| Some((at, self.lies(part)?)));
        match found {
            #[cfg(target_os = "linux")]
            Some((at, (file, from))) if parts[..at].iter().all(|part| part.is_empty()) => {
                self.send(cx, &file, from, parts[at].len())
            }
            Some((at, _)) if at > 0 => Pin::new(&mut self.stream).poll_write_vectored(cx, &parts[..at]),
            _ => Pin::new(&mut self.stream).poll_write_vectored(cx, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
