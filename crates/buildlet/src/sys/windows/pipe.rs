//! Our ends of pipes to commands. Nobody can be told here when there is something to read or room to write, so a thread does it.

use std::io::{self, PipeReader, Read as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::{Mutex, mpsc};

#[cfg(feature = "ssh")]
mod sender;

#[cfg(feature = "ssh")]
pub(crate) use sender::{Sender, sender};

/// What is read at once, in bytes.
const CHUNK: usize = 64 << 10;

/// Reads what comes through a pipe.
///
/// Its thread ends with the pipe: when all who write to it have closed it, as the end of the command's job sees to, or with the next
/// thing that is read once nobody listens.
pub(crate) fn receiver(mut reader: PipeReader) -> io::Result<Receiver> {
    // One piece waits while the next is read; then the command waits.
    let (send, pieces) = mpsc::channel(1);
    let read = move || {
        loop {
            let mut piece = vec![0; CHUNK];
            let read = match reader.read(&mut piece) {
                Ok(0) => return,
                Ok(read) => {
                    piece.truncate(read);
                    Ok(piece)
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // The end of the last who wrote.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return,
                Err(error) => Err(error),
            };
            if read.is_err() | send.blocking_send(read).is_err() {
                return;
            }
        }
    };
    std::thread::Builder::new().name("output".into()).spawn(read)?;
    Ok(Receiver(Mutex::new(State { pieces, piece: Vec::new(), at: 0, ended: false })))
}

/// The end that is read from.
pub(crate) struct Receiver(Mutex<State>);

struct State {
    pieces: mpsc::Receiver<io::Result<Vec<u8>>>,
    piece: Vec<u8>,
    at: usize,
    ended: bool,
}

impl State {
    fn take(&mut self, next: Option<io::Result<Vec<u8>>>) -> io::Result<()> {
        match next {
            Some(piece) => (self.piece, self.at) = (piece?, 0),
            None => self.ended = true,
        }
        Ok(())
    }
}

impl Receiver {
    /// Returns once there is something to read, or nothing more to come. May be dropped and asked again.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        let mut state = self.0.lock().await;
        if state.at < state.piece.len() || state.ended {
            return Ok(());
        }
        let next = state.pieces.recv().await;
        state.take(next)
    }

    /// Reads what is there; nothing once all have closed it.
    pub(crate) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.0.try_lock().map_err(|_busy| io::ErrorKind::WouldBlock)?;
        if state.at == state.piece.len() && !state.ended {
            match state.pieces.try_recv() {
                Ok(piece) => state.take(Some(piece))?,
                Err(mpsc::error::TryRecvError::Empty) => return Err(io::ErrorKind::WouldBlock.into()),
                Err(mpsc::error::TryRecvError::Disconnected) => state.ended = true,
            }
        }
        let read = io::Read::read(&mut state.piece.get(state.at..).unwrap_or_default(), buffer)?;
        state.at += read;
        Ok(read)
    }
}

impl AsyncRead for Receiver {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let state = self.0.get_mut();
        if state.at == state.piece.len() && !state.ended {
            let next = ready!(state.pieces.poll_recv(cx));
            state.take(next)?;
        }
        let rest = state.piece.get(state.at..).unwrap_or_default();
        let read = rest.len().min(buffer.remaining());
        buffer.put_slice(rest.get(..read).unwrap_or_default());
        state.at += read;
        Poll::Ready(Ok(()))
    }
}
