//! Version 1.

use std::time::Duration;

use proptest::prelude::*;
use revdial::v1::{Dialer, End, Limits, Listener, Stream, dialer, listener};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// More than anything here takes.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

fn dial_end(limits: Limits) -> (Dialer, DuplexStream, JoinHandle<End>) {
    let (ours, theirs) = duplex(1 << 16);
    let (dialer, session) = dialer(ours, limits);
    (dialer, theirs, tokio::spawn(session.run()))
}

fn listen_end(limits: Limits) -> (Listener, DuplexStream, JoinHandle<End>) {
    let (ours, theirs) = duplex(1 << 16);
    let (listener, session) = listener(ours, limits);
    (listener, theirs, tokio::spawn(session.run()))
}

async fn expect(from: &mut DuplexStream, bytes: &[u8]) {
    let mut came = vec![0; bytes.len()];
    timeout(LIMIT, from.read_exact(&mut came)).await.expect("in time").unwrap();
    assert_eq!(came, bytes);
}

#[tokio::test]
async fn a_dialer_writes_and_reads_the_bytes_of_the_original() {
    let (dialer, mut wire, _session) = dial_end(Limits::default());
    let first = dialer.dial().unwrap();
    expect(&mut wire, b"N\0\0\0\x01\0\0").await;
    drop(first);
    expect(&mut wire, b"C\0\0\0\x01\0\0").await;
    let mut second = dialer.dial().unwrap();
    second.write_all(b"hello, world").await.unwrap();
    expect(&mut wire, b"N\0\0\0\x02\0\0W\0\0\0\x02\0\x0chello, world").await;
    // Of a stream that is closed; of a kind that is not known; and in two frames.
    wire.write_all(b"W\0\0\0\x02\0\x01bW\0\0\0\x01\0\x01x?\0\0\0\x02\0\x03zzzW\0\0\0\x02\0\x02ar")
        .await
        .unwrap();
    let mut word = [0; 3];
    second.read_exact(&mut word).await.unwrap();
    assert_eq!(&word, b"bar");
}

#[tokio::test]
async fn a_listener_writes_and_reads_the_bytes_of_the_original() {
    let (mut listener, mut wire, _session) = listen_end(Limits::default());
    wire.write_all(b"N\0\0\0\x42\0\0").await.unwrap();
    let mut stream = listener.accept().await.unwrap();
    assert_eq!(stream.id(), 0x42);
    wire.write_all(b"W\0\0\0\x42\0\x03fooW\0\0\0\x42\0\x03barC\0\0\0\x42\0\0").await.unwrap();
    let mut all = String::new();
    stream.read_to_string(&mut all).await.unwrap();
    assert_eq!(all, "foobar");
    stream.write_all(b"first write").await.unwrap();
    expect(&mut wire, b"W\0\0\0\x42\0\x0bfirst write").await;
    stream.write_all(b"second write").await.unwrap();
    stream.shutdown().await.unwrap();
    expect(&mut wire, b"W\0\0\0\x42\0\x0csecond writeC\0\0\0\x42\0\0").await;
}

#[tokio::test]
async fn what_may_not_be_said_ends_the_session() {
    let (mut listener, mut wire, session) = listen_end(Limits::default());
    wire.write_all(b"N\0\0\0\x01\0\0").await.unwrap();
    let mut stream = listener.accept().await.unwrap();
    wire.write_all(b"N\0\0\0\x01\0\0").await.unwrap();
    let end = session.await.unwrap();
    assert_eq!(end.to_string(), "the other end broke the protocol: stream 1 was begun twice");
    assert!(stream.read_u8().await.unwrap_err().to_string().contains("begun twice"));
    assert!(stream.write_all(b"x").await.is_err());
    assert!(listener.accept().await.is_none());

    let (dialer, mut wire, session) = dial_end(Limits::default());
    wire.write_all(b"N\0\0\0\x01\0\0").await.unwrap();
    assert!(matches!(session.await.unwrap(), End::Protocol(_)));
    assert!(dialer.ended().is_some());
    assert!(dialer.dial().is_err());
}

/// Two ends, joined by a pipe that takes so many bytes at once.
pub(crate) fn joined(pipe: usize, limits: Limits) -> (Dialer, Listener, [JoinHandle<End>; 2]) {
    let (one, other) = duplex(pipe);
    let (dialer, asks) = dialer(one, limits);
    let (listener, serves) = listener(other, limits);
    (dialer, listener, [tokio::spawn(asks.run()), tokio::spawn(serves.run())])
}

#[tokio::test]
async fn ten_pairs_talk_at_once_and_a_full_backlog_keeps_none_from_it() {
    let (dialer, mut listener, sessions) = joined(100, Limits::default());
    let mut asked = Vec::new();
    for n in 0..10u8 {
        let mut stream = dialer.dial().unwrap();
        asked.push(tokio::spawn(async move {
            stream.write_all(&[n]).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            (n, answer)
        }));
    }
    let mut served = Vec::new();
    for _ in 0..10 {
        let mut stream = timeout(LIMIT, listener.accept()).await.expect("in time").unwrap();
        served.push(tokio::spawn(async move {
            let n = stream.read_u8().await.unwrap();
            stream.write_all(format!("told {n}").as_bytes()).await.unwrap();
        }));
    }
    for one in asked {
        let (n, answer) = timeout(LIMIT, one).await.expect("in time").unwrap();
        assert_eq!(answer, format!("told {n}"));
    }
    for one in served {
        one.await.unwrap();
    }
    sessions.iter().for_each(JoinHandle::abort);
}

