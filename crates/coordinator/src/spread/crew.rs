//! What the machines of one attempt share: the pool of chunks, and what became of each.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use buildlet_client::About;
use store::{AttemptId, Micros, WorkerId};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::files::{Look, Wanted};
use super::output::Output;
use super::plan::{Chunk, longest_first};
use super::trees::Tree;
use crate::job::{Limits, Step};
use crate::recipe::{End, Ended};
use crate::redact::Secrets;
use crate::vault::Values;

/// So many machines a chunk may lose before the attempt is given up.
const TRIES: u32 = 3;

/// What a machine needs to run chunks.
pub(crate) struct Kit {
    pub attempt: AttemptId,
    /// The step that runs tests, with `{tests}` in it, and its place in the job.
    pub step: Step,
    pub index: usize,
    pub values: Values,
    pub secrets: Arc<Secrets>,
    pub env_pass: Vec<String>,
    pub limits: Limits,
    pub about: About,
    /// The files in which results of tests are, where they are in such.
    pub junit: Option<Wanted>,
    /// What a further machine begins from.
    pub trees: Vec<Tree>,
    /// Whether a chunk that fails ends all others.
    pub fail_fast: bool,
    /// How the names of this attempt's objects begin.
    pub prefix: String,
}

/// A chunk that a machine has taken.
pub(super) struct Taken {
    pub n: usize,
    pub tries: u32,
    pub tests: Vec<String>,
}

/// How a chunk went.
pub(super) struct Done {
    pub ended: Ended,
    pub output: Output,
    /// What it wrote of its results.
    pub look: Look,
    pub worker: WorkerId,
    pub started: Micros,
    pub took: u64,
    pub tries: u32,
}

enum State {
    Waiting,
    Running,
    Done(Option<Box<Done>>),
}

struct Part {
    chunk: Chunk,
    state: State,
    tries: u32,
}

#[derive(Default)]
struct Inner {
    kit: Option<Arc<Kit>>,
    parts: Vec<Part>,
    /// Chunks that nobody has, the longest last.
    waiting: Vec<usize>,
    running: usize,
    /// Nothing more is given out.
    stopped: bool,
    /// A chunk that no machine can run.
    lost: Option<String>,
    /// Machines that have taken part.
    members: Vec<Member>,
}

/// A machine that takes part.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub worker: WorkerId,
    pub machine: String,
    /// When it could begin.
    pub ready: Micros,
    /// Why it ended early.
    pub lost: Option<String>,
}

/// The pool. Dropped by whoever leads, through [`Closing`], it lets everybody go.
pub(crate) struct Crew {
    inner: Mutex<Inner>,
    changes: watch::Sender<u64>,
    /// Commands that run are to be ended.
    pub(super) kill: CancellationToken,
    /// There is nothing to be waited for any more.
    over: CancellationToken,
    /// Bytes of output that are kept in memory.
    pub(super) kept: Arc<AtomicUsize>,
}

