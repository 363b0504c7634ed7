//! A step's output over connections that are cut: each byte once, in order, whatever breaks when and for how long.
//!
//! Two hundred cases in virtual time, over pipes in memory: the runner and its client are the real ones, the agent is a model
//! of one that says what it says at set times. Two cuts more are real, before a real agent.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Query, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use buildlet_client::{Address, BuildletClient, Connect, Connection, ExecState, RunState};
use bytes::Bytes;
use coordinator::job::{Limits, Step, When};
use coordinator::recipe::{self, End, Run, RunError, Sink, Surroundings};
use futures::future::BoxFuture;
use futures::stream;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, duplex};
use tokio::net::UnixStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::world::buildlet;

const SEEDS: u64 = 200;
/// How long cuts are, in seconds.
const CUTS: [u64; 3] = [1, 30, 600];

/// What was stored.
#[derive(Default)]
struct Stored {
    durable: Vec<u8>,
    taken: Vec<u8>,
    due: Option<Instant>,
}

impl Sink for Stored {
    type Error = Infallible;

    async fn begin(&mut self, _step: usize) -> Result<u64, Infallible> {
        Ok(self.durable.len() as u64)
    }

    async fn write(&mut self, raw: &[u8]) -> Result<(), Infallible> {
        self.taken.extend_from_slice(raw);
        self.due.get_or_insert_with(|| Instant::now() + Duration::from_secs(1));
        Ok(())
    }

    async fn finish(&mut self) -> Result<(), Infallible> {
        self.flush().await
    }

    async fn flush(&mut self) -> Result<(), Infallible> {
        self.durable.append(&mut self.taken);
        self.due = None;
        Ok(())
    }

    fn due(&self) -> Option<Instant> {
        self.due
    }

    fn durable(&self) -> u64 {
        self.durable.len() as u64
    }
}

/// An agent with one command, which prints at set times after its start.
struct Agent {
    /// When, counted from the start, how many bytes are there; the last is the end.
    script: Vec<(Duration, usize)>,
    output: Vec<u8>,
    begun: Mutex<Option<Instant>>,
    starts: AtomicU32,
    acked: Mutex<usize>,
}

#[derive(serde::Deserialize)]
struct Asked {
    #[serde(default)]
    from: usize,
    #[serde(default)]
    upto: usize,
    #[serde(default)]
    wait_ms: u64,
}

impl Agent {
    fn begun(&self) -> Option<Instant> {
        *self.begun.lock().unwrap()
    }

    /// How much is printed by now, and when there is more.
    fn printed(&self) -> (usize, Option<Instant>) {
        let Some(begun) = self.begun() else { return (0, None) };
        let now = Instant::now();
        let said = self.script.iter().take_while(|(at, _)| begun + *at <= now).last();
        let next = self.script.iter().find(|(at, _)| begun + *at > now);
        (said.map_or(0, |(_, upto)| *upto), next.map(|(at, _)| begun + *at))
    }

    fn state(&self) -> ExecState {
        let (printed, next) = self.printed();
        ExecState {
            id: "e".into(),
            state: if next.is_some() { RunState::Running } else { RunState::Exited },
            process_state: if next.is_some() { String::new() } else { "ok".into() },
            output_bytes: printed as u64,
            ..ExecState::default()
        }
    }

    fn router(self: Arc<Self>) -> Router {
        Router::new()
            .route("/bw1/exec", post(start))
            .route("/bw1/exec/e", get(state))
            .route("/bw1/exec/e/output", get(output))
            .route("/bw1/exec/e/ack", post(ack))
            .with_state(self)
    }
}

async fn start(State(agent): State<Arc<Agent>>) -> Json<ExecState> {
    agent.begun.lock().unwrap().get_or_insert_with(|| {
        agent.starts.fetch_add(1, Ordering::Relaxed);
        Instant::now()
    });
    Json(agent.state())
}

async fn state(State(agent): State<Arc<Agent>>, Query(asked): Query<Asked>) -> Json<ExecState> {
    let until = Instant::now() + Duration::from_millis(asked.wait_ms);
    while let (_, Some(next)) = agent.printed() {
        if next > until {
            sleep_until(until).await;
            break;
        }
        sleep_until(next).await;
    }
    Json(agent.state())
}

async fn ack(State(agent): State<Arc<Agent>>, Query(asked): Query<Asked>) -> Json<serde_json::Value> {
    let mut acked = agent.acked.lock().unwrap();
    *acked = asked.upto.max(*acked);
    Json(serde_json::json!({ "acked": *acked }))
}

