//! What both ends know of their streams; a state machine that does no I/O.
//!
//! How a stream is bounded that is not read, and why so, is said of the module above.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::ReadBuf;

use super::frame::{Head, Kind};
use super::inbox::Inbox;

/// What a session may hold.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of a stream that were received and not read yet; a frame more may be held.
    pub inbox: usize,
    /// How long the reader of a stream whose inbox is full may take nothing, at most; all streams stand still meanwhile. It
    /// is less where streams that were not read have used up a tenth of the time that the session has lived.
    pub patience: Duration,
    /// How much of that a session has at its beginning.
    pub grace: Duration,
    /// Bytes of a stream that were written and not sent yet.
    pub outbox: usize,
    /// Streams at once; a listener closes one more at once.
    pub streams: usize,
    /// Streams that a listener was given and has not accepted; while there are so many, nothing is read.
    pub backlog: usize,
    /// Bytes of a frame that is sent, at most 65535. Small ones let streams take turns.
    pub frame: u16,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            inbox: 4 << 20,
            patience: Duration::from_secs(1),
            grace: Duration::from_millis(100),
            outbox: 256 << 10,
            streams: 1000,
            backlog: 8,
            frame: 32 << 10,
        }
    }
}

/// Which end it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Dialer,
    Listener,
}

/// Why a session has ended.
#[derive(Debug, Clone, thiserror::Error)]
pub enum End {
    /// The connection has ended.
    #[error("the connection has ended")]
    Closed,
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(std::sync::Arc<io::Error>),
    /// The other end said what it may not say.
    #[error("the other end broke the protocol: {0}")]
    Protocol(String),
}

/// What became of a stream's own end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Local {
    Open,
    /// It is closed once all that was written is sent.
    Closing,
    Closed,
}

#[derive(Debug)]
struct Entry {
    /// Whether somebody holds the stream, who is still to be told what became of it.
    handle: bool,
    /// The other end is still to be told of it.
    announce: bool,
    inbox: Inbox,
    outbox: BytesMut,
    /// Whether it stands in the queue of those that have something to send.
    queued: bool,
    local: Local,
    remote_closed: bool,
    /// It was ended because nobody read it.
    behind: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Entry {
    fn new(announce: bool) -> Entry {
        Entry {
            handle: true,
            announce,
            inbox: Inbox::default(),
            outbox: BytesMut::new(),
            queued: false,
            local: Local::Open,
            remote_closed: false,
            behind: false,
            reader: None,
            writer: None,
        }
    }

    fn wake(&mut self) {
        [self.reader.take(), self.writer.take()].into_iter().flatten().for_each(Waker::wake);
    }
}

/// A session's streams.
#[derive(Debug)]
pub(super) struct State {
    role: Role,
    limits: Limits,
    next: u32,
    streams: HashMap<u32, Entry>,
    /// Those that have something to send, in turn.
    queue: VecDeque<u32>,
    backlog: VecDeque<u32>,
    /// The stream whose inbox is full: nothing is read until it is not.
    full: Option<u32>,
    end: Option<End>,
    /// Whoever sends, and whoever receives where that had to stop.
    sender: Option<Waker>,
    receiver: Option<Waker>,
    acceptor: Option<Waker>,
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

fn behind() -> io::Error {
    io::Error::other("this stream was ended, since nobody read what came for it")
}

impl State {
    pub(super) fn new(role: Role, limits: Limits) -> State {
        State {
            role,
            limits,
            next: 1,
            streams: HashMap::new(),
            queue: VecDeque::new(),
            backlog: VecDeque::new(),
            full: None,
            end: None,
            sender: None,
            receiver: None,
            acceptor: None,
        }
    }

    pub(super) fn limits(&self) -> Limits {
        self.limits
    }

    pub(super) fn ended(&self) -> Option<&End> {
        self.end.as_ref()
    }

    fn enqueue(&mut self, stream: u32) {
        if let Some(entry) = self.streams.get_mut(&stream)
            && !entry.queued
        {
            entry.queued = true;
            self.queue.push_back(stream);
            wake(&mut self.sender);
        }
    }

