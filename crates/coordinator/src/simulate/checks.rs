//! The books of the simulation, and the invariants that the scheduler's decisions are held against.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde::Serialize;
use store::{BuildId, Micros, WorkerId};

use super::plan::{MINUTE, Plan};
use crate::schedule::{Class, Of, Request};

mod turns;

pub(super) use turns::Turns;

/// What must hold after every step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Invariant {
    /// A build is given a machine only while it waits, once for each time it was queued; never after it was withdrawn.
    LeasedOnce,
    /// A machine has one build at a time, and is clean and here when it is given.
    MachineOnce,
    /// A build runs only on a host of its builder's.
    HostKept,
    /// A limit or a quota is never exceeded, except by one build alone that is wider than it.
    LimitKept,
    /// There are never more machines of a host than it may have.
    CapacityKept,
    /// No build waits beside a free machine that may run it.
    NoneBesideFree,
    /// No build waits where a pool could make a machine for it and none is on its way.
    NoneBesideRoom,
    /// A machine that failed a build does not get it again where another can be had.
    AvoidKept,
    /// A back-off is kept.
    NotBeforeKept,
    /// What a build needs exists when it begins.
    NeedKept,
    /// A pool that failed is left alone until it said.
    RetryKept,
    /// A machine goes to a later class only where no earlier one waits for it, but for the share of the promoted.
    ClassKept,
    /// Of any four machines of a host in a row one goes to what was promoted by age, where anything was.
    AgeShare,
    /// While a build waits, every other repo and user gets at most two machines more than its own; where builds are wide,
    /// as many more as the widest takes slots.
    FairTurns,
    /// A promoted build waits for no more machines of its host than four for each turn of each repo.
    AgedBound,
    /// Nothing is kept of what is over.
    MemoryFlat,
    /// Whoever waits or runs is told why, the same alone and in the list of all.
    WhyKnown,
    /// The watchdog finds nothing.
    WatchdogQuiet,
    /// Every build ends.
    EachEnds,
}

/// A broken invariant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Broken {
    /// Which.
    pub invariant: Invariant,
    /// When, in microseconds of virtual time.
    pub at: i64,
    /// What was seen.
    pub what: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Waiting,
    Running(WorkerId),
    Over,
}

#[derive(Debug, Clone)]
pub(super) struct Build {
    pub(super) request: Request,
    pub(super) builder: usize,
    pub(super) who: [usize; 2],
    pub(super) state: State,
    pub(super) attempts: u32,
    /// Grows whenever it is begun or queued.
    pub(super) turn: u32,
}

/// No user.
pub(super) const NOBODY: usize = usize::MAX;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Machine {
    Starting,
    Idle,
    Busy,
    Wiping,
    Away,
    Aside,
}

#[derive(Debug, Default)]
pub(super) struct Host {
    pub(super) idle: BTreeSet<WorkerId>,
    pub(super) starting: u32,
    /// Starting, idle, at work or being wiped.
    pub(super) alive: u32,
    /// Not to be asked before.
    pub(super) failed_until: Option<i64>,
    /// By class.
    pub(super) waiting: [BTreeSet<u32>; 6],
    pub(super) turns: Turns,
}

#[derive(Debug, Default)]
pub(super) struct Books {
    pub(super) builds: Vec<Build>,
    pub(super) ids: HashMap<BuildId, u32>,
    pub(super) machines: HashMap<WorkerId, (usize, Machine)>,
    pub(super) hosts: Vec<Host>,
    pub(super) met: HashSet<String>,
    /// What waits or runs, of each repo and user.
    pub(super) pairs: BTreeMap<[usize; 2], u32>,
    /// Builds that take more than one slot and wait.
    pub(super) wide: BTreeSet<u32>,
    used: Vec<u32>,
    used_by: [HashMap<usize, u32>; 2],
    /// When the scheduler was told of the time last.
    pub(super) ticked: i64,
    /// While a coordinator starts, it does not know of all yet.
    pub(super) starting_up: bool,
    pub(super) broken: Option<Broken>,
}

impl Books {
    pub(super) fn new(plan: &Plan) -> Books {
        Books {
            hosts: plan.hosts.iter().map(|_| Host::default()).collect(),
            used: vec![0; plan.limits.len()],
            ..Books::default()
        }
    }

    /// Notes the first that was broken.
    pub(super) fn broken(&mut self, now: i64, invariant: Invariant, what: String) {
        self.broken.get_or_insert(Broken { invariant, at: now, what });
    }

    pub(super) fn quota(plan: &Plan, of: Of, whose: usize) -> Option<u32> {
        let last = |wanted: Option<usize>| {
            plan.quotas
                .iter()
                .rev()
                .find(|(one, who, _)| *one == of && *who == wanted)
                .map(|(_, _, max)| *max)
        };
        if whose == NOBODY { None } else { last(Some(whose)).or_else(|| last(None)) }
    }

