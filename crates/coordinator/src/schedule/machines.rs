//! Hosts and their machines.

use std::collections::{BTreeMap, BTreeSet};

use store::{Micros, WorkerId};

use super::bugs::{Bug, Bugs};
use super::fair::Fair;
use super::state::Planner;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Machine {
    Starting,
    Idle,
    Busy,
    SetAside,
    Away,
}

#[derive(Debug, Default)]
pub(super) struct Host {
    pub(super) capacity: u32,
    pub(super) blocked: Option<String>,
    /// None can be made: its machines come by themselves.
    pub(super) fixed: bool,
    pub(super) ready: Fair,
    pub(super) idle: BTreeSet<WorkerId>,
    pub(super) starting: u32,
    pub(super) busy: u32,
    pub(super) aside: u32,
    /// In whose words, of those that somebody has set aside.
    pub(super) aside_why: BTreeMap<WorkerId, String>,
    pub(super) away: u32,
    /// Asked of the pool and not yet announced as starting.
    pub(super) asked: u32,
    /// Since when machines that were asked for are awaited without a break.
    pub(super) asked_since: Option<Micros>,
    pub(super) failure: Option<(String, Micros)>,
}

impl Host {
    pub(super) fn machines(&self) -> u32 {
        self.starting + self.busy + self.asked + self.idle.len() as u32
    }
}

impl<B: Bugs> Planner<B> {
    pub(super) fn set_machine(&mut self, worker: WorkerId, host: u32, to: Option<Machine>) {
        let from = match to {
            Some(to) => self.machines.insert(worker, (host, to)),
            None => self.machines.remove(&worker),
        };
        if let Some((old_host, old)) = from {
            let entry = &mut self.hosts[old_host];
            match old {
                Machine::Starting => entry.starting -= 1,
                Machine::Idle => {
                    entry.idle.remove(&worker);
                }
                Machine::Busy => entry.busy -= 1,
                Machine::SetAside => {
                    entry.aside -= 1;
                    entry.aside_why.remove(&worker);
                }
                Machine::Away => entry.away -= 1,
            }
        }
        let entry = &mut self.hosts[host];
        match to {
            Some(Machine::Starting) => entry.starting += 1,
            Some(Machine::Idle) => {
                entry.idle.insert(worker);
            }
            Some(Machine::Busy) => entry.busy += 1,
            Some(Machine::SetAside) => entry.aside += 1,
            Some(Machine::Away) => entry.away += 1,
            None => {}
        }
    }

    /// One machine that was asked for has been announced, or never will be.
    pub(super) fn announced(&mut self, now: Micros, host: u32) {
        let entry = &mut self.hosts[host];
        entry.asked = entry.asked.saturating_sub(1);
        entry.asked_since = (entry.asked > 0).then_some(now);
    }

    /// An idle machine that all that is ready refuses, on a host that may have no more.
    pub(super) fn in_the_way(&self, host: u32) -> Option<WorkerId> {
        let entry = &self.hosts[host];
        let wanted = entry.blocked.is_none() && !entry.fixed && !entry.ready.is_empty();
        let full = wanted && entry.machines() >= entry.capacity;
        entry.idle.first().copied().filter(|_| full && entry.starting + entry.asked == 0)
    }

    /// How many more machines the host should ask its pool for.
    pub(super) fn demand(&mut self, now: Micros, host: u32) -> Option<u32> {
        let (uncounted, hasty) = (self.bugs.has(Bug::StartingUncounted), self.bugs.has(Bug::FailureIgnored));
        let entry = &mut self.hosts[host];
        if entry.blocked.is_some() || entry.fixed {
            return None;
        }
        if let Some((_, retry)) = &entry.failure {
            if *retry > now && !hasty {
                return None;
            }
            entry.failure = None;
        }
        let wanted = entry.ready.len().min(u32::MAX as usize) as u32;
        let coming = entry.starting + entry.asked;
        // Idle machines that are left here are all avoided by the builds that are ready.
        let there = if uncounted { entry.machines() - entry.starting } else { entry.machines() };
        let room = entry.capacity.saturating_sub(there);
        let count = wanted.saturating_sub(coming).min(room);
        entry.asked += count;
        if count > 0 {
            entry.asked_since.get_or_insert(now);
        }
        (count > 0).then_some(count)
    }

    #[cfg(test)]
    pub(super) fn idle_machines(&self, host: &str) -> Vec<WorkerId> {
        self.hosts.named(host).map(|host| host.idle.iter().copied().collect()).unwrap_or_default()
    }
}