    /// Begins a stream, as a dialer.
    pub(super) fn dial(&mut self) -> io::Result<u32> {
        if let Some(end) = &self.end {
            return Err(io::Error::new(io::ErrorKind::NotConnected, end.clone()));
        }
        if self.streams.len() >= self.limits.streams {
            return Err(io::Error::other(format!(
                "{} streams are open on this connection",
                self.streams.len()
            )));
        }
        // There are fewer streams than numbers.
        while self.streams.contains_key(&self.next) {
            self.next = self.next.wrapping_add(1);
        }
        let stream = self.next;
        self.next = self.next.wrapping_add(1);
        self.streams.insert(stream, Entry::new(true));
        self.enqueue(stream);
        Ok(stream)
    }

    /// Takes the next stream that the other end began; none once the session has ended.
    pub(super) fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Option<u32>> {
        if let Some(stream) = self.backlog.pop_front() {
            wake(&mut self.receiver);
            return Poll::Ready(Some(stream));
        }
        if self.end.is_some() {
            return Poll::Ready(None);
        }
        self.acceptor = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Whether another frame may be read: not while the backlog is full.
    pub(super) fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.backlog.len() < self.limits.backlog {
            return Poll::Ready(());
        }
        self.receiver = Some(cx.waker().clone());
        Poll::Pending
    }

    /// The stream for whose reader is waited, and how much it has to take.
    pub(super) fn full(&mut self) -> Option<(u32, usize)> {
        let stream = self.full?;
        let open = self.streams.get(&stream).filter(|entry| entry.local == Local::Open);
        match open.map(|entry| entry.inbox.held()) {
            Some(held) if held >= self.limits.inbox => Some((stream, held)),
            _ => {
                self.full = None;
                None
            }
        }
    }

    /// Whether some was taken of a full stream since it held so much, or it is over.
    pub(super) fn poll_taken(&mut self, stream: u32, held: usize, cx: &mut Context<'_>) -> Poll<()> {
        match self.streams.get(&stream) {
            Some(entry) if entry.local == Local::Open && entry.inbox.held() >= held => {
                self.receiver = Some(cx.waker().clone());
                Poll::Pending
            }
            _ => Poll::Ready(()),
        }
    }

    /// Ends a stream that nobody reads.
    pub(super) fn give_up(&mut self, stream: u32) {
        let Some(entry) = self.streams.get_mut(&stream) else { return };
        entry.behind = true;
        entry.inbox.clear();
        entry.outbox.clear();
        entry.local = Local::Closing;
        entry.wake();
        self.enqueue(stream);
    }

    /// Takes a frame of the other end in.
    pub(super) fn receive(&mut self, head: Head, payload: Bytes) -> Result<(), End> {
        let stream = head.stream;
        match (head.kind, self.role) {
            (Kind::New, Role::Dialer) => {
                return Err(End::Protocol(format!("a listener began stream {stream}")));
            }
            (Kind::New, Role::Listener) => {
                if self.streams.contains_key(&stream) {
                    return Err(End::Protocol(format!("stream {stream} was begun twice")));
                }
                let mut entry = Entry::new(false);
                if self.streams.len() >= self.limits.streams {
                    // It is not accepted, and stays known until the other end has closed it too.
                    entry.handle = false;
                    entry.local = Local::Closing;
                    self.streams.insert(stream, entry);
                    self.enqueue(stream);
                    if self.streams.len() > self.limits.streams * 2 {
                        return Err(End::Protocol("streams are begun and never closed".into()));
                    }
                } else {
                    self.streams.insert(stream, entry);
                    self.backlog.push_back(stream);
                    wake(&mut self.acceptor);
                }
            }
            (Kind::Data, _) => {
                let Some(entry) = self.streams.get_mut(&stream) else { return Ok(()) };
                if entry.local != Local::Open || entry.remote_closed || payload.is_empty() {
                    return Ok(());
                }
                entry.inbox.push(payload);
                if entry.inbox.held() >= self.limits.inbox {
                    self.full = Some(stream);
                }
                wake(&mut entry.reader);
            }
            (Kind::Close, _) => {
                let Some(entry) = self.streams.get_mut(&stream) else { return Ok(()) };
                entry.remote_closed = true;
                wake(&mut entry.reader);
                self.forget(stream);
            }
            (Kind::Other(_), _) => {}
        }
        Ok(())
    }