    /// The limits and quotas of the build: the most, what is used, and the build's part.
    fn bounds(&self, plan: &Plan, build: &Build) -> Vec<(u32, u32)> {
        let limits = plan.builders[build.builder]
            .limits
            .iter()
            .map(|limit| (plan.limits[*limit].1, self.used[*limit]));
        let quotas = [Of::Repo, Of::User].into_iter().zip(build.who).filter_map(|(of, whose)| {
            let used = self.used_by[of as usize].get(&whose).copied().unwrap_or_default();
            Some((Self::quota(plan, of, whose)?, used))
        });
        limits.chain(quotas).collect()
    }

    /// Whether a limit or quota bears on the build.
    pub(super) fn is_bounded(&self, plan: &Plan, build: &Build) -> bool {
        !self.bounds(plan, build).is_empty()
    }

    fn has_slots(&self, plan: &Plan, build: &Build) -> bool {
        let width = build.request.width;
        self.bounds(plan, build).into_iter().all(|(max, used)| max > 0 && (used == 0 || used + width <= max))
    }

    /// Whether slots may be put by for another build that has waited long.
    fn may_be_reserved(&self, plan: &Plan, number: u32, now: i64) -> bool {
        let build = &self.builds[number as usize];
        let limits = &plan.builders[build.builder].limits;
        self.wide.iter().filter(|other| **other != number).any(|other| {
            let other = &self.builds[*other as usize];
            let limited = plan.builders[other.builder].limits.iter().any(|limit| limits.contains(limit));
            let alike =
                build.who[0] == other.who[0] || build.who[1] == other.who[1] && build.who[1] != NOBODY;
            (limited || alike) && is_aged(other, now, 0)
        })
    }

    /// Whether nothing but a machine is missing.
    pub(super) fn is_eligible(&self, plan: &Plan, number: u32, now: i64) -> bool {
        let build = &self.builds[number as usize];
        let request = &build.request;
        build.state == State::Waiting
            && request.not_before.is_none_or(|when| when.0 <= self.ticked)
            && request.need.as_ref().is_none_or(|need| self.met.contains(need))
            && request.blocked.is_none()
            && self.has_slots(plan, build)
            && !self.may_be_reserved(plan, number, now)
    }

    pub(super) fn takes(&self, plan: &Plan, number: u32, host: usize, worker: WorkerId) -> bool {
        plan.hosts[host].fixed || !self.builds[number as usize].request.avoid.contains(&worker)
    }

    /// Puts a build among those that wait, or takes it out.
    pub(super) fn set_waiting(&mut self, plan: &Plan, number: u32, waits: bool) {
        let build = &self.builds[number as usize];
        for host in &plan.builders[build.builder].hosts {
            let set = &mut self.hosts[*host].waiting[build.request.class as usize];
            if waits {
                set.insert(number)
            } else {
                set.remove(&number)
            };
        }
        match waits && build.request.width > 1 {
            true => self.wide.insert(number),
            false => self.wide.remove(&number),
        };
    }

    /// Counts the slots of a build that begins, or ends.
    pub(super) fn use_slots(&mut self, plan: &Plan, number: u32, more: bool) {
        let build = &self.builds[number as usize];
        let width = build.request.width;
        let change = |used: &mut u32| *used = if more { *used + width } else { used.saturating_sub(width) };
        plan.builders[build.builder].limits.iter().for_each(|limit| change(&mut self.used[*limit]));
        for (of, whose) in build.who.into_iter().enumerate() {
            change(self.used_by[of].entry(whose).or_default());
        }
    }

    pub(super) fn set_machine(&mut self, worker: WorkerId, host: usize, to: Option<Machine>) {
        let lives = |state: Machine| !matches!(state, Machine::Away | Machine::Aside);
        let before = match to {
            Some(to) => self.machines.insert(worker, (host, to)),
            None => self.machines.remove(&worker),
        };
        let entry = &mut self.hosts[host];
        if let Some((_, before)) = before {
            entry.alive -= u32::from(lives(before));
            entry.starting -= u32::from(before == Machine::Starting);
            entry.idle.remove(&worker);
        }
        if let Some(to) = to {
            entry.alive += u32::from(lives(to));
            entry.starting += u32::from(to == Machine::Starting);
            if to == Machine::Idle {
                entry.idle.insert(worker);
            }
        }
    }

