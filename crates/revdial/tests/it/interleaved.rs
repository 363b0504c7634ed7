//! Many streams whose ends write, pause and close in any order, on connections that may be cut, held against a model: what
//! comes is the beginning of what was written; an end is told only for all of it; without a cut all of it comes.

use std::sync::Arc;

use proptest::prelude::*;
use revdial::v1::{Limits, Stream, dialer, listener};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::every_byte::alone;
use super::whole::{LIMIT, Talk, bytes};
use super::wire::{DELAY, Fault, wires};
use super::{whole_v1, whole_v2};

#[derive(Debug, Clone, Copy)]
enum Deed {
    Write(usize),
    Yield(u8),
}

/// Who closes a stream once all is written; whoever does not reads to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Closes {
    Asking,
    Serving,
    Both,
}

#[derive(Debug, Clone)]
struct Script {
    asking: Vec<Deed>,
    serving: Vec<Deed>,
    closes: Closes,
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let deed = prop_oneof![3 => (0usize..2500).prop_map(Deed::Write), 2 => (1u8..20).prop_map(Deed::Yield)];
    proptest::collection::vec(deed, 0..8)
}

fn script() -> impl Strategy<Value = Script> {
    let closes = prop_oneof![Just(Closes::Asking), Just(Closes::Serving), Just(Closes::Both)];
    (deeds(), deeds(), closes).prop_map(|(asking, serving, closes)| Script { asking, serving, closes })
}

/// Mostly nothing, or a cut somewhere.
fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        3 => Just(Fault::None),
        1 => Just(Fault::Bytes),
        1 => (0usize..20_000).prop_map(Fault::Split),
        1 => (0usize..20_000).prop_map(Fault::Delay),
        2 => (0usize..20_000).prop_map(Fault::End),
        2 => (0usize..20_000).prop_map(Fault::Reset),
    ]
}

fn written(deeds: &[Deed], seed: usize) -> Vec<u8> {
    let length = deeds.iter().map(|deed| if let Deed::Write(length) = deed { *length } else { 0 }).sum();
    bytes(length, seed)
}

/// What one end read of a stream: `ended` is none where it was an error.
#[derive(Debug)]
struct Read {
    came: Vec<u8>,
    ended: bool,
    /// It closed the stream itself, and need not have read all.
    closed: bool,
}

async fn play(stream: Stream, deeds: &[Deed], seed: usize, closes: bool) -> Read {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let all = written(deeds, seed);
    let writes = async {
        let mut done = 0;
        for deed in deeds {
            match *deed {
                Deed::Write(length) => {
                    if writer.write_all(&all[done..done + length]).await.is_err() {
                        return;
                    }
                    done += length;
                }
                Deed::Yield(times) => {
                    for _ in 0..times {
                        tokio::task::yield_now().await;
                    }
                }
            }
        }
        if closes {
            let _ = writer.shutdown().await;
        }
    };
    let mut came = Vec::new();
    let ((), read) = tokio::join!(writes, reader.read_to_end(&mut came));
    Read { came, ended: read.is_ok(), closed: closes }
}

/// What both ends read, by stream.
type Reads = Vec<(usize, Read)>;

