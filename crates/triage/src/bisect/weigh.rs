//! The weights of the hypotheses.

use super::{Bisection, Commit};

/// What a build of the past is worth against a hypothesis that has it otherwise.
const PAST: f64 = 0.05;

/// What can't be told apart by any commit that can be tested: the hypotheses from `from` to `to`, both included.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Group {
    pub from: usize,
    pub to: usize,
    /// Their weight together.
    pub weight: f64,
    /// The testable commit before them, which passes if it is one of them.
    pub passes: Option<usize>,
    /// The testable commit with the number `to`, which fails then.
    pub fails: Option<usize>,
}

/// All weights, which are 1 together.
#[derive(Debug)]
pub(super) struct Weights {
    /// Of each hypothesis; one more than there are commits.
    pub each: Vec<f64>,
    /// Of each commit: how likely it is that it fails.
    pub fails: Vec<f64>,
    pub groups: Vec<Group>,
}

impl Weights {
    pub fn of(bisection: &Bisection) -> Self {
        let commits = &bisection.commits;
        let rates = bisection.rates;
        // How likely its results are if it fails, and if it passes.
        let ln = |commit: &Commit, fails: bool| {
            let rate = if fails { rates.broken } else { rates.fine };
            let past = if commit.past.is_some_and(|past| past != fails) { PAST.ln() } else { 0.0 };
            f64::from(commit.bad) * rate.ln() + f64::from(commit.good) * (1.0 - rate).ln() + past
        };
        let mut score: f64 = commits.iter().map(|commit| ln(commit, true)).sum();
        let mut scores = vec![score];
        for commit in commits {
            score += ln(commit, false) - ln(commit, true);
            scores.push(score);
        }
        // The builder's own fault, and a break that went away, are as likely as all commits together before the past is counted.
        let ends = (commits.len() as f64).ln();
        let last = scores.len() - 1;
        scores[0] += ends;
        scores[last] += ends;
        let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let mut each: Vec<f64> = scores.iter().map(|score| (score - most).exp()).collect();
        let all: f64 = each.iter().sum();
        each.iter_mut().for_each(|weight| *weight /= all);
        let mut sum = 0.0;
        let fails = each[..last].iter().map(|weight| {
            sum += weight;
            sum
        });
        let fails = fails.collect();
        let groups = groups(bisection, &each);
        Self { each, fails, groups }
    }

    /// The group with the most weight.
    pub fn leading(&self) -> Option<&Group> {
        self.groups.iter().max_by(|a, b| a.weight.total_cmp(&b.weight))
    }
}

fn groups(bisection: &Bisection, each: &[f64]) -> Vec<Group> {
    let mut groups = Vec::new();
    let (mut from, mut passes) = (0, None);
    for (at, commit) in bisection.commits.iter().enumerate() {
        if !bisection.testable(commit) {
            continue;
        }
        groups.push(Group { from, to: at, weight: each[from..=at].iter().sum(), passes, fails: Some(at) });
        (from, passes) = (at + 1, Some(at));
    }
    let to = bisection.commits.len();
    groups.push(Group { from, to, weight: each[from..=to].iter().sum(), passes, fails: None });
    groups
}
