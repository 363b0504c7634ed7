//! Bisection: which commit of a range broke a test, by as many workers as are free.
//!
//! A [`Bisection`] is a value: [`step`](Bisection::step) says what to test next, [`report`](Bisection::report) takes what came of it, and
//! all of it is written and read with serde, so that whoever starts again goes on where it was. It has no clock and starts nothing.
//!
//! # How it decides
//!
//! Let the commits be numbered from 0, of which 0 passed and the last failed in builds of the past. A hypothesis is a number c: commit
//! i fails *now* if and only if i ≥ c. So c = 3 says that commit 3 is the culprit; c = 0 says that even the commit fails that
//! passed (the builder breaks for reasons of its own), and a c beyond the last that none fails (the break has gone away). Each
//! hypothesis has a weight, by Bayes' rule: a result multiplies it by how likely the hypothesis has it ([`Rates`]). A test that fails
//! at times gives a small factor for a pass, and so is repeated by itself where the evidence is thin.
//!
//! With k workers the commits are tested that cut the weight into k + 1 equal parts; workers that are left over repeat what
//! an answer will have to rest on. An untestable commit has no result, so the hypotheses on either side of it keep
//! the same weight: if at the end no testable commit lies between some of them, the answer is "one of these".
//!
//! An answer is given at a weight of 99 % *and* when it was verified: the culprit failed twice, the commit before it
//! passed twice (the build of the past is one of the two).

mod answer;
mod choose;
mod weigh;

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};

pub use answer::Answer;

/// Commits of a range, at most.
pub const MAX_COMMITS: usize = 20_000;

/// How often the test fails.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rates {
    /// Where it is broken: 0.98 for a break, less for one that fails at times.
    pub broken: f64,
    /// Where it is in order.
    pub fine: f64,
}

impl Default for Rates {
    fn default() -> Self {
        Self { broken: 0.98, fine: 0.005 }
    }
}

/// How much a bisection may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Tests, at most; those that were lost included.
    pub tests: u32,
    /// How often a commit is tried whose tests are lost to machines, before it counts as untestable.
    pub lost: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { tests: 200, lost: 3 }
    }
}

/// What came of a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Found {
    /// It passed.
    Good,
    /// It failed in the way that is looked for.
    Bad,
    /// It could not be built, or failed in another way, which hides what it would do otherwise.
    Untestable,
    /// It was lost to a machine.
    Lost,
}

/// A test to be run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// Its number, to report by.
    pub id: u64,
    /// The commit.
    pub commit: String,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Run these; never empty.
    Test(Vec<Probe>),
    /// Nothing until what is running has come back, or a worker is free.
    Wait,
    /// There is an [`answer`](Bisection::answer). What is still running can be ended.
    Done,
}

/// Says why a range or a report is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BisectError {
    /// Fewer than two commits.
    #[error("a range needs the commit that passed and one that failed after it")]
    Short,
    /// More than [`MAX_COMMITS`].
    #[error(
        "a range of {0} commits is too long to bisect; begin at a newer commit that passed (at most {MAX_COMMITS})"
    )]
    Long(usize),
    /// A commit is there twice.
    #[error("the commit {0} is in the range twice")]
    Twice(String),
    /// A commit that the range does not have.
    #[error("the commit {0} is not in the range")]
    NoCommit(String),
    /// A test that was not asked for, or came back before.
    #[error("test {0} is not running; it was reported before, or never asked for")]
    NoProbe(u64),
    /// Rates that are not between 0 and 1, or do not tell broken from fine.
    #[error(
        "the test has to fail more often where it is broken ({broken}) than where it is fine ({fine}), both above 0 and below 1"
    )]
    Rates {
        /// Where it is broken.
        broken: String,
        /// Where it is fine.
        fine: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Commit {
    id: String,
    good: u32,
    bad: u32,
    untestable: u32,
    lost: u32,
    /// What a build of the past said: that it failed.
    past: Option<bool>,
}

impl Commit {
    fn new(id: String) -> Self {
        Self { id, good: 0, bad: 0, untestable: 0, lost: 0, past: None }
    }
}

/// A bisection with all it knows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bisection {
    commits: Vec<Commit>,
    rates: Rates,
    limits: Limits,
    /// Tests that were asked for and have not come back, with their commits.
    running: BTreeMap<u64, String>,
    asked: u64,
    answer: Option<Answer>,
    told: bool,
}

impl Bisection {
    /// Begins with a range: the first commit passed, the last failed, each is the parent of the next.
    ///
    /// # Errors
    /// If it is too short or too long, has a commit twice, or the rates can't be.
    pub fn new(commits: Vec<String>, rates: Rates, limits: Limits) -> Result<Self, BisectError> {
        let inside = |rate: f64| rate > 0.0 && rate < 1.0;
        if !inside(rates.broken) || !inside(rates.fine) || rates.fine >= rates.broken {
            return Err(BisectError::Rates {
                broken: rates.broken.to_string(),
                fine: rates.fine.to_string(),
            });
        }
        if commits.len() < 2 {
            return Err(BisectError::Short);
        }
        let mut commits: Vec<Commit> = commits.into_iter().map(Commit::new).collect();
        let last = commits.len() - 1;
        commits[0].past = Some(false);
        commits[last].past = Some(true);
        check(&commits)?;
        Ok(Self { commits, rates, limits, running: BTreeMap::new(), asked: 0, answer: None, told: false })
    }

