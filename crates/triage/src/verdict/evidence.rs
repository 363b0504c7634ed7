//! The statistics of a verdict.
//!
//! # What is asked
//!
//! Let *a* be how often the test fails with the change, *b* how often without it (now, at the base), and *h* how often it failed at
//! landed commits. What could be behind a failure ([`Cause`]) is a set of such rates:
//!
//! | cause | rates |
//! |---|---|
//! | `break` | a ≥ 0.9, b ≤ a/4: it fails (nearly) always, and did not before |
//! | `worse` | 0.15 ≤ a ≤ 0.9, b = h ≤ a/4: it fails four times as often or more |
//! | `flake` | a = b = h: the change has nothing to do with it |
//! | `new_flake` | a = b, h anything: neither, but it began lately, after most of the past was recorded |
//! | `broken` | a ≥ 0.9, b ≥ 0.9, h anything: it is broken without the change |
//!
//! # How it is answered
//!
//! For a verdict, each cause that speaks against it has to be refuted. Against a cause K stands
//!
//! ```text
//! E = q(runs) / max { p(runs) : rates in K }
//! ```
//!
//! where p is the chance of the runs as they came (failures times rate, passes times one minus rate) and q is a fixed mixture of
//! rates that the verdict expects. Whatever the true rates in K are, E is at most q/p of those rates, and q/p is a
//! martingale of mean 1 under them. So (Ville) the chance that E *ever* reaches 1/α is at most α: for each flake, of whatever rate,
//! however often one looks, and whichever run one chooses next by what was seen. That is why more re-runs may be
//! asked for until it is clear, and why no prior has to be right for the bound to hold: q decides only how many runs it takes. (It is a
//! sequential likelihood-ratio test in which the other side may choose its best parameters: "universal inference".)
//!
//! The failure that began the case does not count. It is why we look: of a thousand tests the one is taken that failed.
//! Given that, the runs *after* it are drawn by the same rates, and only those are counted.
//!
//! # How sure
//!
//! A wrong verdict shall be given in at most 1 % of cases. `break`, `flake` are refuted at E ≥ 100. A `new_flake` is at most every
//! tenth flake (most flakes are old), so 10 is enough there for 1 % in all; where there is no past, `flake` and
//! `new_flake` are the same set and 100 holds for both. A change that only makes a test `worse` is rarer still than one that breaks
//! it, and can be told from a flake only by dozens of runs where there is no past to compare with. For it the mean over a mixture of its
//! rates stands in place of the maximum, and 3 is enough: so a test made worse is called `flaky` in up to a third of cases.
//! For `broken_at_base` it must also be refuted, at 10, that the base is a flake of old that failed there by chance.
//! `broken` against `flaky` only chooses between two verdicts that blame nobody: 3. `broken` against `caused`: 10, as for what began lately.
//!
//! # Doubts count against the verdict
//!
//! - A failure that looks different counts as a failure of the test where that speaks against the verdict, and not at all where
//!   it would speak for it. So a test with a changing text is not "caused" because the base failed in another way.
//! - With the change, failures on the worker that saw the first count for `caused` only if the base passed on that worker: else
//!   it may be the worker.
//! - The past weighs as much as 50 runs, no more, whatever its size.
//! - A test that the base does not have and that never ran at a landed commit came with the change: every failure of it is
//!   `caused`, once it failed again or passed and so shows that it fails at times. A base that cannot be built says nothing.

use serde::{Deserialize, Serialize};

use super::counts::{Count, Counts, Mass, past};
use super::{Case, History, Verdict};

/// What could be behind a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The change breaks it.
    Break,
    /// The change has it fail more often.
    Worse,
    /// It is a flake of old.
    Flake,
    /// It is a flake that began lately.
    NewFlake,
    /// It is broken at the base.
    Broken,
}

/// How far one cause is refuted.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Weight {
    /// The cause that speaks against the verdict.
    pub against: Cause,
    /// The natural logarithm of E.
    pub ln: f64,
    /// What it has to reach.
    pub needed: f64,
}

impl Weight {
    fn new(against: Cause, ln: f64, needed: f64) -> Self {
        Self { against, ln, needed: needed.ln() }
    }

    /// What is lacking; nothing or less if it is refuted.
    pub(super) fn lacking(&self) -> f64 {
        self.needed - self.ln
    }
}

/// What the runs say, as data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// Runs with the change, on the worker that saw the failure, without that failure.
    pub changed_same_worker: Count,
    /// Runs with the change, on other workers.
    pub changed_other_worker: Count,
    /// Runs of the base, on any worker.
    pub base: Count,
    /// The past, as it was given.
    pub history: History,
    /// Runs that said nothing.
    pub nothing: u32,
    /// The test is not there without the change and never ran at a landed commit.
    pub new_test: bool,
    /// The base cannot be built.
    pub base_unbuildable: bool,
    /// It failed only on one worker, and passed with the change on others.
    pub only_on_worker: Option<String>,
    /// What has to be refuted for `caused`.
    pub caused: Vec<Weight>,
    /// What has to be refuted for `flaky`.
    pub flaky: Vec<Weight>,
    /// What has to be refuted for `broken_at_base`.
    pub broken: Vec<Weight>,
}