async fn output(State(agent): State<Arc<Agent>>, Query(asked): Query<Asked>) -> Response {
    let acked = *agent.acked.lock().unwrap();
    assert!(asked.from >= acked, "{} is asked for, and {acked} were stored", asked.from);
    let said = stream::unfold((agent, asked.from), |(agent, from)| async move {
        loop {
            let (printed, next) = agent.printed();
            if printed > from {
                let chunk = Bytes::copy_from_slice(&agent.output[from..printed]);
                return Some((Ok::<_, io::Error>(chunk), (agent, printed)));
            }
            sleep_until(next?).await;
        }
    });
    Body::from_stream(said).into_response()
}

/// How a cut is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Connections break, and none can be made.
    Refused,
    /// Nothing goes through, and nobody says so until it is over.
    Silent,
}

/// Whether anything goes through.
type Line = watch::Receiver<Option<Way>>;

/// Carries bytes as long as the line is there.
async fn carry(one: impl AsyncRead + AsyncWrite, two: impl AsyncRead + AsyncWrite, mut line: Line) {
    let (mut one_in, mut one_out) = tokio::io::split(one);
    let (mut two_in, mut two_out) = tokio::io::split(two);
    let both = async {
        let there = tokio::io::copy(&mut one_in, &mut two_out);
        let back = tokio::io::copy(&mut two_in, &mut one_out);
        tokio::join!(there, back)
    };
    tokio::select! {
        _ = both => return,
        _ = line.wait_for(Option::is_some) => {}
    }
    let silent = *line.borrow() == Some(Way::Silent);
    if silent {
        // Both ends wait, and are told when it is over.
        let _over = line.wait_for(Option::is_none).await;
    }
}

/// Where connections are made over a line.
struct Network<M> {
    line: Line,
    /// Makes the other end.
    make: M,
    carrying: Mutex<JoinSet<()>>,
}

impl<M, F, C> Connect for Network<M>
where
    M: Fn() -> F + Send + Sync,
    F: Future<Output = io::Result<C>> + Send + 'static,
    C: AsyncRead + AsyncWrite + Send + 'static,
{
    fn connect(&self) -> BoxFuture<'static, io::Result<Box<dyn Connection>>> {
        let mut line = self.line.clone();
        let made = (self.make)();
        let (ours, theirs) = duplex(4096);
        let now = *line.borrow();
        match now {
            Some(Way::Refused) => return Box::pin(async { Err(io::ErrorKind::ConnectionRefused.into()) }),
            Some(Way::Silent) => {
                return Box::pin(async move {
                    let _over = line.wait_for(Option::is_none).await;
                    Err(io::ErrorKind::TimedOut.into())
                });
            }
            None => {}
        }
        self.carrying.lock().unwrap().spawn(async move {
            if let Ok(made) = made.await {
                carry(theirs, made, line).await;
            }
        });
        Box::pin(async move { Ok(Box::new(ours) as Box<dyn Connection>) })
    }
}

/// Serves a model of an agent on a pipe.
fn served(agent: &Arc<Agent>, serving: &Arc<Mutex<JoinSet<()>>>) -> DuplexStream {
    let (ours, theirs) = duplex(4096);
    let router = Arc::clone(agent).router();
    serving.lock().unwrap().spawn(async move {
        let service = hyper_util::service::TowerToHyperService::new(router);
        // That it was cut is what this is about.
        let _cut =
            auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(theirs), service).await;
    });
    ours
}

fn step() -> Step {
    Step {
        name: "run".into(),
        run: "true".into(),
        dir: String::new(),
        env: Vec::new(),
        timeout_ms: 24 * 3_600_000,
        when: When::Success,
        snapshot: false,
        for_toolchain: false,
        lists: false,
        tests: false,
    }
}

async fn run(
    client: &BuildletClient,
    id: &str,
    step: &Step,
    patience: Duration,
) -> (Result<recipe::Ended, RunError<Infallible>>, Stored) {
    let around = Surroundings { cancel: CancellationToken::new(), gone: CancellationToken::new(), patience };
    let mut stored = Stored::default();
    let limits = Limits::default();
    let run = Run { id, index: 0, step, secrets: &[], env_pass: &["PATH".to_owned()], limits: &limits };
    let ended = recipe::run_step(client, run, &mut stored, &around).await;
    (ended, stored)
}

