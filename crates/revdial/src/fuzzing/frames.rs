//! Version 1: sessions in both roles, against the simplest decoder there is.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;

use super::run;
use super::wire::Wire;
use crate::v1::{End, HEAD, Head, Kind, Limits, Stream, dialer, listener};

/// What came of a stream, and whether it was closed.
type Came = (Vec<u8>, bool);

/// Has a session read frames: each stream gets the bytes that are its own, and the session ends as it must.
///
/// The first byte says in which role, and how many bytes come at once.
pub fn v1(data: &[u8]) {
    let Some((how, frames)) = data.split_first() else { return };
    let at_once = [1, 3, 100, 1 << 20][usize::from(how % 4)];
    let dialled = u32::from(how / 4 % 4);
    let expected = Expected::of(frames, dialled);
    let (came, end) = run(session(Wire::new(frames, &[at_once]), dialled));
    let Some(expected) = expected else { return };
    assert_eq!(came, expected.streams);
    assert_eq!(matches!(end, End::Protocol(_)), expected.breach, "{end:?}");
}

/// A listener if no stream is dialled, else a dialer of so many.
async fn session(mut wire: Wire<'_>, dialled: u32) -> (Vec<Came>, End) {
    let mut reading = JoinSet::new();
    let end = if dialled == 0 {
        let (mut listener, session) = listener(&mut wire, Limits::default());
        let accept = async {
            let mut accepted = 0;
            while let Some(stream) = listener.accept().await {
                reading.spawn(read(accepted, stream));
                accepted += 1;
            }
        };
        tokio::join!(session.run(), accept).0
    } else {
        let (dialer, session) = dialer(&mut wire, Limits::default());
        for turn in 0..dialled {
            let mut stream = dialer.dial().expect("a stream");
            stream.write_all(b"hello").await.expect("it is kept until it is sent");
            reading.spawn(read(turn, stream));
        }
        session.run().await
    };
    let mut all = reading.join_all().await;
    all.sort();
    whole(&wire.written, dialled);
    (all.into_iter().map(|(_, came)| came).collect(), end)
}

async fn read(turn: u32, mut stream: Stream) -> (u32, Came) {
    let mut all = Vec::new();
    let closed = stream.read_to_end(&mut all).await.is_ok();
    (turn, (all, closed))
}

/// What we write is whole frames, and none that our role may not send.
fn whole(mut written: &[u8], dialled: u32) {
    while let Some((head, rest)) = written.split_first_chunk::<HEAD>() {
        let head = Head::from_bytes(*head);
        assert!(matches!(head.kind, Kind::Close | Kind::Data) || (head.kind == Kind::New && dialled > 0));
        written = rest.get(usize::from(head.length)..).expect("a frame is whole");
    }
    assert!(written.is_empty(), "a frame's head is whole");
}

struct Expected {
    streams: Vec<Came>,
    /// Whether the other end broke the protocol.
    breach: bool,
}

impl Expected {
    /// None if a number is used again: what becomes of that depends on whether its stream was let go already.
    fn of(mut frames: &[u8], dialled: u32) -> Option<Self> {
        let mut streams: Vec<(u32, Came)> = (1..=dialled).map(|number| (number, Came::default())).collect();
        let mut breach = false;
        while let Some((head, rest)) = frames.split_first_chunk::<HEAD>() {
            let head = Head::from_bytes(*head);
            let Some((content, rest)) = rest.split_at_checked(usize::from(head.length)) else { break };
            frames = rest;
            let known = streams.iter_mut().find(|(number, _)| *number == head.stream);
            match (head.kind, known) {
                (Kind::New, Some((_, (_, true)))) if dialled == 0 => return None,
                (Kind::New, None) if dialled == 0 => streams.push((head.stream, Came::default())),
                (Kind::New, _) => {
                    breach = true;
                    break;
                }
                (Kind::Data, Some((_, (came, false)))) => came.extend_from_slice(content),
                (Kind::Close, Some((_, (_, closed)))) => *closed = true,
                _ => {}
            }
        }
        Some(Self { streams: streams.into_iter().map(|(_, came)| came).collect(), breach })
    }
}
