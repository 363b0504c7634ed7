//! The watchdog: looks for what must never be, a build that waits beside free capacity, and for machines that never came.

use store::{BuildId, Micros};

use super::bugs::Bugs;
use super::items::Place;
use super::state::{AVOID_SCAN, Planner};

/// How long a pool may take to announce machines that it was asked for, in microseconds.
const ANNOUNCED: i64 = 10 * 60_000_000;

/// Something that the watchdog found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stuck {
    /// A build waits while a machine that may run it is free: a mistake of the scheduler.
    Waits {
        /// The build.
        build: BuildId,
        /// The host that has a free machine.
        host: String,
    },
    /// Machines were asked of a pool, which never said that they are on their way.
    NeverCame {
        /// The host.
        host: String,
        /// How many.
        machines: u32,
        /// Since when.
        since: Micros,
    },
}

impl std::fmt::Display for Stuck {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Stuck::Waits { build, host } => {
                write!(f, "build {build} waits while host {host} has a free machine")
            }
            Stuck::NeverCame { host, machines, since } => {
                let since = jiff::Timestamp::from_microsecond(since.0).unwrap_or_default();
                write!(
                    f,
                    "the pool of host {host} has not announced {machines} machines asked for since {since:.0}"
                )
            }
        }
    }
}

/// How much the scheduler keeps, for the check that its memory is flat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// Builds, queued or running.
    pub builds: usize,
    /// Pairs of a repo and a user.
    pub flows: usize,
    /// Builds to be promoted, those included that have left meanwhile.
    pub ages: usize,
    /// Lanes and counts of all queues.
    pub lanes: usize,
    /// Needs.
    pub needs: usize,
}

impl<B: Bugs> Planner<B> {
    /// Looks at each host, and at the first few that are ready there. Whatever it finds is to be told to an operator;
    /// [`Event::Tick`](super::Event::Tick) afterwards dispatches every host anew.
    pub fn watchdog(&mut self, now: Micros) -> Vec<Stuck> {
        let mut found = Vec::new();
        for number in 0..self.hosts.len() as u32 {
            let entry = &mut self.hosts[number];
            if let Some(since) = entry.asked_since
                && now.0.saturating_sub(since.0) >= ANNOUNCED
            {
                let (machines, host) = (entry.asked, self.hosts.name(number).to_owned());
                found.push(Stuck::NeverCame { host, machines, since });
            }
            let entry = &mut self.hosts[number];
            if entry.blocked.is_some() || entry.idle.is_empty() {
                continue;
            }
            for first in entry.ready.scan(AVOID_SCAN) {
                let Some(item) = self.items.get(first.slot) else { continue };
                let avoid = self.items.rare(first.slot).map(|rare| rare.avoid.as_slice()).unwrap_or_default();
                let entry = &self.hosts[number];
                if entry.idle.iter().all(|worker| avoid.contains(worker)) && !entry.fixed {
                    continue;
                }
                if item.place == Place::Ready && self.full_limit(first.slot, item).is_none() {
                    let host = self.hosts.name(number).to_owned();
                    found.push(Stuck::Waits { build: item.build, host });
                    break;
                }
            }
        }
        found
    }

    /// How much is kept.
    pub fn kept(&self) -> Kept {
        let hosts = self.hosts.iter().map(|(_, host)| host.ready.kept());
        let limits = self.limits.iter().map(|(_, limit)| limit.kept());
        Kept {
            builds: self.items.len(),
            flows: self.flows.len(),
            ages: self.ages.len(),
            lanes: hosts.chain(limits).sum(),
            needs: self.needs.len(),
        }
    }
}
