//! What sessions hold in memory, counted byte by byte. In a program of its own, since every allocation of it is counted.
#![allow(clippy::unwrap_used, reason = "a test that can't go on fails where it stands")]

mod counted;
#[path = "../it/whole.rs"]
#[allow(dead_code, reason = "the other program's, which uses all of it")]
mod whole;
#[path = "../it/whole_v1.rs"]
#[allow(dead_code, reason = "the other program's, which uses all of it")]
mod whole_v1;
#[path = "../it/whole_v2.rs"]
#[allow(dead_code, reason = "the other program's, which uses all of it")]
mod whole_v2;
#[path = "../it/wire.rs"]
#[allow(dead_code, reason = "the other program's, which uses all of it")]
mod wire;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use revdial::v1::{Limits, dialer, listener};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::time::timeout;

use whole::{Talk, short};
use wire::Fault;

/// More than anything here takes.
const LIMIT: Duration = Duration::from_secs(120);
/// What a stream that nobody reads may cost.
const MOST: usize = 8 << 20;
/// Bytes that the connection holds.
const PIPE: usize = 64 << 10;
/// One test at a time: they share the count.
static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs something in one thread, on a clock that stands while there is something to do.
fn alone<T>(test: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_time().start_paused(true).build().unwrap().block_on(test)
}

fn frame(kind: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap();
    [&[kind][..], &stream.to_be_bytes(), &length.to_be_bytes(), payload].concat()
}

/// Writes the same frame of stream 1 until so many bytes of payload are sent, and then a word on stream 2.
async fn flood(wire: &mut (impl tokio::io::AsyncWrite + Unpin), size: usize, total: usize) {
    let one = frame(b'W', 1, &vec![7; size]);
    let many = one.repeat((64_usize << 10).div_ceil(one.len()));
    let in_many = many.len() / one.len() * size;
    let mut sent = 0;
    while sent < total {
        wire.write_all(&many).await.unwrap();
        sent += in_many;
    }
    wire.write_all(&frame(b'W', 2, b"word")).await.unwrap();
}

/// Sends so much in frames of so many bytes to a stream that nobody reads; returns the most that was held.
async fn unread_by_a_dialer(size: usize, total: usize) -> usize {
    let (ours, theirs) = duplex(PIPE);
    let before = counted::restart();
    let (dialer, session) = dialer(ours, Limits::default());
    let session = tokio::spawn(session.run());
    let (mut unread, mut read) = (dialer.dial().unwrap(), dialer.dial().unwrap());
    let (mut reader, mut writer) = tokio::io::split(theirs);
    let drain = tokio::spawn(async move { tokio::io::copy(&mut reader, &mut tokio::io::sink()).await });
    timeout(LIMIT, async { tokio::join!(flood(&mut writer, size, total), word(&mut read)) }).await.unwrap();
    let most = counted::most() - before;
    let error = unread.read_to_end(&mut Vec::new()).await.unwrap_err();
    assert!(error.to_string().contains("nobody read what came for it"), "{error}");
    session.abort();
    drain.abort();
    most
}

/// The same of the end that serves.
async fn unread_by_a_listener(size: usize, total: usize) -> usize {
    let (ours, theirs) = duplex(PIPE);
    let before = counted::restart();
    let (mut listener, session) = listener(ours, Limits::default());
    let session = tokio::spawn(session.run());
    let (mut reader, mut writer) = tokio::io::split(theirs);
    let drain = tokio::spawn(async move { tokio::io::copy(&mut reader, &mut tokio::io::sink()).await });
    writer.write_all(&[frame(b'N', 1, b""), frame(b'N', 2, b"")].concat()).await.unwrap();
    let (_unread, mut read) = (listener.accept().await.unwrap(), listener.accept().await.unwrap());
    timeout(LIMIT, async { tokio::join!(flood(&mut writer, size, total), word(&mut read)) }).await.unwrap();
    let most = counted::most() - before;
    session.abort();
    drain.abort();
    most
}

async fn word(stream: &mut revdial::v1::Stream) {
    let mut word = [0; 4];
    stream.read_exact(&mut word).await.unwrap();
    assert_eq!(&word, b"word");
}

#[test]
fn a_gibibyte_for_a_stream_that_nobody_reads_costs_less_than_eight_mebibytes() {
    let _turn = turn();
    alone(async {
        let most = [
            unread_by_a_dialer(u16::MAX.into(), 1 << 30).await,
            unread_by_a_listener(u16::MAX.into(), 1 << 30).await,
        ];
        assert!(most.iter().all(|most| (1 << 20..=MOST).contains(most)), "{most:?}");
    });
}

#[test]
fn frames_of_a_byte_cost_no_more_than_large_ones() {
    let _turn = turn();
    alone(async {
        for size in [1, 100, 5000] {
            let most = unread_by_a_dialer(size, 9 << 19).await;
            assert!((1 << 20..=MOST).contains(&most), "{most} in frames of {size}");
        }
    });
}

/// Both ends of ours: what waits to be sent is bounded too, where the other end reads nothing at all.
#[test]
fn a_stream_whose_other_end_reads_nothing_takes_no_more_than_its_share() {
    let _turn = turn();
    alone(async {
        let (ours, _theirs): (DuplexStream, DuplexStream) = duplex(PIPE);
        let before = counted::restart();
        let (dialer, session) = dialer(ours, Limits::default());
        let session = tokio::spawn(session.run());
        let mut stream = dialer.dial().unwrap();
        // The original gives up after 60 s of this.
        let error = timeout(LIMIT, async {
            loop {
                if let Err(error) = stream.write_all(&[7; 64 << 10]).await {
                    break error;
                }
            }
        });
        let error = error.await.unwrap();
        assert!(error.to_string().contains("the other end does not read"), "{error}");
        let most = counted::most() - before;
        assert!(most < 2 << 20, "{most}");
        session.await.unwrap();
    });
}

/// Whether something is allocated after a session that was not before. What leaks does so each time; what the other threads of
/// this program allocate meanwhile does not.
fn leaks(session: impl Fn()) -> bool {
    (0..8).all(|_| {
        let before = counted::live();
        session();
        counted::live() > before
    })
}

#[test]
fn a_session_of_version_1_that_is_cut_at_any_byte_leaves_nothing() {
    let _turn = turn();
    let talks: Vec<Talk> = short();
    let how = |faults| whole_v1::How { faults, holds: 4096, joined: true, limits: Limits::default() };
    // The first of all fills what the runtime and the threads keep for themselves.
    let whole = alone(whole_v1::session(how([Fault::None; 2]), &talks));
    for (end, kind) in
        [(0, Fault::End as fn(usize) -> Fault), (0, Fault::Reset), (1, Fault::End), (1, Fault::Reset)]
    {
        for at in 0..=whole.bytes[end] {
            let mut faults = [Fault::None; 2];
            faults[end] = kind(at);
            assert!(!leaks(|| drop(alone(whole_v1::session(how(faults), &talks)))), "{faults:?}");
        }
    }
}

#[test]
fn a_session_of_version_2_that_is_cut_at_any_byte_leaves_nothing() {
    let _turn = turn();
    let talks: Vec<Talk> = short();
    let how = |faults| whole_v2::How { faults, holds: 4096, at_once: true };
    let whole = alone(whole_v2::session(how(Vec::new()), &talks));
    for (connection, end) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        for at in 0..=whole.bytes[connection][end] {
            let mut faults = vec![[Fault::None; 2]; connection + 1];
            faults[connection][end] = Fault::End(at);
            assert!(!leaks(|| drop(alone(whole_v2::session(how(faults.clone()), &talks)))), "{faults:?}");
        }
    }
}
