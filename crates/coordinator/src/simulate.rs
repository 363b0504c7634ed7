//! The scheduler checked as a model: it runs through days of generated load in virtual time, and after every step its
//! decisions are held against invariants that are kept in books of their own.
//!
//! Machines come late, die, are refused by their pool, go away and come back; builds are cancelled, fail with their machine,
//! wait for needs; people flood; the coordinator is killed and reads back what it can. All follows from a seed, so that what
//! is found can be looked at again. With `mutate` the same runs must find each of the [`Bug`]s planted in the scheduler.

mod checks;
mod plan;
mod random;
mod world;

use serde::Serialize;

use crate::replay::Recorded;
use crate::schedule::{Bug, Planted, Sound};
pub use checks::{Broken, Invariant};
use plan::Plan;
pub use plan::Size;
use world::World;

/// What one seed came to.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// Builds that were queued.
    pub builds: usize,
    /// Machines that there were, one after another.
    pub machines: usize,
    /// Steps of the scheduler.
    pub steps: u64,
    /// Virtual hours.
    pub hours: f64,
    /// The invariant that was broken first, if one was.
    pub broken: Option<Broken>,
}

/// What `mutate` came to for one bug.
#[derive(Debug, Clone, Serialize)]
pub struct Found {
    /// The bug, as it is called in the code.
    pub bug: String,
    /// How many seeds were tried.
    pub tried: u64,
    /// The seed that found it, and what it found; `None` if all were fine, which is a mistake of the simulation.
    pub by: Option<(u64, Broken)>,
}

/// Runs one seed against the scheduler as coordinators run it.
#[must_use]
pub fn run(seed: u64, size: Size) -> Outcome {
    World::<Sound>::new(Plan::new(seed, size), Sound).run()
}

/// Runs one seed, and returns with it what a coordinator would have recorded of it.
#[must_use]
pub fn record(seed: u64, size: Size) -> (Outcome, Vec<Recorded>) {
    World::<Sound>::new(Plan::new(seed, size), Sound).recorded()
}

/// Tries seeds from `first` on until one finds the bug, `most` at most.
#[must_use]
pub fn find(bug: Bug, first: u64, most: u64, size: Size) -> Found {
    for tried in 0..most {
        let seed = first.wrapping_add(tried);
        let outcome = World::<Planted>::new(Plan::new(seed, size), Planted(Some(bug))).run();
        if let Some(broken) = outcome.broken {
            return Found { bug: format!("{bug:?}"), tried: tried + 1, by: Some((seed, broken)) };
        }
    }
    Found { bug: format!("{bug:?}"), tried: most, by: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheduler_holds_every_invariant() {
        for seed in 1..=6 {
            let outcome = run(seed, Size::Small);
            assert_eq!(outcome.broken, None, "bellwether simulate --first {seed} --seeds 1 --size small");
            assert!(outcome.builds > 100, "seed {seed} queued only {} builds", outcome.builds);
        }
    }

    #[test]
    fn a_seed_is_the_same_each_time() {
        let (one, other) = (run(3, Size::Small), run(3, Size::Small));
        assert_eq!((one.builds, one.machines, one.steps), (other.builds, other.machines, other.steps));
    }

    #[test]
    fn planted_bugs_are_found() {
        // All of them by `bellwether simulate --mutate`; here those that few seeds find.
        for bug in [Bug::LimitOffByOne, Bug::NoTurns, Bug::AvoidForgotten, Bug::StartingUncounted] {
            let found = find(bug, 1, 20, Size::Small);
            assert!(found.by.is_some(), "{bug:?} was not found by {} seeds", found.tried);
        }
    }
}
