//! The runs of a case, counted.

use serde::{Deserialize, Serialize};

use super::{Case, Outcome, Place, Tally};

/// Runs of one tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Count {
    /// Failed with the signature of the case.
    pub same: u32,
    /// Failed in another way.
    pub other: u32,
    /// Passed.
    pub passed: u32,
}

impl Count {
    /// Failed in any way.
    #[must_use]
    pub fn failed(&self) -> u32 {
        self.same + self.other
    }

    /// Runs that say something.
    #[must_use]
    pub fn runs(&self) -> u32 {
        self.failed() + self.passed
    }

    pub(super) fn add(&mut self, outcome: &Outcome, case: &Case) {
        match outcome {
            Outcome::Passed => self.passed += 1,
            Outcome::Failed(signature) if *signature == case.signature => self.same += 1,
            Outcome::Failed(_) => self.other += 1,
            Outcome::Infra | Outcome::Absent | Outcome::Unbuildable => {}
        }
    }
}

/// All of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Counts {
    /// The changed tree, on the worker that saw the failure.
    pub changed_same: Count,
    /// The changed tree, on others.
    pub changed_other: Count,
    /// The base, on the worker that saw the failure.
    pub base_same: Count,
    /// The base, on others.
    pub base_other: Count,
    /// Runs that said nothing.
    pub nothing: u32,
    /// Runs of the base that did not have the test.
    pub absent: u32,
    /// Runs of the base that could not be built.
    pub unbuildable: u32,
    /// Runs of the changed tree and of the base, of any kind.
    pub runs: u32,
    /// Seconds of all runs.
    pub seconds: u32,
}

impl Counts {
    pub fn of(case: &Case) -> Self {
        let mut counts = Self::default();
        for run in &case.runs {
            counts.seconds = counts.seconds.saturating_add(run.seconds);
            let same = run.worker == case.worker;
            let count = match (run.place, same) {
                (Place::Alone(_), _) => continue,
                (Place::Changed, true) => &mut counts.changed_same,
                (Place::Changed, false) => &mut counts.changed_other,
                (Place::Base, true) => &mut counts.base_same,
                (Place::Base, false) => &mut counts.base_other,
            };
            count.add(&run.outcome, case);
            counts.runs += 1;
            match (&run.outcome, run.place) {
                (Outcome::Absent, Place::Base) => counts.absent += 1,
                (Outcome::Unbuildable, Place::Base) => counts.unbuildable += 1,
                (Outcome::Infra | Outcome::Absent | Outcome::Unbuildable, _) => counts.nothing += 1,
                (Outcome::Passed | Outcome::Failed(_), _) => {}
            }
        }
        counts
    }

    pub fn changed(&self) -> Count {
        sum(self.changed_same, self.changed_other)
    }

    pub fn base(&self) -> Count {
        sum(self.base_same, self.base_other)
    }
}

fn sum(a: Count, b: Count) -> Count {
    Count { same: a.same + b.same, other: a.other + b.other, passed: a.passed + b.passed }
}

/// Failures and passes as weights.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Mass {
    pub failed: f64,
    pub passed: f64,
}

impl Mass {
    pub fn new(failed: u32, passed: u32) -> Self {
        Self { failed: f64::from(failed), passed: f64::from(passed) }
    }

    pub fn plus(self, other: Self) -> Self {
        Self { failed: self.failed + other.failed, passed: self.passed + other.passed }
    }

    pub fn runs(self) -> f64 {
        self.failed + self.passed
    }

    /// The logarithm of how likely it is if the test fails with this rate.
    pub fn ln(self, rate: f64) -> f64 {
        let part = |weight: f64, of: f64| if weight == 0.0 { 0.0 } else { weight * of.ln() };
        part(self.failed, rate) + part(self.passed, 1.0 - rate)
    }

    /// The rate within bounds under which it is likeliest.
    pub fn best(self, low: f64, high: f64) -> f64 {
        let all = self.runs();
        if all == 0.0 { high } else { (self.failed / all).clamp(low, high) }
    }
}

/// What the past weighs: at most [`HERE`] runs of the builder itself and [`ELSEWHERE`] of the others, in their proportion. Tests,
/// machines and seasons change, so a thousand runs of last month are not a thousand runs of now.
pub(super) fn past(case: &Case, failed: impl Fn(&Tally) -> u32) -> Mass {
    let part = |tally: &Tally, most: f64| {
        let failures = f64::from(failed(tally).min(tally.runs));
        // Failures of the kind that does not count here are left out, not counted as passes.
        let passes = f64::from(tally.runs.saturating_sub(tally.same.saturating_add(tally.other)));
        let all = failures + passes;
        let scale = if all > most { most / all } else { 1.0 };
        Mass { failed: failures * scale, passed: passes * scale }
    };
    part(&case.history.here, HERE).plus(part(&case.history.elsewhere, ELSEWHERE))
}

const HERE: f64 = 40.0;
const ELSEWHERE: f64 = 10.0;
