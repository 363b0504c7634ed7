//! A GitHub that keeps its state: repos with issues, pull requests, comments, events, reviews, labels and milestones, changed by
//! operations, answered from by the paths of its REST API, and told of by webhooks.
//!
//! GitHub itself can't be reached by tests. What this one answers is held against GitHub's own description, with the webhooks,
//! by `crates/maintner/tests/it/github/described.rs`. It can be as unpleasant as GitHub is ([`Faults`]), and it counts who asks
//! although it has said no ([`Counts`]).

mod operate;
mod pulls;
mod render;
mod script;
mod serve;
mod webhook;
mod world;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;

pub use script::Script;
pub use webhook::Webhook;
pub use world::{Gone, OWNER, REPO, World};

/// Where the repo's webhook goes.
pub const HOOK: &str = "https://ci.example.org/hooks/github";

/// How often answers are bad, in a hundred.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// 500 or 502.
    pub error: u32,
    /// A body that ends too early.
    pub cut: u32,
    /// 403 with a time to wait.
    pub secondary: u32,
    /// 403 or 429 without one.
    pub abuse: u32,
    /// What was [`Options::lag`] ago.
    pub stale: u32,
    /// The state changes while a list is read, between two of its pages.
    pub underway: u32,
    /// Events in no order.
    pub disorder: u32,
}

/// How it behaves.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Requests in an hour.
    pub limit: u64,
    /// The most elements of a page, whatever is asked for: lists of few elements have several, too.
    pub page: usize,
    /// Seconds that an answer may be late.
    pub lag: i64,
    /// Requests after which the repo has another name: each one later is sent elsewhere.
    pub moved: Option<u64>,
    /// Issues from this number on whose comments are never answered with.
    pub broken: Option<i32>,
    /// What is bad.
    pub faults: Faults,
}

impl Default for Options {
    fn default() -> Self {
        Self { limit: 5000, page: 100, lag: 0, moved: None, broken: None, faults: Faults::default() }
    }
}

/// What it has counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests.
    pub requests: u64,
    /// Those of them that asked for a list of pull requests.
    pub lists: u64,
    /// Answers that nothing changed.
    pub unchanged: u64,
    /// Times it said that there are too many.
    pub refusals: u64,
    /// Requests that came although it had said no.
    pub disobeyed: u64,
    /// Other bad answers.
    pub faults: u64,
    /// Answers from the past.
    pub stale: u64,
}

/// Seconds since 1970.
pub type Now = Arc<dyn Fn() -> i64 + Send + Sync>;

/// The server. Copies are the same one.
#[derive(Clone)]
pub struct GitHub {
    state: Arc<Mutex<State>>,
    now: Now,
}

struct State {
    world: World,
    /// What it was, with the time since when.
    before: VecDeque<(i64, World)>,
    script: Script,
    options: Options,
    counts: Counts,
    random: fastrand::Rng,
    window: Window,
    webhooks: Vec<Webhook>,
    deliveries: Vec<webhook::Delivery>,
    samples: Option<Samples>,
}

/// Some answers of each kind.
#[derive(Default)]
struct Samples {
    /// How many there were, by path and status.
    kinds: HashMap<(&'static str, u16), usize>,
    kept: Vec<Sample>,
}

/// An answer, for holding against the description.
#[derive(Debug, Clone)]
pub struct Sample {
    /// `get`, `post` or `patch`.
    pub method: String,
    /// Its path as the description has it; `/` for what any path may answer.
    pub path: &'static str,
    /// What was posted.
    pub request: Option<serde_json::Value>,
    /// Its status.
    pub status: u16,
    /// Its body.
    pub body: serde_json::Value,
}

/// What is left to ask.
#[derive(Debug, Default)]
struct Window {
    used: u64,
    reset: i64,
    held_until: i64,
}

impl GitHub {
    /// Makes one with an empty repo [`OWNER`]/[`REPO`]; the same seed and the same requests give the same answers.
    pub fn new(seed: u64, options: Options, now: Now) -> Self {
        let state = State {
            world: World::new(),
            before: VecDeque::new(),
            script: Script::new(seed),
            options,
            counts: Counts::default(),
            random: fastrand::Rng::with_seed(seed ^ 0x5eed),
            window: Window::default(),
            webhooks: Vec::new(),
            deliveries: Vec::new(),
            samples: None,
        };
        Self { state: Arc::new(Mutex::new(state)), now }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its paths.
    pub fn router(&self) -> Router {
        serve::router(self.clone())
    }

    /// Changes its state by an operation.
    pub fn change<T>(&self, operation: impl FnOnce(&mut World, i64) -> T) -> T {
        let now = (self.now)();
        let mut state = self.state();
        let done = operation(&mut state.world, now);
        state.changed(now);
        done
    }

    /// Does the script's next operation.
    pub fn step(&self) {
        let now = (self.now)();
        self.state().step(now);
    }

    /// A copy of its state.
    pub fn world(&self) -> World {
        self.state().world.clone()
    }

    /// Takes the webhooks that have come about since they were taken last.
    pub fn webhooks(&self) -> Vec<Webhook> {
        std::mem::take(&mut self.state().webhooks)
    }

    /// Says that a webhook arrived, or not: what did not is in the list of deliveries.
    pub fn delivered(&self, webhook: &Webhook, arrived: bool) {
        let now = (self.now)();
        self.state().delivered(webhook, arrived, now);
    }

    /// What it has counted.
    pub fn counts(&self) -> Counts {
        self.state().counts
    }

    /// Behaves otherwise from now on.
    pub fn set(&self, change: impl FnOnce(&mut Options)) {
        change(&mut self.state().options);
    }

    /// Keeps answers from now on, a few of each kind.
    pub fn keep_samples(&self) {
        self.state().samples = Some(Samples::default());
    }

    /// The answers that were kept.
    pub fn samples(&self) -> Vec<Sample> {
        self.state().samples.as_ref().map(|samples| samples.kept.clone()).unwrap_or_default()
    }
}

impl State {
    fn step(&mut self, now: i64) {
        self.script.step(&mut self.world, now);
        self.changed(now);
    }

    /// Keeps what it was for as long as somebody may be answered by it.
    fn changed(&mut self, now: i64) {
        let told = std::mem::take(&mut self.world.told);
        self.webhooks.extend(told.into_iter().map(Webhook::of));
        if self.options.lag > 0 {
            self.before.push_back((now, self.world.clone()));
            let limit = now - self.options.lag;
            while self.before.get(1).is_some_and(|(since, _)| *since <= limit) {
                self.before.pop_front();
            }
        }
    }

    /// What it was `lag` seconds ago.
    fn past(&self, now: i64) -> Option<&World> {
        let limit = now - self.options.lag;
        self.before.iter().rev().find(|(since, _)| *since <= limit).map(|(_, world)| world)
    }

    fn percent(&mut self, part: u32) -> bool {
        part > 0 && self.random.u32(..100) < part
    }
}
