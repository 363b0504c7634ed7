//! The scheduler's state and its step function.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashMap;
use store::{BuildId, Micros, WorkerId};

use super::age::Ages;
use super::bugs::{Bug, Bugs, Sound};
use super::class::CLASSES;
use super::fair::{Entry, First};
use super::flows::Flows;
use super::items::{Item, Items, Kind, Named, Place, Rare, Slot};
use super::limits::Limit;
use super::machines::{Host, Machine};
use super::{Action, Event, Of, Request};

/// How many ready builds a dispatch looks at for one that accepts the idle machine. More than a few means that
/// machines fail build after build, which the avoid lists of the builds already say.
pub(super) const AVOID_SCAN: usize = 32;

/// Hosts that something happened to, by number.
pub(super) type Touched = BTreeSet<u32>;

/// Something that builds wait for; forgotten with the last of them.
#[derive(Debug, Default)]
pub(super) struct Need {
    met: bool,
    /// Builds that name it, wherever they stand.
    named_by: BTreeSet<Slot>,
}

/// A machine that a build holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Held {
    slot: Slot,
    pub(super) worker: WorkerId,
    pub(super) host: u32,
}

/// The scheduler as coordinators run it.
pub type Scheduler = Planner<Sound>;

/// All queued and running builds, and all machines. `B` is [`Sound`] except where the simulation plants bugs.
#[derive(Debug, Default)]
pub struct Planner<B: Bugs = Sound> {
    pub(super) bugs: B,
    pub(super) items: Items,
    pub(super) hosts: Named<Host>,
    pub(super) limits: Named<Limit>,
    /// Whose builds they are. Each repo and user is a limit, too: its quota.
    pub(super) flows: Flows,
    /// Quotas of repos and users that have none of their own.
    pub(super) quotas: [Option<u32>; 2],
    /// Limits and shapes of which some that wait may go on.
    pub(super) refills: BTreeSet<(u32, u32)>,
    /// The same, until the limit that stops them has room again.
    pub(super) blocked_on: BTreeMap<u32, BTreeSet<(u32, u32)>>,
    pub(super) ages: Ages,
    pub(super) needs: HashMap<String, Need>,
    /// As many as there are machines: a build that ends is found here, and not among a million of others.
    pub(super) running: HashMap<BuildId, Held>,
    pub(super) machines: HashMap<WorkerId, (u32, Machine)>,
    delayed: BTreeSet<(Micros, Slot)>,
}

impl<B: Bugs> Planner<B> {
    /// One with bugs planted.
    pub fn with(bugs: B) -> Self {
        Planner { bugs, ..Planner::default() }
    }

    /// Takes an event in and says what is to be done. `now` never needs to be monotonic: a clock that jumps back only
    /// makes back-offs longer.
    pub fn step(&mut self, now: Micros, event: Event) -> Vec<Action> {
        let mut touched = Touched::new();
        self.promote(now);
        match event {
            Event::Queued(request) => {
                self.remove(request.build, &mut touched);
                let slot = self.insert(now, &request);
                self.place(now, slot, &mut touched);
            }
            Event::Withdrawn { build } | Event::Released { build } => self.remove(build, &mut touched),
            Event::Resumed { request, worker, host } => self.resume(now, &request, worker, &host),
            Event::Host { host, capacity, blocked, fixed } => {
                let host = self.hosts.number(&host);
                let entry = &mut self.hosts[host];
                (entry.capacity, entry.blocked, entry.fixed) = (capacity, blocked, fixed);
                touched.insert(host);
            }
            Event::Limit { limit, max } => {
                let limit = self.limits.number(&limit);
                self.set_max(now, limit, Some(max), &mut touched);
            }
            Event::Quota { of, name, max } => self.set_quota(now, (of, name.as_deref(), max), &mut touched),
            Event::MachineStarting { worker, host } => {
                let host = self.hosts.number(&host);
                self.announced(now, host);
                self.set_machine(worker, host, Some(Machine::Starting));
                touched.insert(host);
            }
            Event::MachineIdle { worker, host } => {
                let host = self.hosts.number(&host);
                self.hosts[host].failure = None;
                let was_away = self.machines.get(&worker).is_some_and(|(_, state)| *state == Machine::Away);
                self.set_machine(worker, host, Some(Machine::Idle));
                if !(was_away && self.bugs.has(Bug::LostWakeUp)) {
                    touched.insert(host);
                }
            }
            Event::MachineSetAside { worker, host, why } => {
                let host = self.hosts.number(&host);
                self.set_machine(worker, host, Some(Machine::SetAside));
                if !why.is_empty() {
                    self.hosts[host].aside_why.insert(worker, why);
                }
                touched.insert(host);
            }
            Event::MachineAway { worker, host } => {
                let host = self.hosts.number(&host);
                self.set_machine(worker, host, Some(Machine::Away));
                touched.insert(host);
            }
            Event::MachineGone { worker } => {
                if let Some((host, _)) = self.machines.get(&worker).copied() {
                    self.set_machine(worker, host, None);
                    touched.insert(host);
                }
            }
            Event::CreateFailed { worker, host, reason, retry } => {
                let host = self.hosts.number(&host);
                if self.machines.contains_key(&worker) {
                    self.set_machine(worker, host, None);
                } else {
                    self.announced(now, host);
                }
                self.hosts[host].failure = Some((reason, retry));
                touched.insert(host);
            }
            Event::NeedMet { need, .. } => {
                let waiting = self.needs.get_mut(&need).map(|need| {
                    need.met = true;
                    need.named_by.clone()
                });
                for slot in waiting.unwrap_or_default() {
                    if self.items.get(slot).is_some_and(|item| item.place == Place::Need) {
                        self.place(now, slot, &mut touched);
                    }
                }
            }
            Event::Tick => {
                let mut any = false;
                while let Some(&(when, slot)) = self.delayed.first() {
                    if when > now && !(any && self.bugs.has(Bug::BackOffTooShort)) {
                        break;
                    }
                    any = true;
                    self.delayed.pop_first();
                    self.place_after_wait(now, slot, &mut touched);
                }
                let due = |host: &Host| {
                    host.failure.as_ref().is_some_and(|(_, retry)| *retry <= now)
                        || !host.idle.is_empty() && !host.ready.is_empty()
                };
                touched.extend(self.hosts.iter().filter(|(_, host)| due(host)).map(|(host, _)| host));
            }
        }
        self.dispatch(now, touched)
    }

