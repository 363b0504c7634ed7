//! Which runs to ask for.

use serde::{Deserialize, Serialize};

use super::counts::{Counts, Mass};
use super::evidence::{
    Masses, Weight, against_broken, against_caused, against_flaky, for_caused, for_others,
};
use super::{Case, Evidence, Place, Verdict, Workers};

/// On which worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Where {
    /// The worker that saw the failure.
    SameWorker,
    /// Any other.
    OtherWorker,
}

/// A run that is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Wanted {
    /// Of which tree.
    pub place: Place,
    /// On which worker.
    pub on: Where,
}

/// The runs that bring a verdict nearest; none if nothing may be spent any more.
pub(super) fn wanted(case: &Case, counts: &Counts, evidence: &Evidence) -> Vec<Wanted> {
    let left = case.limits.runs.saturating_sub(counts.runs).min(case.limits.at_once.max(1));
    if left == 0 || counts.seconds >= case.limits.seconds || gives_up(counts) {
        return Vec::new();
    }
    let places = if counts.runs == 0 { first(case) } else { later(case, counts, evidence) };
    let mut asked =
        Asked { case, same: counts.base_same.runs(), changed: counts.changed_same.runs(), runs: counts.runs };
    places.into_iter().take(left as usize).map(|place| asked.on(place)).collect()
}

/// The base says nothing and the change fails each time, or machines fail all the time: more of it would not tell.
fn gives_up(counts: &Counts) -> bool {
    let told = counts.changed().runs() + counts.base().runs();
    let silent = counts.nothing >= 8 && counts.nothing > told;
    let no_base = counts.base().runs() == 0 && (counts.unbuildable >= 2 || counts.absent >= 2);
    silent || (no_base && counts.changed().runs() >= 6)
}

/// A known flake has to pass; of anything else the base is asked at once, too.
fn first(case: &Case) -> Vec<Place> {
    let known = case.history.here.same >= 3;
    let places = [Place::Changed, Place::Changed, Place::Base, Place::Base];
    places[..if known { 2 } else { 4 }].to_vec()
}

/// The two runs (four, for a verdict that needs many) that leave least to be refuted if they come out as the likeliest verdict has it.
fn later(case: &Case, counts: &Counts, evidence: &Evidence) -> Vec<Place> {
    let no_base = counts.base().runs() == 0 && counts.absent + counts.unbuildable > 0;
    if no_base {
        // It is asked twice, as one look may be wrong.
        let again = counts.absent + counts.unbuildable < 2 && !evidence.new_test;
        return if again { vec![Place::Changed, Place::Base] } else { vec![Place::Changed, Place::Changed] };
    }
    let leaning = leaning(evidence);
    let mut masses = match leaning {
        Verdict::Caused => for_caused(case, counts),
        _ => for_others(case, counts.changed(), counts.base()),
    };
    let many = if lacking(leaning, &masses) > 2.5 { 3 } else { 2 };
    let mut places = Vec::new();
    for _ in 0..many {
        let (changed, base) = (after(leaning, masses, Place::Changed), after(leaning, masses, Place::Base));
        let (ran, ran_base) = (masses.a.runs(), masses.b.runs());
        let nearer = lacking(leaning, &changed) <= lacking(leaning, &base);
        // What is likeliest is not sure: by one tree alone nothing is told, and a flake shows best where it was seen.
        let place = match leaning {
            Verdict::Flaky if ran <= 1.5 * ran_base => Place::Changed,
            Verdict::Flaky => Place::Base,
            _ if ran > 1.5 * ran_base + 1.0 => Place::Base,
            _ if ran_base > 1.5 * ran + 1.0 => Place::Changed,
            _ if nearer => Place::Changed,
            _ => Place::Base,
        };
        masses = if place == Place::Changed { changed } else { base };
        places.push(place);
    }
    places
}

/// The verdict that lacks least.
pub(super) fn leaning(evidence: &Evidence) -> Verdict {
    let of = |weights: &[Weight]| weights.iter().map(Weight::lacking).fold(f64::NEG_INFINITY, f64::max);
    let passed = evidence.changed().passed > 0 || evidence.base.passed > 0;
    let broken = if passed { f64::INFINITY } else { of(&evidence.broken) };
    let all = [
        (of(&evidence.caused), Verdict::Caused),
        (broken, Verdict::BrokenAtBase),
        (of(&evidence.flaky), Verdict::Flaky),
    ];
    all.into_iter().min_by(|a, b| a.0.total_cmp(&b.0)).map_or(Verdict::Unknown, |(_, verdict)| verdict)
}

/// The sum of what is lacking, so that a step which brings one cause nearer counts even if another is the worst.
fn lacking(verdict: Verdict, masses: &Masses) -> f64 {
    let weights = match verdict {
        Verdict::Caused => against_caused(masses),
        Verdict::BrokenAtBase => against_broken(masses),
        _ => against_flaky(masses),
    };
    weights.iter().map(|weight| weight.lacking().max(0.0)).sum()
}

/// The masses after one more run that came out as the verdict has it.
fn after(verdict: Verdict, masses: Masses, place: Place) -> Masses {
    let rate = |mass: Mass| (mass.failed + 0.5) / (mass.failed + mass.passed + 1.0);
    let both = rate(masses.a.plus(masses.b));
    let fails = match (verdict, place) {
        (Verdict::Caused, Place::Changed) => rate(masses.a),
        (Verdict::Caused, _) => rate(masses.b),
        (Verdict::BrokenAtBase, _) => 1.0,
        _ => both,
    };
    let one = Mass { failed: fails, passed: 1.0 - fails };
    match place {
        Place::Changed => Masses { a: masses.a.plus(one), ..masses },
        _ => Masses { b: masses.b.plus(one), ..masses },
    }
}

/// Spreads runs over workers: the first of each tree on the worker that saw the failure, then on others, every fourth there again.
struct Asked<'a> {
    case: &'a Case,
    same: u32,
    changed: u32,
    runs: u32,
}

impl Asked<'_> {
    fn on(&mut self, place: Place) -> Wanted {
        self.runs += 1;
        let there = if place == Place::Changed { &mut self.changed } else { &mut self.same };
        let on = match self.case.workers {
            Workers::OnlyTheSame => Where::SameWorker,
            Workers::OnlyOthers => Where::OtherWorker,
            Workers::All if *there == 0 || self.runs.is_multiple_of(6) => {
                *there += 1;
                Where::SameWorker
            }
            Workers::All => Where::OtherWorker,
        };
        Wanted { place, on }
    }
}
