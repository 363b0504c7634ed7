//! Whose turn it was: the invariants over a row of leases of a host.
//!
//! A few of the builds that wait are watched, the probes: such as run on this host only, take any machine, and are held
//! back by nothing, so that each machine the host gave meanwhile was one they could have had.

use std::collections::HashMap;

use super::{Books, Invariant, NOBODY, State, is_aged, request_name};
use crate::simulate::plan::{MINUTE, Plan};

/// Probes at once per host.
const PROBES: usize = 3;
/// One machine in so many goes to what was promoted.
const SHARE: u32 = 4;

#[derive(Debug)]
struct Probe {
    build: u32,
    turn: u32,
    /// Slots that its own repo or user was given meanwhile, in its class.
    shared: u32,
    /// And others: repos, then users.
    others: [HashMap<usize, u32>; 2],
    /// Machines given since it was promoted, and those of them that went to the promoted of its own repo or user.
    since_aged: u32,
    shared_aged: u32,
}

#[derive(Debug, Default)]
pub(in crate::simulate) struct Turns {
    probes: Vec<Probe>,
    /// Machines in a row that did not go to what was promoted while something was.
    passed: u32,
}

impl Turns {
    pub(in crate::simulate) fn forget(&mut self) {
        *self = Turns::default();
    }
}

impl Books {
    /// Watches a build that was queued and stands ready, if it may be a probe.
    pub(in crate::simulate) fn watch(&mut self, plan: &Plan, number: u32) {
        let build = &self.builds[number as usize];
        let request = &build.request;
        let [host] = plan.builders[build.builder].hosts[..] else { return };
        let free = request.avoid.is_empty() && request.not_before.is_none() && request.need.is_none();
        if !free || build.state != State::Waiting || self.is_bounded(plan, build) || self.starting_up {
            return;
        }
        let turn = build.turn;
        let probes = &mut self.hosts[host].turns.probes;
        if probes.len() < PROBES {
            let (shared, others) = (0, Default::default());
            probes.push(Probe { build: number, turn, shared, others, since_aged: 0, shared_aged: 0 });
        }
    }

    /// Holds a lease against the turns of its host, before it is entered in the books.
    pub(in crate::simulate) fn check_turns(&mut self, plan: &Plan, now: i64, number: u32, host: usize) {
        if self.starting_up {
            return;
        }
        let mut turns = std::mem::take(&mut self.hosts[host].turns);
        let leased = &self.builds[number as usize];
        let by_age = is_aged(leased, now, 0);
        let widest = plan.builders.iter().map(|builder| builder.width).max().unwrap_or(1);
        let mut wrong = Vec::new();
        turns.probes.retain(|probe| {
            let build = &self.builds[probe.build as usize];
            build.turn == probe.turn && build.state == State::Waiting && probe.build != number
        });
        let waits =
            turns.probes.iter().any(|probe| is_aged(&self.builds[probe.build as usize], now, 10 * MINUTE));
        turns.passed = if waits && !by_age { turns.passed + 1 } else { 0 };
        if turns.passed >= SHARE {
            wrong.push((
                Invariant::AgeShare,
                format!("{} machines in a row of {}", turns.passed, plan.hosts[host].name),
            ));
        }
        for probe in &mut turns.probes {
            let build = &self.builds[probe.build as usize];
            let own =
                build.who[0] == leased.who[0] || build.who[1] == leased.who[1] && build.who[1] != NOBODY;
            if is_aged(build, now, 10 * MINUTE) {
                probe.since_aged += 1;
                probe.shared_aged += u32::from(own && by_age);
                let most = SHARE * (plan.repos as u32 + 1) * (2 + probe.shared_aged);
                if probe.since_aged > most {
                    let id = request_name(build);
                    wrong.push((
                        Invariant::AgedBound,
                        format!("{id} saw {} machines go by", probe.since_aged),
                    ));
                }
            }
            if leased.request.class != build.request.class {
                continue;
            }
            if own {
                probe.shared += leased.request.width;
                continue;
            }
            // Whether it came by its class or by its age can't be told from outside.
            if by_age {
                continue;
            }
            for (of, whose) in leased.who.into_iter().enumerate().filter(|(_, whose)| *whose != NOBODY) {
                let count = probe.others[of].entry(whose).or_default();
                *count += 1;
                if *count > 1 + widest + probe.shared {
                    let (id, other) = (request_name(build), request_name(leased));
                    wrong.push((
                        Invariant::FairTurns,
                        format!("{id} saw {count} machines go to those of {other}"),
                    ));
                }
            }
        }
        self.hosts[host].turns = turns;
        for (invariant, what) in wrong {
            self.broken(now, invariant, what);
        }
    }
}