    /// When [`Event::Tick`] has something to do next.
    pub fn next_tick(&self) -> Option<Micros> {
        let retries = self.hosts.iter().filter_map(|(_, host)| {
            let (_, retry) = host.failure.as_ref()?;
            (!host.ready.is_empty()).then_some(*retry)
        });
        retries.chain(self.delayed.first().map(|(when, _)| *when)).min()
    }

    /// How many builds are queued or running.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether nothing is queued or running.
    pub fn is_empty(&self) -> bool {
        self.items.len() == 0
    }

    /// Whether a build names this need and it is not met.
    pub fn is_needed(&self, need: &str) -> bool {
        self.needs.get(need).is_some_and(|need| !need.met)
    }

    /// The machine that the build holds.
    pub fn worker_of(&self, build: BuildId) -> Option<WorkerId> {
        self.running.get(&build).map(|held| held.worker)
    }

    /// The request as it was queued.
    pub fn request(&self, build: BuildId) -> Option<Request> {
        let slot = self.items.slot(build)?;
        let item = self.items.get(slot)?;
        let kind = self.items.kind(item);
        let rare = self.items.rare(slot).cloned().unwrap_or_default();
        let [repo, user] = self.names(item);
        Some(Request {
            build,
            builder: kind.builder.clone(),
            hosts: kind.hosts.iter().map(|host| self.hosts.name(*host).to_owned()).collect(),
            class: item.class(),
            priority: item.priority(),
            commit_time: item.commit_time,
            requested: item.requested,
            limits: kind.limits.iter().map(|limit| self.limits.name(*limit).to_owned()).collect(),
            avoid: rare.avoid,
            not_before: rare.not_before,
            need: rare.need,
            blocked: rare.blocked,
            repo: repo.to_owned(),
            user: user.to_owned(),
            width: kind.width,
        })
    }

    /// The names of the build's repo and user.
    pub(super) fn names(&self, item: &Item) -> [&str; 2] {
        let who = self.flows.who(item.flow);
        [(Of::Repo, who[0]), (Of::User, who[1])].map(|(of, number)| {
            let name = self.limits.name_of(number).and_then(|name| name.strip_prefix("quota of "));
            name.and_then(|name| name.strip_prefix(of.as_str())).map_or("", str::trim)
        })
    }

    /// The build as it stands in queues.
    pub(super) fn entry(&self, slot: Slot, item: &Item) -> Entry {
        Entry {
            class: item.class.min(CLASSES as u8 - 1),
            flow: item.flow,
            who: self.flows.who(item.flow),
            rank: item.rank(slot),
            aged: item.aged_rank(slot),
            cost: self.items.kind(item).width,
        }
    }

