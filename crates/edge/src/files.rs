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
                Err(why) if matches!(why.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                // Somebody cut it, whatever was said.
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                sent => return Poll::Ready(sent),
            }
        }
    }
}

/// Whether a file system, or who watches over this process, does not let files be sent. Nothing was sent then, and the bytes
/// go from memory.
#[cfg(target_os = "linux")]
fn is_not_able(why: &io::Error) -> bool {
    use rustix::io::Errno;
    [Errno::INVAL, Errno::NOSYS, Errno::OPNOTSUPP, Errno::PERM]
        .iter()
        .any(|errno| why.raw_os_error() == Some(errno.raw_os_error()))
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
            match self.send(cx, &file, from, bytes.len()) {
                Poll::Ready(Err(why)) if is_not_able(&why) => self.files = None,
                sent => return sent,
            }
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
                match self.send(cx, &file, from, parts[at].len()) {
                    Poll::Ready(Err(why)) if is_not_able(&why) => {
                        self.files = None;
                        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
                    }
                    sent => sent,
                }
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

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::IoSlice;

    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    const LENGTH: usize = 8 << 20;

    #[tokio::test]
    async fn what_lies_in_a_file_is_sent_from_there_and_all_else_from_memory() {
        let dir = tempfile::tempdir().unwrap();
        // Other bytes than in memory, by which is seen where they came from.
        let in_file: Vec<u8> = (0..LENGTH).map(|at| u8::try_from(at % 251).unwrap()).collect();
        std::fs::write(dir.path().join("file"), &in_file).unwrap();
        let (file, memory) =
            (Arc::new(File::open(dir.path().join("file")).unwrap()), Arc::new(vec![255; LENGTH]));
        let files: Files = Arc::new({
            let memory = memory.clone();
            move |bytes| {
                let from = bytes.as_ptr().addr().checked_sub(memory.as_ptr().addr())?;
                (from + bytes.len() <= LENGTH).then(|| (file.clone(), from as u64))
            }
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (client, served) =
            tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        let (mut client, mut sending) = (client.unwrap(), Sending::new(served.unwrap().0, Some(files)));
        let read = tokio::spawn(async move {
            let mut all = Vec::new();
            client.read_to_end(&mut all).await.map(|_| all)
        });
        let parts = [IoSlice::new(b""), IoSlice::new(b"head"), IoSlice::new(&memory)];
        assert_eq!(sending.write_vectored(&parts).await.unwrap(), 4, "what is before it, alone");
        let parts = [IoSlice::new(b""), IoSlice::new(&memory), IoSlice::new(b"end")];
        let sent = sending.write_vectored(&parts).await.unwrap();
        sending.write_all(&memory[sent..]).await.unwrap();
        // Few bytes are not looked for.
        sending.write_all(&memory[..LEAST - 1]).await.unwrap();
        sending.write_all(&[254; LEAST]).await.unwrap();
        sending.shutdown().await.unwrap();
        let all = read.await.unwrap().unwrap();
        let want = [&b"head"[..], &in_file, &vec![255; LEAST - 1], &[254; LEAST]].concat();
        assert_eq!(all.len(), want.len());
        // What is left of it may be few bytes at the end.
        let (sure, end) = (4 + LENGTH - LEAST, 4 + LENGTH);
        assert!(all[..sure] == want[..sure] && all[end..] == want[end..]);
    }

    #[tokio::test]
    async fn a_file_that_is_shorter_than_was_said_ends_the_connection() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("file"), [7; 10]).unwrap();
        let file = Arc::new(File::open(dir.path().join("file")).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (client, served) =
            tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        let (_client, mut sending) = (
            client.unwrap(),
            Sending::new(served.unwrap().0, Some(Arc::new(move |_| Some((file.clone(), 0))))),
        );
        let memory = vec![0; LEAST];
        assert_eq!(sending.write(&memory).await.unwrap(), 10);
        let empty = dir.path().join("empty");
        File::create(&empty).unwrap();
        sending.files = Some(Arc::new(move |_| Some((Arc::new(File::open(&empty).ok()?), 0))));
        assert_eq!(sending.write(&memory).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