/// With which rates the change has a test fail that it breaks or makes worse; weights and rates.
const AFTER: &[(f64, f64)] = &[
    (0.6, 0.995),
    (0.1, 0.95),
    (0.05, 0.85),
    (0.05, 0.7),
    (0.05, 0.55),
    (0.05, 0.42),
    (0.05, 0.33),
    (0.05, 0.25),
];
/// With which rates a test fails that is in order.
const BEFORE: &[(f64, f64)] =
    &[(0.45, 0.001), (0.2, 0.01), (0.1, 0.03), (0.1, 0.08), (0.08, 0.18), (0.07, 0.33)];
/// With which rates a test fails that the change makes worse.
const WORSE: &[(f64, f64)] =
    &[(0.2, 0.2), (0.2, 0.3), (0.15, 0.4), (0.15, 0.5), (0.1, 0.6), (0.1, 0.7), (0.05, 0.8), (0.05, 0.88)];
/// With which rates a flaky test fails.
const FLAKE: &[(f64, f64)] = &[
    (0.15, 0.003),
    (0.15, 0.01),
    (0.1, 0.03),
    (0.1, 0.06),
    (0.1, 0.1),
    (0.08, 0.15),
    (0.08, 0.22),
    (0.08, 0.3),
    (0.06, 0.4),
    (0.04, 0.5),
    (0.03, 0.65),
    (0.03, 0.8),
];
/// With which rates a test fails that is broken.
const BROKEN: &[(f64, f64)] = &[(0.8, 0.995), (0.2, 0.93)];

const BREAK_FROM: f64 = 0.9;
const RATIO: f64 = 4.0;

/// Failures and passes with the change, at the base, and in the past.
#[derive(Debug, Clone, Copy)]
pub(super) struct Masses {
    pub a: Mass,
    pub b: Mass,
    pub h: Mass,
}

impl Evidence {
    pub(super) fn of(case: &Case, counts: &Counts) -> Self {
        let (base, changed) = (counts.base(), counts.changed());
        let no_past = case.history.here.runs == 0 && case.history.elsewhere.runs == 0;
        let other = counts.changed_other;
        let alone = other.failed() == 0 && other.passed >= 2 && counts.changed_same.failed() >= 2;
        Self {
            changed_same_worker: counts.changed_same,
            changed_other_worker: counts.changed_other,
            base,
            history: case.history,
            nothing: counts.nothing,
            new_test: counts.absent > 0 && base.runs() == 0 && no_past,
            base_unbuildable: counts.unbuildable > 0 && base.runs() == 0,
            only_on_worker: alone.then(|| case.worker.clone()),
            caused: against_caused(&for_caused(case, counts)),
            flaky: against_flaky(&for_others(case, changed, base)),
            broken: against_broken(&for_others(case, changed, base)),
        }
    }

    /// The verdict, if there is one.
    pub(super) fn verdict(&self) -> Option<Verdict> {
        let changed = self.changed();
        if self.new_test {
            // One more run is wanted, so that a machine's fault of the first is not taken for the test's.
            return (changed.runs() >= 2).then_some(Verdict::Caused);
        }
        if refuted(&self.caused) {
            return Some(Verdict::Caused);
        }
        if refuted(&self.broken) && self.base.passed == 0 && changed.passed == 0 && self.base.other == 0 {
            return Some(Verdict::BrokenAtBase);
        }
        refuted(&self.flaky).then_some(Verdict::Flaky)
    }

    /// Runs with the change on any worker.
    #[must_use]
    pub fn changed(&self) -> Count {
        let (a, b) = (self.changed_same_worker, self.changed_other_worker);
        Count { same: a.same + b.same, other: a.other + b.other, passed: a.passed + b.passed }
    }
}

fn refuted(weights: &[Weight]) -> bool {
    weights.iter().all(|weight| weight.lacking() <= 0.0)
}

/// As it speaks least for `caused`.
pub(super) fn for_caused(case: &Case, counts: &Counts) -> Masses {
    let (same, other) = (counts.changed_same, counts.changed_other);
    let clean = counts.base_same.passed > 0;
    let failed = other.failed() + if clean { same.failed() } else { 0 };
    let base = counts.base();
    Masses {
        a: Mass::new(failed, same.passed + other.passed),
        b: Mass::new(base.failed(), base.passed),
        h: past(case, |tally| tally.same.saturating_add(tally.other)),
    }
}

/// As it speaks least for `flaky` and `broken_at_base`.
pub(super) fn for_others(case: &Case, changed: Count, base: Count) -> Masses {
    Masses {
        a: Mass::new(changed.failed(), changed.passed),
        b: Mass::new(base.same, base.passed),
        h: past(case, |tally| tally.same),
    }
}

