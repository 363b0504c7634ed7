//! Which of several ingredients causes a failure.

use serde::{Deserialize, Serialize};

use super::counts::Count;
use super::next::{Wanted, Where};
use super::{Case, MAX_PARTS, Outcome, Place};

/// Which ingredient causes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Blame {
    /// Each of these alone has it fail, by number.
    Parts(Vec<u8>),
    /// None of them alone: only together they do.
    OnlyTogether,
    /// They fail alone at times, or could not be run: it is one of them, or all together.
    Untold,
}

/// What to do about it.
pub(super) enum Step {
    /// Run these first.
    Run(Vec<Wanted>),
    /// That is it; nothing if there is nothing to tell apart.
    Blame(Option<Blame>),
}

/// Runs of each ingredient. Two that agree are enough: the blame as such is settled, and this says whom to tell.
const EACH: u32 = 2;
/// Runs of each that say nothing, at most.
const SILENT: u32 = 3;

/// Says what is missing, or whom to blame.
pub(super) fn attribute(case: &Case) -> Step {
    if case.parts < 2 || case.parts > MAX_PARTS {
        return Step::Blame(None);
    }
    let mut counts = vec![(Count::default(), 0_u32); usize::from(case.parts)];
    for run in &case.runs {
        let Place::Alone(part) = run.place else { continue };
        let Some((count, silent)) = counts.get_mut(usize::from(part)) else { continue };
        count.add(&run.outcome, case);
        // One that lacks the test does not have it fail.
        count.passed += u32::from(run.outcome == Outcome::Absent);
        *silent += u32::from(matches!(run.outcome, Outcome::Infra | Outcome::Unbuildable));
    }
    let missing = |count: &Count, silent: u32| {
        let done = silent >= SILENT || (count.failed() > 0 && count.passed > 0);
        if done { 0 } else { EACH.saturating_sub(count.runs()) }
    };
    let wanted: Vec<Wanted> = (0_u8..)
        .zip(&counts)
        .flat_map(|(part, (count, silent))| (0..missing(count, *silent)).map(move |_| part))
        .map(|part| Wanted { place: Place::Alone(part), on: Where::OtherWorker })
        .collect();
    if !wanted.is_empty() {
        return Step::Run(wanted);
    }
    let fails = |count: &Count| count.failed() >= EACH && count.passed == 0;
    let guilty: Vec<u8> =
        (0_u8..).zip(&counts).filter(|(_, (count, _))| fails(count)).map(|(part, _)| part).collect();
    let clear = counts.iter().all(|(count, _)| count.failed() == 0 && count.passed >= EACH);
    Step::Blame(Some(match (guilty.is_empty(), clear) {
        (false, _) => Blame::Parts(guilty),
        (true, true) => Blame::OnlyTogether,
        (true, false) => Blame::Untold,
    }))
}