    /// Holds a lease against the books, before it is entered there.
    pub(super) fn check_lease(&mut self, plan: &Plan, now: i64, number: u32, worker: WorkerId, host: usize) {
        let build = &self.builds[number as usize];
        let (id, request) = (request_name(build), &build.request);
        let mut wrong = Vec::new();
        if build.state != State::Waiting {
            wrong.push((Invariant::LeasedOnce, format!("{id} is {:?}", build.state)));
        }
        if self.machines.get(&worker) != Some(&(host, Machine::Idle)) {
            let known = self.machines.get(&worker);
            wrong.push((Invariant::MachineOnce, format!("{worker} is given to {id}, and is {known:?}")));
        }
        if !plan.builders[build.builder].hosts.contains(&host) {
            wrong.push((Invariant::HostKept, format!("{id} runs on {}", plan.hosts[host].name)));
        }
        if !self.has_slots(plan, build) {
            let bounds = self.bounds(plan, build);
            wrong.push((Invariant::LimitKept, format!("{id} of width {} at {bounds:?}", request.width)));
        }
        let others = self.hosts[host].idle.iter().any(|other| !request.avoid.contains(other));
        if request.avoid.contains(&worker) && (!plan.hosts[host].fixed || others) {
            wrong.push((Invariant::AvoidKept, format!("{id} is given {worker} again")));
        }
        if let Some(when) = request.not_before.filter(|when| when.0 > now) {
            wrong.push((Invariant::NotBeforeKept, format!("{id} begins {} µs too early", when.0 - now)));
        }
        if let Some(need) = request.need.as_ref().filter(|need| !self.met.contains(*need)) {
            wrong.push((Invariant::NeedKept, format!("{id} begins without {need}")));
        }
        if !self.starting_up {
            wrong.extend(self.check_order(plan, now, number, worker, host));
        }
        for (invariant, what) in wrong {
            self.broken(now, invariant, what);
        }
    }

    /// Whether an earlier class would have taken the machine.
    fn check_order(
        &self,
        plan: &Plan,
        now: i64,
        number: u32,
        worker: WorkerId,
        host: usize,
    ) -> Option<(Invariant, String)> {
        let build = &self.builds[number as usize];
        if is_aged(build, now, 0) {
            return None;
        }
        let earlier = &self.hosts[host].waiting[..build.request.class as usize];
        let mut some =
            earlier.iter().flat_map(|class| class.iter().take(4).chain(class.iter().rev().take(4)));
        let passed =
            some.find(|one| self.is_eligible(plan, **one, now) && self.takes(plan, **one, host, worker))?;
        let (passed, id) = (request_name(&self.builds[*passed as usize]), request_name(build));
        Some((Invariant::ClassKept, format!("{id} goes before {passed} on {}", plan.hosts[host].name)))
    }

    /// After a step: nothing waits beside what it could have. Looks at some that wait on each host, or at all.
    pub(super) fn check_waiting(&mut self, plan: &Plan, now: i64, all: bool) {
        if self.starting_up || self.broken.is_some() {
            return;
        }
        let some = if all { usize::MAX } else { 4 };
        let mut wrong = None;
        for (number, host) in self.hosts.iter().enumerate() {
            let planned = &plan.hosts[number];
            if host.alive > planned.capacity {
                wrong =
                    Some((Invariant::CapacityKept, format!("{} has {} machines", planned.name, host.alive)));
            }
            let no_failure = host.failed_until.is_none_or(|until| until <= self.ticked);
            let room = !planned.fixed && host.starting == 0 && host.alive < planned.capacity && no_failure;
            if host.idle.is_empty() && !room {
                continue;
            }
            let few = host
                .waiting
                .iter()
                .flat_map(|class| class.iter().take(some).chain(class.iter().rev().take(2)));
            for waits in few.filter(|waits| self.is_eligible(plan, **waits, now)) {
                let id = request_name(&self.builds[*waits as usize]);
                if let Some(free) = host.idle.iter().find(|free| self.takes(plan, *waits, number, **free)) {
                    wrong = Some((
                        Invariant::NoneBesideFree,
                        format!("{id} waits beside {free} of {}", planned.name),
                    ));
                } else if room {
                    let what = format!("{id} waits while {} could have another machine", planned.name);
                    wrong = Some((Invariant::NoneBesideRoom, what));
                }
            }
        }
        if let Some((invariant, what)) = wrong {
            self.broken(now, invariant, what);
        }
    }
}

/// When the build is promoted.
pub(super) fn aged_at(build: &Build) -> i64 {
    let due = build.request.requested.0 + build.request.class.patience();
    due.div_euclid(MINUTE) * MINUTE + if due % MINUTE == 0 { 0 } else { MINUTE }
}

/// Whether the build has been promoted for so long.
pub(super) fn is_aged(build: &Build, now: i64, margin: i64) -> bool {
    aged_at(build) + margin <= now
}

pub(super) fn request_name(build: &Build) -> String {
    let Request { build: id, class, requested, repo, user, .. } = &build.request;
    let waited = Micros(requested.0).0;
    format!("{} build {id} of {repo}/{user} asked for at {waited}", Class::as_str(*class))
}