pub(super) fn against_caused(m: &Masses) -> Vec<Weight> {
    let now_and_past = mixed(AFTER, m.a) + mixed(BEFORE, m.b.plus(m.h));
    let now = now_and_past - mixed(BEFORE, m.h);
    let (all, both) = (m.a.plus(m.b).plus(m.h), m.a.plus(m.b));
    let flake = all.ln(all.best(0.0, 1.0));
    let new = both.ln(both.best(0.0, 1.0));
    vec![
        Weight::new(Cause::Flake, now_and_past - flake, 100.0),
        Weight::new(Cause::NewFlake, now - new, 10.0),
        Weight::new(Cause::Broken, now - broken(m), 10.0),
    ]
}

pub(super) fn against_flaky(m: &Masses) -> Vec<Weight> {
    // Nine of ten flakes are as old as the past.
    let of_old = mixed(FLAKE, m.a.plus(m.b).plus(m.h)) + 0.9_f64.ln();
    let of_late = mixed(FLAKE, m.a.plus(m.b)) + mixed(BEFORE, m.h) + 0.1_f64.ln();
    let now_and_past = sum_ln([of_old, of_late]);
    let past = sum_ln([mixed(FLAKE, m.h) + 0.9_f64.ln(), mixed(BEFORE, m.h) + 0.1_f64.ln()]);
    let now = now_and_past - past;
    vec![
        Weight::new(Cause::Break, now - breaks(m), 100.0),
        Weight::new(Cause::Worse, now_and_past - worse(m), 3.0),
        Weight::new(Cause::Broken, now - broken(m), 3.0),
    ]
}

pub(super) fn against_broken(m: &Masses) -> Vec<Weight> {
    let now = mixed(BROKEN, m.a) + mixed(BROKEN, m.b);
    let mut weights = vec![Weight::new(Cause::Break, now - breaks(m), 100.0)];
    if m.h.runs() > 0.0 {
        // A flake of old that failed at the base by chance, and that the change may well break.
        let past = sum_ln([mixed(FLAKE, m.h) - 2.0_f64.ln(), mixed(BEFORE, m.h) - 2.0_f64.ln()]);
        let tied = m.b.plus(m.h);
        weights.push(Weight::new(
            Cause::Flake,
            mixed(BROKEN, m.b) + past - tied.ln(tied.best(0.0, 1.0)),
            10.0,
        ));
    }
    weights
}

/// The likeliest break.
fn breaks(m: &Masses) -> f64 {
    let a = m.a.best(BREAK_FROM, 1.0);
    m.a.ln(a) + m.b.ln(m.b.best(0.0, a / RATIO))
}

/// The likeliest of what is broken at the base.
fn broken(m: &Masses) -> f64 {
    m.a.ln(m.a.best(BREAK_FROM, 1.0)) + m.b.ln(m.b.best(BREAK_FROM, 1.0))
}

/// What became worse, by the mixture of it.
fn worse(m: &Masses) -> f64 {
    let before = m.b.plus(m.h);
    let pairs =
        || WORSE.iter().flat_map(|a| BEFORE.iter().map(move |b| (a, b))).filter(|(a, b)| b.1 <= a.1 / RATIO);
    let all: f64 = pairs().map(|(a, b)| a.0 * b.0).sum();
    sum_ln(pairs().map(|(a, b)| (a.0 * b.0 / all).ln() + m.a.ln(a.1) + before.ln(b.1)))
}

/// The logarithm of the mean over a mixture.
fn mixed(mixture: &[(f64, f64)], mass: Mass) -> f64 {
    sum_ln(mixture.iter().map(|(weight, rate)| weight.ln() + mass.ln(*rate)))
}

/// The logarithm of a sum, by the logarithms of its parts.
fn sum_ln(parts: impl IntoIterator<Item = f64, IntoIter: Clone>) -> f64 {
    let parts = parts.into_iter();
    let most = parts.clone().fold(f64::NEG_INFINITY, f64::max);
    most + parts.map(|part| (part - most).exp()).sum::<f64>().ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bound rests on it: what is divided by is never less than any member of the set.
    #[test]
    fn the_likeliest_rates_are_not_beaten_by_any_others() {
        for (fa, pa, fb, pb, fh, ph) in [
            (3, 0, 0, 4, 0, 40),
            (2, 3, 1, 4, 1, 9),
            (0, 5, 2, 2, 0, 0),
            (4, 4, 4, 4, 13, 27),
            (1, 0, 0, 0, 0, 0),
        ] {
            let m = Masses { a: Mass::new(fa, pa), b: Mass::new(fb, pb), h: Mass::new(fh, ph) };
            for x in 0_u32..=100 {
                let a = f64::from(x) / 100.0;
                for y in 0_u32..=100 {
                    let b = f64::from(y) / 100.0;
                    let p = m.a.ln(a) + m.b.ln(b);
                    if a >= BREAK_FROM && b <= a / RATIO {
                        assert!(breaks(&m) >= p - 1e-9);
                    }
                    if a >= BREAK_FROM && b >= BREAK_FROM {
                        assert!(broken(&m) >= p - 1e-9);
                    }
                }
            }
        }
    }

    #[test]
    fn mixtures_are_mixtures() {
        for mixture in [AFTER, BEFORE, WORSE, FLAKE, BROKEN] {
            let sum: f64 = mixture.iter().map(|(weight, _)| weight).sum();
            assert!((sum - 1.0).abs() < 1e-9, "{mixture:?}");
        }
    }
}