/// Lets everybody go when it is dropped: the attempt has gone on, or is over.
pub(crate) struct Closing(pub(crate) Arc<Crew>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Crew {
    pub(crate) fn new() -> Arc<Crew> {
        Arc::new(Crew {
            inner: Mutex::default(),
            changes: watch::Sender::new(0),
            kill: CancellationToken::new(),
            over: CancellationToken::new(),
            kept: Arc::default(),
        })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// The tests can run.
    pub(super) fn open(&self, kit: Arc<Kit>, chunks: Vec<Chunk>) {
        let mut inner = self.inner();
        let expected: Vec<u64> = chunks.iter().map(Chunk::expected).collect();
        inner.waiting = longest_first(&expected).into_iter().rev().collect();
        inner.parts =
            chunks.into_iter().map(|chunk| Part { chunk, state: State::Waiting, tries: 0 }).collect();
        inner.kit = Some(kit);
        drop(inner);
        self.changed();
    }

    /// No other machine is to come.
    pub(super) fn alone(&self) {
        self.over.cancel();
        self.changed();
    }

    /// Output that was kept in memory is in the log.
    pub(super) fn printed(&self, bytes: usize) {
        self.kept.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Ends everything.
    pub(crate) fn close(&self) {
        self.inner().stopped = true;
        self.kill.cancel();
        self.over.cancel();
        self.changed();
    }

    /// Gives nothing more out and ends what runs.
    pub(super) fn stop(&self) {
        let mut inner = self.inner();
        inner.stopped = true;
        inner.waiting.clear();
        drop(inner);
        self.kill.cancel();
        self.changed();
    }

    /// Whether a further machine would find nothing to do.
    pub(crate) fn is_over(&self) -> bool {
        let inner = self.inner();
        inner.stopped || self.over.is_cancelled() || (inner.kit.is_some() && inner.waiting.is_empty())
    }

    /// What a machine needs, once tests can run; nothing if they never will.
    pub(super) async fn ready(&self) -> Option<Arc<Kit>> {
        let mut changes = self.changes.subscribe();
        loop {
            if self.is_over() {
                return None;
            }
            let kit = self.inner().kit.clone();
            if kit.is_some() {
                return kit;
            }
            if changes.changed().await.is_err() {
                return None;
            }
        }
    }

    pub(super) fn join(&self, member: Member) {
        self.inner().members.push(member);
    }

    pub(super) fn leave(&self, worker: WorkerId, why: &str) {
        if let Some(member) = self.inner().members.iter_mut().find(|member| member.worker == worker) {
            member.lost = Some(why.to_owned());
        }
    }

    pub(super) fn members(&self) -> Vec<Member> {
        self.inner().members.clone()
    }

    /// The longest chunk that nobody has.
    pub(super) fn take(&self) -> Option<Taken> {
        let mut inner = self.inner();
        if inner.stopped {
            return None;
        }
        let n = inner.waiting.pop()?;
        inner.running += 1;
        let part = &mut inner.parts[n];
        part.state = State::Running;
        part.tries += 1;
        let taken = Taken { n, tries: part.tries, tests: part.chunk.tests.clone() };
        drop(inner);
        self.changed();
        Some(taken)
    }

    /// The same for the machine that stays to the end: waits while others may give a chunk back.
    pub(super) async fn take_patiently(&self) -> Option<Taken> {
        let mut changes = self.changes.subscribe();
        loop {
            if let Some(taken) = self.take() {
                return Some(taken);
            }
            let idle = {
                let inner = self.inner();
                inner.stopped || inner.running == 0
            };
            if idle || changes.changed().await.is_err() {
                return None;
            }
        }
    }

    /// The machine is gone with it: another is to run it.
    pub(super) fn give_back(&self, taken: &Taken, why: &str) {
        let mut inner = self.inner();
        inner.running = inner.running.saturating_sub(1);
        let part = &mut inner.parts[taken.n];
        part.state = State::Waiting;
        let (tries, names) = (part.tries, named(&part.chunk.tests));
        if tries >= TRIES {
            inner.lost = Some(format!("{names} was lost with {tries} machines, the last time: {why}"));
            inner.stopped = true;
            inner.waiting.clear();
            drop(inner);
            self.kill.cancel();
        } else {
            if !inner.stopped {
                // First of all: it was the longest before, and is late now.
                inner.waiting.push(taken.n);
            }
            drop(inner);
        }
        self.changed();
    }

    /// Why no machine can run one of the chunks.
    pub(super) fn lost(&self) -> Option<String> {
        self.inner().lost.clone()
    }

    pub(super) fn done(&self, n: usize, done: Done, fail_fast: bool) {
        let failed = !matches!(done.ended.end, End::Ok | End::Cancelled);
        let mut inner = self.inner();
        inner.running = inner.running.saturating_sub(1);
        inner.parts[n].state = State::Done(Some(Box::new(done)));
        drop(inner);
        match failed && fail_fast {
            true => self.stop(),
            false => self.changed(),
        }
    }

    /// Waits for a chunk to be done; nothing if it will not be.
    pub(super) async fn wait(&self, n: usize) -> Option<Box<Done>> {
        let mut changes = self.changes.subscribe();
        loop {
            {
                let mut inner = self.inner();
                let stopped = inner.stopped;
                match inner.parts.get_mut(n).map(|part| &mut part.state) {
                    Some(State::Done(done)) => return done.take(),
                    Some(State::Running) => {}
                    Some(State::Waiting) if !stopped => {}
                    Some(State::Waiting) | None => return None,
                }
            }
            if changes.changed().await.is_err() {
                return None;
            }
        }
    }
}

/// Names tests for people: the first, and how many others.
pub(super) fn named(tests: &[String]) -> String {
    match tests {
        [] => "nothing".to_owned(),
        [one] => one.clone(),
        [first, rest @ ..] => format!("{first} and {} more", rest.len()),
    }
}