/// One case; gives how often the line was cut before it was done.
async fn case(seed: u64) -> u32 {
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut at, mut upto, mut script) = (Duration::ZERO, 0, Vec::new());
    for _ in 0..random.usize(1..40) {
        // Now and then nothing is printed for longer than anybody may be out of reach.
        at += match random.u8(0..10) {
            0 => Duration::from_secs(random.u64(300..1800)),
            _ => Duration::from_millis(random.u64(0..20_000)),
        };
        upto += random.usize(1..5_000);
        script.push((at, upto));
    }
    let output: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(upto).collect();
    let agent = Arc::new(Agent {
        script,
        output,
        begun: Mutex::default(),
        starts: AtomicU32::new(0),
        acked: Mutex::default(),
    });
    let patience = if seed % 4 == 3 { 240 } else { 900 };
    // How long it is there, then how, and for how long, it is not.
    let mut cuts: VecDeque<(Duration, Way, Duration)> = VecDeque::new();
    for _ in 0..random.usize(1..12) {
        // Long enough to be heard again.
        let after = Duration::from_millis(60_000 + random.u64(0..at.as_millis() as u64 / 4 + 1));
        let way = if random.bool() { Way::Refused } else { Way::Silent };
        cuts.push_back((after, way, Duration::from_secs(CUTS[random.usize(..CUTS.len())])));
    }
    let longest = cuts.iter().map(|(_, _, time)| time.as_secs()).max().unwrap_or(0);
    let (cut, line) = watch::channel(None);
    let count = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&count);
    let cutting = async move {
        for (after, way, time) in cuts {
            sleep(after).await;
            counted.fetch_add(1, Ordering::Relaxed);
            cut.send_replace(Some(way));
            sleep(time).await;
            cut.send_replace(None);
        }
        std::future::pending::<()>().await;
    };
    let serving = Arc::new(Mutex::new(JoinSet::new()));
    let network = {
        let (agent, serving) = (Arc::clone(&agent), Arc::clone(&serving));
        let make = move || std::future::ready(Ok::<_, io::Error>(served(&agent, &serving)));
        Network { line, make, carrying: Mutex::default() }
    };
    let client = BuildletClient::new(Address::Custom(Arc::new(network)), None);
    let step = step();
    let (ended, stored) = tokio::select! {
        done = run(&client, "e", &step, Duration::from_secs(patience)) => done,
        () = cutting => unreachable!("it waits"),
    };
    match ended {
        Ok(ended) => {
            assert_eq!(ended.end, End::Ok, "seed {seed}");
            assert!(stored.durable == agent.output, "seed {seed}: {} of {upto}", stored.durable.len());
        }
        Err(RunError::WorkerLost(why)) => {
            assert!(longest > patience, "seed {seed}: lost after cuts of at most {longest} s: {why}");
            assert!(agent.output.starts_with(&stored.durable), "seed {seed}: not what was printed");
        }
        Err(error) => panic!("seed {seed}: {error}"),
    }
    assert_eq!(agent.starts.load(Ordering::Relaxed), 1, "seed {seed}: started more than once");
    count.load(Ordering::Relaxed)
}

#[tokio::test(start_paused = true)]
async fn each_byte_is_stored_once_whatever_is_cut() {
    let mut cuts = 0;
    for seed in 0..SEEDS {
        cuts += case(seed).await;
    }
    assert!(u64::from(cuts) > SEEDS, "there were only {cuts} cuts");
}

/// A real agent, and a line before it that is cut for real: for a second and for thirty.
#[tokio::test]
async fn a_second_and_thirty_that_are_real() {
    let dir = tempfile::tempdir().unwrap();
    let socket: PathBuf = dir.path().join("s/socket");
    let mut agent = tokio::process::Command::new(buildlet())
        .arg("--listen")
        .arg(format!("unix:{}", socket.display()))
        .arg("--workdir")
        .arg(dir.path().join("work"))
        .arg("--state-dir")
        .arg(dir.path().join("state"))
        .stderr(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let (cut, line) = watch::channel(None);
    let to = socket.clone();
    let make = move || UnixStream::connect(to.clone());
    let network = Network { line, make, carrying: Mutex::default() };
    let client = BuildletClient::new(Address::Custom(Arc::new(network)), None);
    for _ in 0..500 {
        if client.status().await.is_ok() {
            break;
        }
        sleep(Duration::from_millis(20)).await;
    }
    let step = Step { run: "for n in $(seq 1 340); do echo line $n; sleep 0.1; done".into(), ..step() };
    let cutting = async {
        for (way, seconds) in [(Way::Refused, 1), (Way::Silent, 30)] {
            sleep(Duration::from_secs(2)).await;
            cut.send_replace(Some(way));
            sleep(Duration::from_secs(seconds)).await;
            cut.send_replace(None);
        }
    };
    let running = run(&client, "e", &step, Duration::from_secs(120));
    let ((ended, stored), ()) = tokio::join!(running, cutting);
    assert_eq!(ended.unwrap().end, End::Ok);
    let wanted: String = (1..=340).map(|n| format!("line {n}\n")).collect();
    assert_eq!(String::from_utf8(stored.durable).unwrap(), wanted);
    agent.kill().await.unwrap();
}