async fn played(scripts: &[Script], faults: [Fault; 2], holds: usize, limits: Limits) -> [Reads; 2] {
    let ([one, other], _) = wires(holds, faults);
    let (dialer, asks) = dialer(one, limits);
    let (mut listener, serves) = listener(other, limits);
    let (mut asks, serves) = (tokio::spawn(asks.run()), tokio::spawn(serves.run()));
    let scripts: Arc<[Script]> = scripts.into();
    let accepting = tokio::spawn({
        let scripts = Arc::clone(&scripts);
        async move {
            let mut work = JoinSet::new();
            while let Some(stream) = listener.accept().await {
                let (n, scripts) = (stream.id() as usize - 1, Arc::clone(&scripts));
                work.spawn(async move {
                    let script = &scripts[n];
                    (n, play(stream, &script.serving, n + 100, script.closes != Closes::Asking).await)
                });
            }
            work.join_all().await
        }
    });
    let mut work = JoinSet::new();
    for n in 0..scripts.len() {
        let Ok(stream) = dialer.dial() else { break };
        let scripts = Arc::clone(&scripts);
        work.spawn(async move {
            let script = &scripts[n];
            (n, play(stream, &script.asking, n, script.closes != Closes::Serving).await)
        });
    }
    let asked = work.join_all().await;
    if timeout(DELAY * 2, &mut asks).await.is_err() {
        asks.abort();
        let _ = asks.await;
    }
    serves.await.unwrap();
    [asked, accepting.await.unwrap()]
}

proptest! {
    #[test]
    fn streams_of_version_1(
        scripts in proptest::collection::vec(script(), 1..8),
        faults in [fault(), fault()],
        holds in 1usize..300,
        frame in 1u16..500,
        outbox in 1usize..5000,
        backlog in 1usize..4,
    ) {
        let limits = Limits { frame, outbox, backlog, ..Limits::default() };
        let whole = !faults.iter().any(|fault| fault.cuts());
        let played = async { timeout(LIMIT, played(&scripts, faults, holds, limits)).await.expect("an end hangs") };
        let [asked, served] = alone(played);
        prop_assert!(asked.len() == scripts.len() && (!whole || served.len() == scripts.len()));
        let of_asking = served.iter().map(|(n, read)| (read, written(&scripts[*n].asking, *n)));
        let of_serving = asked.iter().map(|(n, read)| (read, written(&scripts[*n].serving, *n + 100)));
        for (read, wrote) in of_asking.chain(of_serving) {
            prop_assert!(wrote.starts_with(&read.came));
            prop_assert!(read.closed || !read.ended || read.came == wrote, "an end that is none: {} of {}", read.came.len(), wrote.len());
            prop_assert!(read.ended || !whole, "an error without a cut");
        }
    }

    #[test]
    fn talks_of_version_1(talks in talks(), faults in [fault(), fault()], holds in 1usize..300, joined in any::<bool>()) {
        let whole = !faults.iter().any(|fault| fault.cuts());
        let how = whole_v1::How { faults, holds, joined, limits: Limits { frame: 100, ..Limits::default() } };
        let report = alone(whole_v1::session(how, &talks));
        for heard in report.answers.iter().chain(&report.questions) {
            prop_assert!(heard.is_prefix() && (heard.is_all() || !heard.ended && !whole), "{heard:?}");
        }
        prop_assert!(!whole || report.questions.len() == talks.len());
    }

    #[test]
    fn talks_of_version_2(
        talks in talks(),
        faults in proptest::collection::vec([fault(), fault()], 0..7),
        holds in 1usize..300,
        at_once in any::<bool>(),
    ) {
        let whole = !faults.iter().flatten().any(|fault| fault.cuts());
        let report = alone(whole_v2::session(whole_v2::How { faults, holds, at_once }, &talks));
        for heard in report.answers.iter().chain(&report.questions) {
            prop_assert!(heard.is_prefix() && (heard.is_all() || !whole), "{heard:?}");
        }
        prop_assert!(!whole || (report.failed, report.questions.len()) == (0, talks.len()));
    }
}

/// Talks that are told apart by their first byte.
fn talks() -> impl Strategy<Value = Vec<Talk>> {
    let talk = (1usize..3000, proptest::option::of(0usize..3000));
    proptest::collection::vec(talk, 1..7).prop_map(|talks| {
        let talk = |(n, (question, answer)): (usize, (usize, Option<usize>))| Talk {
            question: bytes(question, n),
            answer: answer.map(|length| bytes(length, n)),
        };
        talks.into_iter().enumerate().map(talk).collect()
    })
}
