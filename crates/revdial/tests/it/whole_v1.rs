//! Whole sessions of version 1.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use revdial::head;
use revdial::v1::{Limits, dialer, listener};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::whole::{Heard, LIMIT, Talk, answer, ask, request};
use super::wire::{Fault, Wire, wires};

/// What came of a session.
#[derive(Debug, Default)]
pub struct Report {
    /// Of the end that asks, by talk, without those to which no answer was due.
    pub answers: Vec<Heard>,
    /// Of the end that serves, by talk.
    pub questions: Vec<Heard>,
    /// Bytes that came in at each end.
    pub bytes: [usize; 2],
}

/// How a session goes.
#[derive(Debug, Clone, Copy)]
pub struct How {
    /// What happens at the asking end, and at the serving one.
    pub faults: [Fault; 2],
    /// What the connection holds.
    pub holds: usize,
    /// Whether the first frames come with the head in one record.
    pub joined: bool,
    pub limits: Limits,
}

/// Has two ends talk, from the head to the end of the connection. Returns once nothing of it is left.
pub async fn session(how: How, talks: &[Talk]) -> Report {
    let ([asks, serves], counts) = wires(how.holds, how.faults);
    let both = async { tokio::join!(asking(asks, how, talks), serving(serves, how, talks)) };
    let (answers, questions) = timeout(LIMIT, both).await.expect("an end hangs");
    let bytes = counts.map(|count: Arc<AtomicUsize>| count.load(Ordering::Relaxed));
    Report { answers, questions, bytes }
}

async fn asking(mut wire: Wire, how: How, talks: &[Talk]) -> Vec<Heard> {
    let Ok(line) = request(&mut wire).await else { return Vec::new() };
    assert_eq!(line, "GET /reverse HTTP/1.1");
    if how.joined {
        wire.join(head::SWITCHING);
    } else if head::accept(&mut wire).await.is_err() {
        return Vec::new();
    }
    let (dialer, session) = dialer(wire, how.limits);
    let mut work = JoinSet::new();
    for talk in talks {
        let Ok(stream) = dialer.dial() else { break };
        work.spawn(ask(stream, talk.clone()));
    }
    // The session ends by itself if it is cut. If it is not, all have been heard, and it is let go when it has nothing to send.
    let mut session = tokio::spawn(session.run());
    let heard = work.join_all().await.into_iter().flatten().collect();
    if timeout(super::wire::DELAY * 2, &mut session).await.is_err() {
        session.abort();
        let _ = session.await;
    }
    heard
}

async fn serving(mut wire: Wire, how: How, talks: &[Talk]) -> Vec<Heard> {
    let headers = [("X-Go-Builder-Hostname", "box"), ("X-Go-Builder-Version", "17")];
    if head::open(&mut wire, "/reverse", &headers).await.is_err() {
        return Vec::new();
    }
    let (mut listener, session) = listener(wire, how.limits);
    let session = tokio::spawn(session.run());
    let mut work = JoinSet::new();
    while let Some(stream) = listener.accept().await {
        let talk = talks[stream.id() as usize - 1].clone();
        work.spawn(answer(stream, talk));
    }
    session.await.expect("a session does not panic");
    work.join_all().await
}
