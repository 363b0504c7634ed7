//! The clock, and who does something next.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use anyhow::Result;

use super::change::Change;
use super::day::{self, BEGIN, DAY, END, HOUR};
use super::issue::Issue;
use super::label::{self, Repo};
use super::log::Log;
use super::past;
use super::people::People;
use super::project::Project;
use super::random::Random;
use super::words::Words;

/// What something happens to once more.
enum Actor {
    Issue(Issue),
    Change(Change),
}

pub struct World {
    pub random: Random,
    pub words: Words,
    pub people: People,
    pub log: Log,
    pub now: u64,
    pub repos: Vec<Repo>,
    pub projects: Vec<Project>,
    /// Of comments, events and reviews.
    id: i64,
    /// The number of the newest change.
    pub change: u32,
    issues: u32,
    changes: u32,
    queue: BinaryHeap<Reverse<(u64, usize)>>,
    actors: Vec<Option<Actor>>,
    free: Vec<usize>,
}

impl World {
    pub fn new(seed: u64, issues: u32, changes: u32, log: Log) -> Self {
        let mut random = Random::new(seed);
        let words = Words::new(&mut random);
        let people = People::new(&mut random, 60 + issues as usize / 6);
        let repos = label::repos(&mut random, &words);
        let projects = past::projects(&mut random, &words, changes);
        Self {
            random,
            words,
            people,
            log,
            now: BEGIN,
            repos,
            projects,
            id: 20_000_000,
            change: 1000,
            issues,
            changes,
            queue: BinaryHeap::new(),
            actors: Vec::new(),
            free: Vec::new(),
        }
    }

    /// An id that is higher than all before.
    pub fn id(&mut self) -> i64 {
        self.id += 1 + i64::from(self.random.below(2000));
        self.id
    }

    /// How long until something happens again, of so many times that it does before the end.
    pub fn wait(&mut self, times: u32) -> u64 {
        let unit = [HOUR / 4, 2 * HOUR, DAY, 9 * DAY, 40 * DAY][self.random.index(5)];
        let wait = unit / 16 * u64::from(1 + self.random.below(48));
        let room = END.saturating_sub(self.now) / (u64::from(times) + 1);
        wait.min(room).max(1)
    }

    pub fn run(&mut self) -> Result<()> {
        label::begin(self)?;
        past::write(self)?;
        let (mut issues, mut changes) = (0, 0);
        let mut file = day::file(BEGIN);
        loop {
            let issue = begins(issues, self.issues);
            let change = begins(changes, self.changes);
            let again = self.queue.peek().map_or(u64::MAX, |Reverse((at, _))| *at);
            let next = issue.min(change).min(again);
            if next == u64::MAX {
                break;
            }
            self.now = self.now.max(next).min(END - 1);
            if day::file(self.now) != file {
                file = day::file(self.now);
                past::half_year(self, file)?;
            }
            if next == again {
                self.again()?;
            } else if next == issue {
                issues += 1;
                if let Some(issue) = Issue::begin(self)? {
                    self.later(Actor::Issue(issue));
                }
            } else {
                changes += 1;
                let change = Change::begin(self, changes)?;
                self.later(Actor::Change(change));
            }
        }
        past::end(self)
    }

    fn again(&mut self) -> Result<()> {
        let Some(Reverse((_, slot))) = self.queue.pop() else { return Ok(()) };
        let Some(mut actor) = self.actors[slot].take() else { return Ok(()) };
        self.free.push(slot);
        match &mut actor {
            Actor::Issue(issue) => issue.step(self)?,
            Actor::Change(change) => change.step(self)?,
        }
        self.later(actor);
        Ok(())
    }

    /// Nothing is kept of whom nothing happens to any more.
    fn later(&mut self, actor: Actor) {
        let left = match &actor {
            Actor::Issue(issue) => issue.left(),
            Actor::Change(change) => change.left(),
        };
        if left == 0 {
            return;
        }
        let at = self.now + self.wait(left);
        let slot = self.free.pop().unwrap_or_else(|| {
            self.actors.push(None);
            self.actors.len() - 1
        });
        self.actors[slot] = Some(actor);
        self.queue.push(Reverse((at, slot)));
    }
}

/// When the next one is new, where `done` of `all` are.
fn begins(done: u32, all: u32) -> u64 {
    if done >= all {
        return u64::MAX;
    }
    BEGIN + DAY + (END - BEGIN) / 100 * 96 * u64::from(done) / u64::from(all)
}
