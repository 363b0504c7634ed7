//! What was recorded, each deed hung on what it followed from.

use std::collections::{BTreeMap, HashMap};

use store::{BuildId, WorkerId};

use super::course::Course;
use super::record::Recorded;
use super::shadow::Shadow;
use crate::schedule::{Event, Request};

/// What a machine does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Turn {
    Starting,
    Idle,
    Away,
    Aside(String),
    Gone,
    /// It could not be made; so long after, it may be asked for again.
    Failed(String, i64),
}

/// Something that was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Deed {
    /// A build is queued, or again after its end.
    Queue(Request),
    /// A build that waits stands otherwise now.
    Change(Request),
    Withdraw(BuildId),
    End(BuildId, u32),
    /// Somebody holds a machine as it is after an attempt; while a coordinator starts, the one of the build itself.
    Resume(Request, WorkerId, String),
    Met(String),
    /// A host, a limit or a quota.
    Configure(Event),
    Machine(WorkerId, String, Turn),
    Started,
    Recovered,
}

/// What a deed follows from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Anchor {
    /// From nothing that is known: it happens when it happened.
    Outside,
    /// From the lease of an attempt.
    Lease(BuildId, u32),
    /// From the end of one.
    End(BuildId, u32),
    /// From a machine's being asked for.
    Made(WorkerId),
}

#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) anchor: Anchor,
    /// So long after its anchor, in microseconds; of one from outside, the moment itself.
    pub(super) after: i64,
    /// When it was.
    pub(super) was: i64,
    /// Its place in the order: decides between two of one moment.
    pub(super) seq: i64,
    pub(super) deed: Deed,
}

/// How far what is recorded tells what happened.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Doubts {
    /// Leases that a scheduler does not reach from what is recorded: rows are missing, or it was another scheduler.
    pub strange_leases: usize,
    /// Leases of rows that are older than records of leases; they are what a scheduler reaches.
    pub inferred_leases: usize,
    /// Whether the first row is not the start of a coordinator: what was before it is not known.
    pub no_beginning: bool,
    /// Events of builds and machines that nothing tells the beginning of.
    pub strange: usize,
}

/// What was recorded, ready to be replayed.
#[derive(Debug, Default)]
pub struct Trace {
    /// The first moment, in microseconds.
    pub begin: i64,
    /// The last.
    pub end: i64,
    /// What was, as recorded.
    pub course: Course,
    /// How far it can be relied upon.
    pub doubts: Doubts,
    pub(super) outside: Vec<Step>,
    pub(super) following: HashMap<Anchor, Vec<Step>>,
    /// Machines that were asked for, by host, in the order of the wishes.
    pub(super) made: BTreeMap<String, Vec<WorkerId>>,
    /// Moments at which the scheduler was told of the time, with their places in the order.
    pub(super) ticks: Vec<(i64, i64)>,
}

/// Takes in what is recorded, in its order.
#[derive(Debug, Default)]
pub struct Reading(Shadow);

impl Reading {
    /// Takes the next row.
    pub fn take(&mut self, recorded: Recorded) {
        self.0.take(recorded);
    }

    /// That was the last one.
    #[must_use]
    pub fn finish(self) -> Trace {
        self.0.finish()
    }
}

impl Trace {
    /// Reads what is recorded, in its order.
    #[must_use]
    pub fn new(recorded: impl IntoIterator<Item = Recorded>) -> Trace {
        let mut reading = Reading::default();
        recorded.into_iter().for_each(|one| reading.take(one));
        reading.finish()
    }

    /// Adds builds that were not, each with the moment at which it comes.
    pub fn add(&mut self, builds: impl IntoIterator<Item = (i64, Request)>) {
        for (when, request) in builds {
            let deed = Deed::Queue(request);
            self.outside.push(Step {
                anchor: Anchor::Outside,
                after: when,
                was: when,
                seq: i64::MAX / 2,
                deed,
            });
        }
    }

    /// The most machines of each host that can be given builds, as was said last.
    pub fn capacities(&self) -> impl Iterator<Item = (&str, u32)> {
        self.outside.iter().filter_map(|step| match &step.deed {
            Deed::Configure(Event::Host { host, capacity, blocked: None, .. }) => {
                Some((host.as_str(), *capacity))
            }
            _ => None,
        })
    }

    /// Whether nothing is recorded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.outside.is_empty()
    }

    /// Each request as it was queued first.
    pub fn arrivals(&self) -> impl Iterator<Item = (i64, &Request)> {
        self.outside.iter().filter_map(|step| match &step.deed {
            Deed::Queue(request) => Some((step.was, request)),
            _ => None,
        })
    }
}