    /// Adds a build that is not known yet, at no place yet.
    fn insert(&mut self, now: Micros, request: &Request) -> Slot {
        let mut hosts = Vec::with_capacity(request.hosts.len());
        for host in &request.hosts {
            let host = self.hosts.number(host);
            // Named twice, it would stand twice in the host's queue.
            if !hosts.contains(&host) {
                hosts.push(host);
            }
        }
        let kind = Kind {
            builder: request.builder.clone(),
            hosts,
            limits: request.limits.iter().map(|limit| self.limits.number(limit)).collect(),
            width: request.width.max(1),
            shape: 0,
        };
        let avoid = match self.bugs.has(Bug::AvoidForgotten) {
            true => Vec::new(),
            false => request.avoid.clone(),
        };
        let rare = Rare {
            avoid,
            not_before: request.not_before,
            need: request.need.clone(),
            blocked: request.blocked.clone(),
        };
        let who = self.principals(request);
        let flow = self.flows.enter(who);
        let slot = self.items.insert(now, request, kind, flow, rare);
        self.watch_age(now, slot);
        if let Some(need) = &request.need {
            self.needs.entry(need.clone()).or_default().named_by.insert(slot);
        }
        slot
    }

    fn resume(&mut self, now: Micros, request: &Request, worker: WorkerId, host: &str) {
        self.remove(request.build, &mut Touched::new());
        let host = self.hosts.number(host);
        let slot = self.insert(now, request);
        self.run(now, slot, worker, host);
        if self.bugs.has(Bug::ResumedUncounted)
            && let Some(item) = self.items.get(slot).copied()
        {
            self.give_slots(&item);
        }
    }

    /// The build holds the machine, and its slots of each of its limits.
    fn run(&mut self, now: Micros, slot: Slot, worker: WorkerId, host: u32) {
        let Some(item) = self.items.get_mut(slot) else { return };
        item.place = Place::Running;
        item.since = now;
        let item = *item;
        self.take_slots(slot, &item);
        self.running.insert(item.build, Held { slot, worker, host });
        self.set_machine(worker, host, Some(Machine::Busy));
    }

    /// Takes the build out of wherever it stands; what it held is free. The machine stays busy until the pool says
    /// that it is idle (it is being wiped) or gone.
    fn remove(&mut self, build: BuildId, touched: &mut Touched) {
        let held = self.running.get(&build).map(|held| held.slot);
        let Some(slot) = held.or_else(|| self.items.slot(build)) else { return };
        let Some(item) = self.items.get(slot).copied() else { return };
        match item.place {
            Place::Ready => self.leave_ready(slot, &item, touched),
            Place::Limit(_) if self.bugs.has(Bug::WithdrawnStays) => return,
            Place::Limit(limit) => self.leave_parked(limit, slot, &item),
            Place::Delayed => {
                let when = self.items.rare(slot).and_then(|rare| rare.not_before).unwrap_or_default();
                self.delayed.remove(&(when, slot));
            }
            Place::Blocked | Place::Need => {}
            Place::Running => {
                self.running.remove(&build);
                self.give_slots(&item);
            }
        }
        self.unreserve(slot, &item, None);
        let removed = self.items.remove(slot);
        if !self.bugs.has(Bug::FlowsLeak) {
            self.flows.leave(item.flow);
        }
        if let Some(name) = removed.and_then(|(_, rare)| rare?.need)
            && let Some(need) = self.needs.get_mut(&name)
        {
            need.named_by.remove(&slot);
            if need.named_by.is_empty() {
                self.needs.remove(&name);
            }
        }
    }

    /// Takes a ready build out of the queues of its hosts.
    fn leave_ready(&mut self, slot: Slot, item: &Item, touched: &mut Touched) {
        let entry = self.entry(slot, item);
        for at in 0..self.items.kind(item).hosts.len() {
            let host = self.items.kind(item).hosts[at];
            self.hosts[host].ready.remove(&entry);
            touched.insert(host);
        }
        self.count_ready(slot, item, false);
    }

    /// As [`Planner::place`], of one whose back-off is over.
    fn place_after_wait(&mut self, now: Micros, slot: Slot, touched: &mut Touched) {
        let now = match self.bugs.has(Bug::BackOffTooShort) {
            true => self.items.rare(slot).and_then(|rare| rare.not_before).unwrap_or(now).max(now),
            false => now,
        };
        self.place(now, slot, touched);
    }

    /// Puts a build where it belongs now: at its back-off, its need, a full limit, or among the ready.
    pub(super) fn place(&mut self, now: Micros, slot: Slot, touched: &mut Touched) {
        let behind = self.items.get(slot).and_then(|item| self.behind_others(item));
        self.put(now, slot, behind, touched);
    }

    /// The same of one that waited for a limit and was the first there.
    pub(super) fn place_past(&mut self, now: Micros, slot: Slot, touched: &mut Touched) {
        self.put(now, slot, None, touched);
    }

