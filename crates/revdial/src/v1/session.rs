//! A session: the connection, read and written by one future, and the handles to its streams.

use std::future::poll_fn;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{Instant, timeout, timeout_at};

use super::frame::{HEAD, Head};
use super::standstill::Standstill;
use super::state::{End, Limits, Role, State};
use super::stream::Stream;

/// What is written must be taken within this time, as by the original.
const WRITE: Duration = Duration::from_secs(60);
/// So many bytes of frames are written at once, if there are so many.
const BATCH: usize = 64 << 10;

/// The state of a session, which its handles and its streams share. The lock is held for no I/O.
#[derive(Debug, Clone)]
pub(super) struct Shared(Arc<Mutex<State>>);

impl Shared {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held but by a bug, after which the session is of no use and its end is told.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks the other end for streams.
#[derive(Debug, Clone)]
pub struct Dialer(Shared);

impl Dialer {
    /// Begins a stream. The protocol has no answer: whether the other end takes it shows by what it sends.
    ///
    /// # Errors
    /// If the session has ended, or as many streams are open as may be.
    pub fn dial(&self) -> io::Result<Stream> {
        let id = self.0.state().dial()?;
        Ok(Stream::new(self.0.clone(), id))
    }

    /// Returns why the session has ended, if it has.
    #[must_use]
    pub fn ended(&self) -> Option<End> {
        self.0.state().ended().cloned()
    }
}

/// Takes the streams that the other end begins.
#[derive(Debug)]
pub struct Listener(Shared);

impl Listener {
    /// Waits for the next stream; none once the session has ended.
    pub async fn accept(&mut self) -> Option<Stream> {
        let id = poll_fn(|cx| self.0.state().poll_accept(cx)).await?;
        Some(Stream::new(self.0.clone(), id))
    }
}

/// A session's work: reads and writes its connection until it ends. Streams move only while [`Session::run`] is awaited.
#[derive(Debug)]
pub struct Session<C> {
    shared: Shared,
    connection: C,
}

/// Makes the end that asks for streams, which is the coordinator's.
pub fn dialer<C>(connection: C, limits: Limits) -> (Dialer, Session<C>) {
    let shared = Shared(Arc::new(Mutex::new(State::new(Role::Dialer, limits))));
    (Dialer(shared.clone()), Session { shared, connection })
}

/// Makes the end that serves streams, which is the machine's.
pub fn listener<C>(connection: C, limits: Limits) -> (Listener, Session<C>) {
    let shared = Shared(Arc::new(Mutex::new(State::new(Role::Listener, limits))));
    (Listener(shared.clone()), Session { shared, connection })
}

impl<C: AsyncRead + AsyncWrite> Session<C> {
    /// Runs until the connection ends or breaks, or the other end breaks the protocol. Returns which, as the streams are
    /// told. If it is dropped before, the streams are told that the connection has ended.
    pub async fn run(self) -> End {
        let (mut reader, mut writer) = tokio::io::split(self.connection);
        let told = Told(&self.shared);
        let end = tokio::select! {
            end = receive(&mut reader, &self.shared) => end,
            end = send(&mut writer, &self.shared) => end,
        };
        told.0.state().finish(end.clone());
        end
    }
}

/// Tells the streams of the end, however it comes.
struct Told<'a>(&'a Shared);

impl Drop for Told<'_> {
    fn drop(&mut self) {
        self.0.state().finish(End::Closed);
    }
}

fn broken(error: io::Error) -> End {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => End::Closed,
        _ => End::Broken(Arc::new(error)),
    }
}

async fn receive(reader: &mut (impl AsyncRead + Unpin), shared: &Shared) -> End {
    let mut buffer = BytesMut::with_capacity(BATCH);
    let limits = shared.state().limits();
    let mut standstill = Standstill::new(limits.grace, limits.patience, Instant::now());
    loop {
        wait_for_readers(shared, &mut standstill).await;
        poll_fn(|cx| shared.state().poll_receive(cx)).await;
        let frame = match next(reader, &mut buffer).await {
            Ok(frame) => frame,
            Err(error) => return broken(error),
        };
        let Some((head, payload)) = frame else { return End::Closed };
        if let Err(end) = shared.state().receive(head, payload) {
            return end;
        }
    }
}

/// While a stream's inbox is full: waits for as long as its reader goes on, and ends it if the reader does not.
async fn wait_for_readers(shared: &Shared, standstill: &mut Standstill) {
    loop {
        // In a statement of its own, so that the lock is not held while the stream is waited for.
        let full = shared.state().full();
        let Some((stream, held)) = full else { return };
        let until = standstill.stop(Instant::now());
        let taken = poll_fn(|cx| shared.state().poll_taken(stream, held, cx));
        if timeout_at(until, taken).await.is_ok() {
            standstill.taken(Instant::now());
        } else {
            standstill.in_vain(Instant::now());
            tracing::debug!(stream, "nobody reads a stream; it is ended");
            shared.state().give_up(stream);
        }
    }
}

/// The next frame; none where the connection ends between two.
async fn next(
    reader: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
) -> io::Result<Option<(Head, Bytes)>> {
    while buffer.len() < HEAD {
        if reader.read_buf(buffer).await? == 0 {
            return if buffer.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
        }
    }
    let mut head = [0; HEAD];
    head.copy_from_slice(&buffer.split_to(HEAD));
    let head = Head::from_bytes(head);
    let length = usize::from(head.length);
    buffer.reserve(length.saturating_sub(buffer.len()).max(HEAD));
    while buffer.len() < length {
        if reader.read_buf(buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    // A copy of its own: a small frame that waits to be read must not hold the large buffer that it came in.
    Ok(Some((head, Bytes::copy_from_slice(&buffer.split_to(length)))))
}

async fn send(writer: &mut (impl AsyncWrite + Unpin), shared: &Shared) -> End {
    let mut batch = BytesMut::with_capacity(BATCH);
    loop {
        let (head, payload) = poll_fn(|cx| shared.state().poll_send(cx)).await;
        batch.extend_from_slice(&head.to_bytes());
        batch.extend_from_slice(&payload);
        // What else is ready goes with it.
        while batch.len() < BATCH {
            let more = poll_fn(|cx| std::task::Poll::Ready(shared.state().poll_send(cx))).await;
            let std::task::Poll::Ready((head, payload)) = more else { break };
            batch.extend_from_slice(&head.to_bytes());
            batch.extend_from_slice(&payload);
        }
        let written = timeout(WRITE, async {
            writer.write_all(&batch).await?;
            writer.flush().await
        });
        match written.await {
            Ok(Ok(())) => batch.clear(),
            Ok(Err(error)) => return broken(error),
            Err(_) => {
                let error = io::Error::new(io::ErrorKind::TimedOut, "the other end does not read");
                return broken(error);
            }
        }
    }
}
