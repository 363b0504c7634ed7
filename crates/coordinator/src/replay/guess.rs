//! How long takes what is not recorded: as what is like it.

use std::collections::{BTreeMap, HashMap, HashSet};

use store::{BuildId, WorkerId};

use super::trace::{Anchor, Deed, Trace, Turn};

/// Of a machine of which nothing at all is known, in microseconds.
const BOOT: i64 = 30_000_000;
/// Of a build of which nothing is.
const BUILD: i64 = 300_000_000;
/// From a build's end to its machine's being clean.
pub(super) const CLEAN: i64 = 1_000_000;

#[derive(Debug, Default)]
pub(super) struct Guess {
    builds: HashMap<String, i64>,
    any_build: Option<i64>,
    boots: HashMap<String, i64>,
    any_boot: Option<i64>,
    /// Hosts whose machines end with what they did.
    once: HashSet<String>,
    /// Attempts that are recorded, and the machines they had.
    known: HashMap<(BuildId, u32), WorkerId>,
    made: HashSet<WorkerId>,
}

fn median(mut values: Vec<i64>) -> Option<i64> {
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}

/// The median of each, and of all.
fn medians(values: BTreeMap<String, Vec<i64>>) -> (HashMap<String, i64>, Option<i64>) {
    let all = median(values.values().flatten().copied().collect());
    let each = values.into_iter().filter_map(|(name, values)| Some((name, median(values)?)));
    (each.collect(), all)
}

impl Guess {
    pub(super) fn new(trace: &Trace) -> Guess {
        let (mut builds, mut boots) =
            (BTreeMap::<String, Vec<i64>>::new(), BTreeMap::<String, Vec<i64>>::new());
        for one in &trace.course.leases {
            if let Some(ended) = one.ended {
                builds.entry(one.builder.clone()).or_default().push(ended - one.leased);
            }
        }
        let (mut kept, mut ended) = (HashMap::<&str, usize>::new(), HashMap::<&str, usize>::new());
        for step in trace.following.values().flatten() {
            match (&step.anchor, &step.deed) {
                (Anchor::Made(_), Deed::Machine(_, host, Turn::Idle)) => {
                    boots.entry(host.clone()).or_default().push(step.after);
                }
                (Anchor::End(..), Deed::Machine(_, host, Turn::Gone)) => *ended.entry(host).or_default() += 1,
                (Anchor::End(..), Deed::Machine(_, host, Turn::Idle)) => *kept.entry(host).or_default() += 1,
                _ => {}
            }
        }
        let once = ended.iter().filter(|(host, count)| **count > kept.get(**host).copied().unwrap_or(0));
        let once = once.map(|(host, _)| (*host).to_owned()).collect();
        let ((builds, any_build), (boots, any_boot)) = (medians(builds), medians(boots));
        let known = trace.course.leases.iter().map(|one| ((one.build, one.number), one.worker)).collect();
        let made = trace.made.values().flatten().copied().collect();
        Guess { builds, any_build, boots, any_boot, once, known, made }
    }

    pub(super) fn build(&self, builder: &str) -> i64 {
        self.builds.get(builder).copied().or(self.any_build).unwrap_or(BUILD)
    }

    pub(super) fn boot(&self, host: &str) -> i64 {
        self.boots.get(host).copied().or(self.any_boot).unwrap_or(BOOT)
    }

    pub(super) fn is_used_once(&self, host: &str) -> bool {
        self.once.contains(host)
    }

    pub(super) fn is_known(&self, build: BuildId, number: u32) -> bool {
        self.known.contains_key(&(build, number))
    }

    /// The recorded attempt of the build, of those up to this one, that had the machine.
    pub(super) fn attempt_on(&self, build: BuildId, attempts: u32, worker: WorkerId) -> Option<u32> {
        (1..=attempts).rev().find(|number| self.known.get(&(build, *number)) == Some(&worker))
    }

    /// Whether the machine was asked for when it was recorded.
    pub(super) fn was_made(&self, worker: WorkerId) -> bool {
        self.made.contains(&worker)
    }
}