    fn put(&mut self, now: Micros, slot: Slot, behind: Option<u32>, touched: &mut Touched) {
        let Some(item) = self.items.get(slot).copied() else { return };
        let rare = self.items.rare(slot);
        let blocked = rare.is_some_and(|rare| rare.blocked.is_some());
        let not_before = rare.and_then(|rare| rare.not_before).filter(|when| *when > now);
        let need = rare.and_then(|rare| rare.need.as_ref());
        let needs = need.is_some_and(|need| self.needs.get(need).is_some_and(|need| !need.met));
        let needs = needs
            && !(self.bugs.has(Bug::NeedForgotten) && rare.is_some_and(|rare| rare.not_before.is_some()));
        let place = if blocked {
            Place::Blocked
        } else if let Some(when) = not_before {
            self.delayed.insert((when, slot));
            Place::Delayed
        } else if needs {
            Place::Need
        } else if let Some(limit) = self.full_limit(slot, &item).or(behind) {
            Place::Limit(limit)
        } else {
            Place::Ready
        };
        if let Some(item) = self.items.get_mut(slot) {
            if item.place != place {
                item.since = now;
            }
            item.place = place;
        }
        match place {
            Place::Ready => {
                let entry = self.entry(slot, &item);
                for at in 0..self.items.kind(&item).hosts.len() {
                    let host = self.items.kind(&item).hosts[at];
                    self.hosts[host].ready.insert(&entry);
                    touched.insert(host);
                }
                self.count_ready(slot, &item, true);
            }
            Place::Limit(limit) => self.park(limit, slot),
            _ => {}
        }
    }

    fn dispatch(&mut self, now: Micros, mut touched: Touched) -> Vec<Action> {
        let mut actions = Vec::new();
        let mut seen = Touched::new();
        loop {
            self.refill_all(now, &mut touched);
            let Some(host) = touched.pop_first() else { break };
            while let Some((first, worker)) = self.pick(now, host, &mut touched) {
                let slot = first.slot;
                let Some(item) = self.items.get(slot).copied() else { break };
                let entry = self.entry(slot, &item);
                let charged = !self.bugs.has(Bug::NoTurns);
                self.hosts[host].ready.serve(&entry, first.by_age, charged);
                if !self.bugs.has(Bug::StaysInOtherQueues) {
                    for at in 0..self.items.kind(&item).hosts.len() {
                        let other = self.items.kind(&item).hosts[at];
                        if other != host {
                            self.hosts[other].ready.remove(&entry);
                        }
                    }
                }
                self.run(now, slot, worker, host);
                self.count_ready(slot, &item, false);
                self.refill_all(now, &mut touched);
                let host = self.hosts.name(host).to_owned();
                actions.push(Action::Lease { build: item.build, worker, host });
            }
            seen.insert(host);
        }
        for host in seen {
            if let Some(worker) = self.in_the_way(host) {
                self.set_machine(worker, host, None);
                actions.push(Action::Retire { worker });
            }
            if let Some(count) = self.demand(now, host) {
                actions.push(Action::Create { host: self.hosts.name(host).to_owned(), count });
            }
        }
        actions
    }

    /// The first ready build of the host that accepts one of its idle machines. Ready builds whose limit filled up in
    /// the meantime are parked on the way.
    fn pick(&mut self, now: Micros, host: u32, touched: &mut Touched) -> Option<(First, WorkerId)> {
        loop {
            let entry = &mut self.hosts[host];
            if entry.idle.is_empty() || entry.blocked.is_some() {
                return None;
            }
            let first = entry.ready.first()?;
            if self.park_if_full(now, host, first.slot, touched) {
                continue;
            }
            if let Some(worker) = self.accepted(host, first.slot) {
                return Some((first, worker));
            }
            let others = self.hosts[host].ready.scan(AVOID_SCAN);
            let mut parked = false;
            for first in others {
                if self.park_if_full(now, host, first.slot, touched) {
                    parked = true;
                    continue;
                }
                if let Some(worker) = self.accepted(host, first.slot) {
                    return Some((first, worker));
                }
            }
            if !parked {
                return None;
            }
        }
    }

    /// Parks a ready build at a limit that is full by now.
    fn park_if_full(&mut self, now: Micros, host: u32, slot: Slot, touched: &mut Touched) -> bool {
        let Some(item) = self.items.get(slot).copied() else { return false };
        if item.place != Place::Ready || self.full_limit(slot, &item).is_none() {
            return false;
        }
        self.leave_ready(slot, &item, touched);
        self.place(now, slot, touched);
        // Its slots of other limits are for others now, who may come before whatever is next here.
        self.refill_all(now, touched);
        touched.remove(&host);
        true
    }

    /// An idle machine that the build takes.
    fn accepted(&self, host: u32, slot: Slot) -> Option<WorkerId> {
        let entry = &self.hosts[host];
        let avoid = self.items.rare(slot).map(|rare| rare.avoid.as_slice()).unwrap_or_default();
        let other = entry.idle.iter().find(|worker| !avoid.contains(worker));
        // Where no other can be made, one that lost an attempt is better than none.
        other.or(entry.idle.first().filter(|_| entry.fixed)).copied()
    }
}