    /// Notes what an ordinary build said of a commit of the range. It is believed less than a test of now: the machines may have changed.
    ///
    /// # Errors
    /// If the range does not have the commit.
    pub fn past(&mut self, commit: &str, failed: bool) -> Result<(), BisectError> {
        self.commit(commit)?.past = Some(failed);
        Ok(())
    }

    /// Lets the range grow by commits that landed after it, oldest first.
    ///
    /// # Errors
    /// If it is too long then, or has a commit twice. Then nothing is changed.
    pub fn extend_newer(&mut self, commits: Vec<String>) -> Result<(), BisectError> {
        let mut all = self.commits.clone();
        all.extend(commits.into_iter().map(Commit::new));
        check(&all)?;
        self.commits = all;
        Ok(())
    }

    /// Lets the range grow by commits before it, oldest first.
    ///
    /// # Errors
    /// If it is too long then, or has a commit twice. Then nothing is changed.
    pub fn extend_older(&mut self, commits: Vec<String>) -> Result<(), BisectError> {
        let mut all: Vec<Commit> = commits.into_iter().map(Commit::new).collect();
        all.extend(self.commits.iter().cloned());
        check(&all)?;
        self.commits = all;
        Ok(())
    }

    /// Says what to do with so many free workers; what it asks for counts as running until it is reported.
    pub fn step(&mut self, free: usize) -> Step {
        if self.answer.is_some() {
            return Step::Done;
        }
        let weights = weigh::Weights::of(self);
        self.answer = answer::answer(self, &weights);
        if self.answer.is_some() {
            return Step::Done;
        }
        let left = u64::from(self.limits.tests).saturating_sub(self.asked);
        let free = free.min(usize::try_from(left).unwrap_or(usize::MAX));
        let chosen = choose::choose(self, &weights, free);
        if chosen.is_empty() && self.running.is_empty() && (left == 0 || free > 0) {
            self.answer = Some(answer::likeliest(self, &weights));
            return Step::Done;
        }
        if chosen.is_empty() {
            return Step::Wait;
        }
        let ids = chosen.into_iter().map(|at| self.commits[at].id.clone());
        let mut probes = Vec::new();
        for commit in ids {
            self.running.insert(self.asked, commit.clone());
            probes.push(Probe { id: self.asked, commit });
            self.asked += 1;
        }
        Step::Test(probes)
    }

    /// Takes what came of a test. After the answer it changes nothing.
    ///
    /// # Errors
    /// If the test is not running.
    pub fn report(&mut self, probe: u64, found: Found) -> Result<(), BisectError> {
        let id = self.running.remove(&probe).ok_or(BisectError::NoProbe(probe))?;
        let commit = self.commit(&id)?;
        match found {
            Found::Good => commit.good += 1,
            Found::Bad => commit.bad += 1,
            Found::Untestable => commit.untestable += 1,
            Found::Lost => commit.lost += 1,
        }
        Ok(())
    }

    /// The tests that were asked for and have not been reported, for whoever starts again.
    pub fn running(&self) -> impl Iterator<Item = Probe> + '_ {
        self.running.iter().map(|(id, commit)| Probe { id: *id, commit: commit.clone() })
    }

    /// The answer, once there is one.
    #[must_use]
    pub fn answer(&self) -> Option<&Answer> {
        self.answer.as_ref()
    }

    /// The answer, once in the life of the bisection: write the state down in the transaction that queues the message.
    pub fn take_notice(&mut self) -> Option<Answer> {
        if self.told {
            return None;
        }
        self.told = self.answer.is_some();
        self.answer.clone()
    }

    /// How many tests were asked for.
    #[must_use]
    pub fn tests(&self) -> u64 {
        self.asked
    }

    fn commit(&mut self, id: &str) -> Result<&mut Commit, BisectError> {
        let found = self.commits.iter_mut().find(|commit| commit.id == id);
        found.ok_or_else(|| BisectError::NoCommit(id.to_owned()))
    }

    /// Whether a result can be had of it, as far as is known.
    fn testable(&self, commit: &Commit) -> bool {
        commit.good + commit.bad > 0 || (commit.untestable == 0 && commit.lost < self.limits.lost.max(1))
    }
}

fn check(commits: &[Commit]) -> Result<(), BisectError> {
    if commits.len() > MAX_COMMITS {
        return Err(BisectError::Long(commits.len()));
    }
    let mut seen = HashSet::new();
    match commits.iter().find(|commit| !seen.insert(commit.id.as_str())) {
        Some(twice) => Err(BisectError::Twice(twice.id.clone())),
        None => Ok(()),
    }
}