    /// Gives the next frame that is to be sent; registers whoever sends where there is none.
    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<(Head, Bytes)> {
        while let Some(stream) = self.queue.pop_front() {
            let Some(entry) = self.streams.get_mut(&stream) else { continue };
            entry.queued = false;
            let frame = |kind, length| Head { kind, stream, length };
            if entry.announce {
                entry.announce = false;
                if !entry.outbox.is_empty() || entry.local == Local::Closing {
                    self.enqueue(stream);
                }
                return Poll::Ready((frame(Kind::New, 0), Bytes::new()));
            }
            if !entry.outbox.is_empty() {
                let length = entry.outbox.len().min(self.limits.frame.max(1).into());
                let payload = entry.outbox.split_to(length).freeze();
                wake(&mut entry.writer);
                if !entry.outbox.is_empty() || entry.local == Local::Closing {
                    self.enqueue(stream);
                }
                return Poll::Ready((frame(Kind::Data, length as u16), payload));
            }
            if entry.local == Local::Closing {
                entry.local = Local::Closed;
                self.forget(stream);
                return Poll::Ready((frame(Kind::Close, 0), Bytes::new()));
            }
        }
        self.sender = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Forgets a stream that is over and that nobody holds: for a dialer once it has closed it, for a listener once both have.
    fn forget(&mut self, stream: u32) {
        let over = self.streams.get(&stream).is_some_and(|entry| {
            entry.local == Local::Closed
                && !entry.handle
                && (entry.remote_closed || self.role == Role::Dialer)
        });
        if over {
            self.streams.remove(&stream);
        }
    }

    pub(super) fn poll_read(
        &mut self,
        stream: u32,
        cx: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(entry) = self.streams.get_mut(&stream) else {
            // Nobody reads who let go of it.
            return Poll::Ready(Ok(()));
        };
        if entry.inbox.held() > 0 {
            entry.inbox.take(to);
            if self.full == Some(stream) {
                wake(&mut self.receiver);
            }
            return Poll::Ready(Ok(()));
        }
        if entry.behind {
            return Poll::Ready(Err(behind()));
        }
        if entry.remote_closed || entry.local != Local::Open {
            return Poll::Ready(Ok(()));
        }
        if let Some(end) = &self.end {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionAborted, end.clone())));
        }
        entry.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    pub(super) fn poll_write(
        &mut self,
        stream: u32,
        cx: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        if let Some(end) = &self.end {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::BrokenPipe, end.clone())));
        }
        let most = self.limits.outbox;
        let Some(entry) = self.streams.get_mut(&stream).filter(|entry| entry.local == Local::Open) else {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        };
        let room = most.saturating_sub(entry.outbox.len());
        if room == 0 {
            entry.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let length = room.min(from.len());
        entry.outbox.extend_from_slice(&from[..length]);
        if length > 0 {
            self.enqueue(stream);
        }
        Poll::Ready(Ok(length))
    }

    /// Closes a stream once what was written is sent.
    pub(super) fn close(&mut self, stream: u32) {
        let Some(entry) = self.streams.get_mut(&stream) else { return };
        if entry.local == Local::Open {
            entry.local = Local::Closing;
            self.enqueue(stream);
            wake(&mut self.receiver);
        }
    }

    /// Nobody holds the stream any more: what came for it is let go.
    pub(super) fn abandon(&mut self, stream: u32) {
        self.close(stream);
        if let Some(entry) = self.streams.get_mut(&stream) {
            entry.handle = false;
            entry.inbox.clear();
            self.forget(stream);
        }
    }

    /// Ends the session.
    pub(super) fn finish(&mut self, end: End) {
        if self.end.is_none() {
            self.end = Some(end);
        }
        self.streams.values_mut().for_each(Entry::wake);
        wake(&mut self.acceptor);
        wake(&mut self.sender);
        wake(&mut self.receiver);
    }
}
