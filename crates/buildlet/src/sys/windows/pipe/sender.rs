//! The end that is written to.

use std::io::{self, PipeWriter, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;
use tokio::sync::mpsc;
use tokio_util::sync::PollSender;

/// What is written at once, in bytes.
const CHUNK: usize = 64 << 10;

/// Writes what goes through a pipe.
///
/// Its thread ends when the sender is dropped, and then the pipe does; or when nobody reads it any more, as the end of the command's
/// job sees to.
pub(crate) fn sender(mut writer: PipeWriter) -> io::Result<Sender> {
    let (send, mut pieces) = mpsc::channel::<Vec<u8>>(1);
    let write = move || {
        while let Some(piece) = pieces.blocking_recv() {
            if writer.write_all(&piece).is_err() {
                return;
            }
        }
    };
    std::thread::Builder::new().name("input".into()).spawn(write)?;
    Ok(Sender(PollSender::new(send)))
}

/// The end that is written to. What it has taken may not be written yet, and is lost where the command reads no more.
pub(crate) struct Sender(PollSender<Vec<u8>>);

impl AsyncWrite for Sender {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let broken = || io::Error::from(io::ErrorKind::BrokenPipe);
        if ready!(self.0.poll_reserve(cx)).is_err() {
            return Poll::Ready(Err(broken()));
        }
        let piece = data.get(..CHUNK).unwrap_or(data);
        let sent = self.0.send_item(piece.to_vec()).map_err(|_gone| broken());
        Poll::Ready(sent.map(|()| piece.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.close();
        Poll::Ready(Ok(()))
    }
}