#[tokio::test]
async fn a_session_that_is_cut_anywhere_tells_every_stream() {
    let (dialer, mut wire, _session) = dial_end(Limits::default());
    let mut stream = dialer.dial().unwrap();
    stream.write_all(b"question").await.unwrap();
    drop(stream);
    let mut all = vec![0; 7 + 7 + 8 + 7];
    timeout(LIMIT, wire.read_exact(&mut all)).await.expect("in time").unwrap();
    for cut in 0..all.len() {
        let (mut listener, mut wire, session) = listen_end(Limits::default());
        wire.write_all(&all[..cut]).await.unwrap();
        drop(wire);
        assert!(matches!(timeout(LIMIT, session).await.expect("in time").unwrap(), End::Closed), "{cut}");
        let Some(mut stream) = listener.accept().await else {
            assert!(cut < 7);
            continue;
        };
        let mut came = Vec::new();
        let error = stream.read_to_end(&mut came).await.unwrap_err();
        assert_eq!(
            error.kind(),
            std::io::ErrorKind::ConnectionAborted,
            "an end would be taken for all of it"
        );
        assert_eq!(came, if cut < 22 { &b""[..] } else { b"question" });
        assert!(listener.accept().await.is_none());
    }
}

/// What is done with a stream, in turn with the others.
#[derive(Debug, Clone)]
enum Deed {
    Write(Vec<u8>),
    Yield,
}

fn script() -> impl Strategy<Value = Vec<Deed>> {
    let deed = prop_oneof![
        3 => proptest::collection::vec(any::<u8>(), 0..3000).prop_map(Deed::Write),
        1 => Just(Deed::Yield),
    ];
    proptest::collection::vec(deed, 0..12)
}

async fn play(stream: Stream, script: Vec<Deed>) -> (Vec<u8>, Vec<u8>) {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let writes = async {
        let mut sent = Vec::new();
        for deed in script {
            match deed {
                Deed::Write(bytes) => {
                    writer.write_all(&bytes).await.unwrap();
                    sent.extend(bytes);
                }
                Deed::Yield => tokio::task::yield_now().await,
            }
        }
        // The other end is told how much it was, since a stream has no half.
        writer.write_all(b"\xffEND").await.unwrap();
        sent
    };
    let reads = async {
        let mut came = Vec::new();
        while !came.ends_with(b"\xffEND") {
            assert_ne!(reader.read_buf(&mut came).await.unwrap(), 0);
        }
        came.truncate(came.len() - 4);
        came
    };
    tokio::join!(writes, reads)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn every_stream_has_its_own_bytes_in_order(
        scripts in proptest::collection::vec((script(), script()), 1..6),
        pipe in 1usize..200,
        frame in 1u16..500,
        outbox in 1usize..5000,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let limits = Limits { frame, outbox, backlog: 2, ..Limits::default() };
            let (dialer, mut listener, _sessions) = joined(pipe, limits);
            let mut asked = Vec::new();
            let mut answers = std::collections::HashMap::new();
            for (ask, answer) in scripts {
                let stream = dialer.dial().unwrap();
                answers.insert(stream.id(), answer);
                asked.push((stream.id(), tokio::spawn(play(stream, ask))));
            }
            let mut served = std::collections::HashMap::new();
            for _ in 0..asked.len() {
                let stream = timeout(LIMIT, listener.accept()).await.expect("in time").unwrap();
                let id = stream.id();
                served.insert(id, tokio::spawn(play(stream, answers.remove(&id).unwrap())));
            }
            for (id, asks) in asked {
                let (question, answered) = timeout(LIMIT, asks).await.expect("in time").unwrap();
                let (answer, asked) = timeout(LIMIT, served.remove(&id).unwrap()).await.expect("in time").unwrap();
                assert_eq!(question, asked);
                assert_eq!(answer, answered);
            }
        });
    }
}

proptest! {
    #[test]
    fn bytes_of_any_kind_end_a_session_and_break_nothing(
        frames in proptest::collection::vec((prop_oneof![Just(b'N'), Just(b'C'), Just(b'W'), any::<u8>()], 0u32..6, 0u16..50), 0..40),
        tail in proptest::collection::vec(any::<u8>(), 0..30),
        asks in any::<bool>(),
    ) {
        let mut bytes = Vec::new();
        for (kind, stream, length) in frames {
            bytes.push(kind);
            bytes.extend(stream.to_be_bytes());
            bytes.extend(length.to_be_bytes());
            bytes.extend(vec![7; length.into()]);
        }
        bytes.extend(tail);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let limits = Limits { inbox: 100, streams: 3, backlog: 2, ..Limits::default() };
            let (wire, session, rest) = if asks {
                let (dialer, wire, session) = dial_end(limits);
                let streams = [dialer.dial().unwrap(), dialer.dial().unwrap()];
                (wire, session, tokio::spawn(async move { drop(timeout(LIMIT, std::future::pending::<()>()).await); drop(streams) }))
            } else {
                let (mut listener, wire, session) = listen_end(limits);
                (wire, session, tokio::spawn(async move {
                    let mut kept = Vec::new();
                    while let Some(stream) = listener.accept().await {
                        kept.push(stream);
                    }
                }))
            };
            let (mut reader, mut writer) = tokio::io::split(wire);
            let drain = tokio::spawn(async move { tokio::io::copy(&mut reader, &mut tokio::io::sink()).await });
            // The session may end before it has read all of it.
            let _ = writer.write_all(&bytes).await;
            let _ = writer.shutdown().await;
            timeout(LIMIT, session).await.expect("in time").unwrap();
            rest.abort();
            drain.abort();
        });
    }
}
