//! Whole sessions of version 2.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use revdial::head;
use revdial::v2::{Connect, ControlError, Dialer, Pickups, dialer, listener};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::whole::{Heard, LIMIT, Talk, answer, ask, request};
use super::wire::{DELAY, Fault, Wire, wires};

const ID: &str = "00112233445566778899aabbccddeeff";
const PATH: &str = "GET /revdial?revdial.dialer=00112233445566778899aabbccddeeff HTTP/1.1";

/// What came of a session.
#[derive(Debug, Default)]
pub struct Report {
    /// Of the end that asks, by talk, without those to which no answer was due; none where there was no connection.
    pub answers: Vec<Heard>,
    /// Of the end that serves, by connection.
    pub questions: Vec<Heard>,
    /// Talks for which there was no connection.
    pub failed: usize,
    /// Bytes that came in at each end of the control connection, and of each that was picked up.
    pub bytes: Vec<[usize; 2]>,
}

/// How a session goes.
#[derive(Debug, Clone)]
pub struct How {
    /// What happens at the asking end and at the serving one, of the control connection and of each that is picked up. Where
    /// there are none of one: nothing.
    pub faults: Vec<[Fault; 2]>,
    /// What a connection holds.
    pub holds: usize,
    /// Whether all is asked for at once, and not one after another.
    pub at_once: bool,
}

/// The network: connections that are counted.
#[derive(Debug)]
struct Net {
    how: How,
    counts: Mutex<Vec<[Arc<AtomicUsize>; 2]>>,
}

impl Net {
    fn connect(&self) -> [Wire; 2] {
        let mut counts = self.counts.lock().unwrap();
        let faults = self.how.faults.get(counts.len()).copied().unwrap_or([Fault::None; 2]);
        let (wires, count) = wires(self.how.holds, faults);
        counts.push(count);
        wires
    }
}

/// Has two ends talk, from the head to the end of the control connection. Returns once nothing of it is left.
pub async fn session(how: How, talks: &[Talk]) -> Report {
    let net = Arc::new(Net { how, counts: Mutex::default() });
    let [asks, serves] = net.connect();
    let (knock, door) = mpsc::channel(1);
    let both = async { tokio::join!(asking(asks, door, &net, talks), serving(serves, knock, &net, talks)) };
    let ((answers, failed), questions) = timeout(LIMIT, both).await.expect("an end hangs");
    let counts = net.counts.lock().unwrap();
    let bytes =
        counts.iter().map(|ends| ends.each_ref().map(|count| count.load(Ordering::Relaxed))).collect();
    Report { answers, questions, failed, bytes }
}

async fn asking(
    mut control: Wire,
    mut door: mpsc::Receiver<Wire>,
    net: &Net,
    talks: &[Talk],
) -> (Vec<Heard>, usize) {
    let Ok(line) = request(&mut control).await else { return (Vec::new(), talks.len()) };
    assert_eq!(line, "GET /reverse HTTP/1.1");
    control.join(head::SWITCHING);
    let pickups: Pickups<Wire> = Pickups::default();
    let (dialer, control) = dialer(control, "/revdial", ID.into(), &pickups);
    let mut control = tokio::spawn(control.run());
    let picking_up = tokio::spawn(async move {
        let mut handlers = JoinSet::new();
        while let Some(mut wire) = door.recv().await {
            let pickups = pickups.clone();
            handlers.spawn(async move {
                let Ok(line) = request(&mut wire).await else { return };
                assert_eq!(line, PATH);
                if head::accept(&mut wire).await.is_ok() {
                    // Whoever is not known is hung up on.
                    let _ = pickups.deliver(ID, wire);
                }
            });
        }
        handlers.join_all().await;
    });
    let dialer = Arc::new(dialer);
    let heard = talk(&dialer, net.how.at_once, talks).await;
    // What is still on its way to those who need not answer.
    if timeout(DELAY * 2, &mut control).await.is_err() {
        // That nobody can ask any more ends the control connection.
        drop(dialer);
        assert!(matches!(control.await.expect("no panic"), ControlError::Closed));
    }
    picking_up.await.expect("no handler panics");
    let failed = heard.iter().filter(|heard| heard.is_none()).count();
    (heard.into_iter().flatten().flatten().collect(), failed)
}

/// None for a talk for which there was no connection.
async fn talk(dialer: &Arc<Dialer<Wire>>, at_once: bool, talks: &[Talk]) -> Vec<Option<Option<Heard>>> {
    let one = |talk: Talk| {
        let dialer = Arc::clone(dialer);
        async move {
            let connection = dialer.dial().await.ok()?;
            Some(ask(connection, talk).await)
        }
    };
    if !at_once {
        let mut heard = Vec::new();
        for talk in talks {
            heard.push(one(talk.clone()).await);
        }
        return heard;
    }
    talks.iter().cloned().map(one).collect::<JoinSet<_>>().join_all().await
}

async fn serving(mut control: Wire, knock: mpsc::Sender<Wire>, net: &Arc<Net>, talks: &[Talk]) -> Vec<Heard> {
    let headers = [("X-Go-Builder-Hostname", "box"), ("X-Revdial-Version", "2")];
    if head::open(&mut control, "/reverse", &headers).await.is_err() {
        return Vec::new();
    }
    let net = Arc::clone(net);
    let connect: Connect<Wire> = Arc::new(move |path| {
        let [theirs, mut ours] = net.connect();
        let knock = knock.clone();
        Box::pin(async move {
            knock.send(theirs).await.map_err(|_| std::io::ErrorKind::ConnectionRefused)?;
            head::open(&mut ours, &path, &[]).await.map_err(std::io::Error::other)?;
            Ok(ours)
        })
    });
    let (mut listener, control) = listener(control, connect);
    let control = tokio::spawn(control.run());
    let mut work = JoinSet::new();
    while let Some(mut connection) = listener.accept().await {
        let talks = talks.to_vec();
        work.spawn(async move {
            // The first byte says which talk it is.
            let mut which = [0];
            let came = tokio::io::AsyncReadExt::read_exact(&mut connection, &mut which).await;
            let talk = came.ok().and_then(|_| talks.into_iter().find(|talk| talk.question[0] == which[0]))?;
            let Talk { question, answer: due } = talk;
            Some(answer(connection, Talk { question: question[1..].to_vec(), answer: due }).await)
        });
    }
    control.await.expect("a control connection does not panic");
    work.join_all().await.into_iter().flatten().collect()
}
