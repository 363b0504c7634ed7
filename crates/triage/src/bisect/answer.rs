//! When there is an answer, and which.

use serde::{Deserialize, Serialize};

use super::weigh::{Group, Weights};
use super::{Bisection, Commit};

/// What came of a bisection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Answer {
    /// This commit broke it: it failed again, and its parent passed again.
    Culprit {
        /// The commit.
        commit: String,
        /// The one before.
        parent: String,
    },
    /// One of these broke it, oldest first; which can't be told, as all but the last can't be tested.
    OneOf {
        /// The commits.
        commits: Vec<String>,
        /// It may also be no commit: the one that passed can't be tested any more.
        or_not_the_code: bool,
        /// It may also have gone away: the newest can't be tested.
        or_gone: bool,
    },
    /// The commit that passed in the past fails now, too: something beside the code has changed.
    NotTheCode {
        /// The commit that passed, and fails.
        commit: String,
    },
    /// The newest commit passes now.
    Gone {
        /// The commit that failed, and passes.
        commit: String,
    },
    /// As many tests as were allowed do not tell.
    GaveUp {
        /// The commits that it may be, likeliest first, at most ten, each with its chance in percent.
        likeliest: Vec<(String, u8)>,
    },
}

/// The weight at which an answer is given.
const SURE: f64 = 0.99;
/// How often an answer's commits are seen.
pub(super) const TWICE: u32 = 2;

/// How often it passed, the past included.
pub(super) fn passed(commit: &Commit) -> u32 {
    commit.good + u32::from(commit.past == Some(false) && commit.good > 0)
}

/// How often it failed, the past included.
pub(super) fn failed(commit: &Commit) -> u32 {
    commit.bad + u32::from(commit.past == Some(true) && commit.bad > 0)
}

pub(super) fn answer(bisection: &Bisection, weights: &Weights) -> Option<Answer> {
    let group = weights.leading().filter(|group| group.weight >= SURE)?;
    let seen = |at: Option<usize>, count: fn(&Commit) -> u32| {
        at.is_none_or(|at| count(&bisection.commits[at]) >= TWICE)
    };
    (seen(group.passes, passed) && seen(group.fails, failed)).then(|| of(bisection, group))
}

fn of(bisection: &Bisection, group: &Group) -> Answer {
    let commits = &bisection.commits;
    let id = |at: usize| commits[at].id.clone();
    // The first hypothesis is of no commit, and neither is the last.
    let (first, end) = (group.from.max(1), (group.to + 1).min(commits.len()));
    let (not_the_code, gone) = (group.from == 0, group.to == commits.len());
    match (not_the_code, gone, end.saturating_sub(first)) {
        (true, false, 0) => Answer::NotTheCode { commit: id(0) },
        (false, true, 0) => Answer::Gone { commit: id(commits.len() - 1) },
        (false, false, 1) => Answer::Culprit { commit: id(first), parent: id(first - 1) },
        _ => Answer::OneOf {
            commits: (first..end).map(id).collect(),
            or_not_the_code: not_the_code,
            or_gone: gone,
        },
    }
}

/// What is left when no more may be tested.
pub(super) fn likeliest(bisection: &Bisection, weights: &Weights) -> Answer {
    let mut all: Vec<(usize, f64)> = (1..bisection.commits.len()).map(|at| (at, weights.each[at])).collect();
    all.sort_by(|a, b| b.1.total_cmp(&a.1));
    let percent = |weight: f64| (weight * 100.0).round() as u8;
    let likeliest =
        all.into_iter().take(10).map(|(at, weight)| (bisection.commits[at].id.clone(), percent(weight)));
    Answer::GaveUp { likeliest: likeliest.collect() }
}
