//! The scheduler's state and its step function.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashMap;
use store::{BuildId, Micros, WorkerId};

use super::items::{Item, Items, Kind, Named, Place, Rank, Rare, Slot};
use super::queue::Queue;
use super::{Action, Event, Request};

/// How many ready builds a dispatch looks at for one that accepts the idle machine. More than a few means that
/// machines fail build after build, which the avoid lists of the builds already say.
const AVOID_SCAN: usize = 32;

/// Hosts that something happened to, by number.
type Touched = BTreeSet<u32>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Machine {
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
    fixed: bool,
    pub(super) ready: Queue,
    idle: BTreeSet<WorkerId>,
    pub(super) starting: u32,
    pub(super) busy: u32,
    pub(super) aside: u32,
    /// In whose words, of those that somebody has set aside.
    pub(super) aside_why: BTreeMap<WorkerId, String>,
    pub(super) away: u32,
    /// Asked of the pool and not yet announced as starting.
    pub(super) asked: u32,
    pub(super) failure: Option<(String, Micros)>,
}

impl Host {
    pub(super) fn machines(&self) -> u32 {
        self.starting + self.busy + self.asked + self.idle.len() as u32
    }
}

#[derive(Debug, Default)]
pub(super) struct Limit {
    pub(super) max: Option<u32>,
    pub(super) used: u32,
    parked: Queue,
}

impl Limit {
    fn full(&self) -> bool {
        self.max.is_some_and(|max| self.used >= max)
    }
}

/// Something that builds wait for; forgotten with the last of them.
#[derive(Debug, Default)]
struct Need {
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

/// All queued and running builds, and all machines.
#[derive(Debug, Default)]
pub struct Scheduler {
    pub(super) items: Items,
    pub(super) hosts: Named<Host>,
    pub(super) limits: Named<Limit>,
    needs: HashMap<String, Need>,
    /// As many as there are machines: a build that ends is found here, and not among a million of others.
    pub(super) running: HashMap<BuildId, Held>,
    machines: HashMap<WorkerId, (u32, Machine)>,
    delayed: BTreeSet<(Micros, Slot)>,
}

impl Scheduler {
    /// Takes an event in and says what is to be done. `now` never needs to be monotonic: a clock that jumps back only
    /// makes back-offs longer.
    pub fn step(&mut self, now: Micros, event: Event) -> Vec<Action> {
        let mut touched = Touched::new();
        match event {
            Event::Queued(request) => {
                self.remove(now, request.build, &mut touched);
                let slot = self.insert(now, &request);
                self.place(now, slot, &mut touched);
            }
            Event::Withdrawn { build } | Event::Released { build } => self.remove(now, build, &mut touched),
            Event::Resumed { request, worker, host } => self.resume(now, &request, worker, &host),
            Event::Host { host, capacity, blocked, fixed } => {
                let host = self.hosts.number(&host);
                let entry = &mut self.hosts[host];
                (entry.capacity, entry.blocked, entry.fixed) = (capacity, blocked, fixed);
                touched.insert(host);
            }
            Event::Limit { limit, max } => {
                let limit = self.limits.number(&limit);
                self.limits[limit].max = Some(max);
                self.unpark(now, limit, &mut touched);
            }
            Event::MachineStarting { worker, host } => {
                let host = self.hosts.number(&host);
                let entry = &mut self.hosts[host];
                entry.asked = entry.asked.saturating_sub(1);
                self.set_machine(worker, host, Some(Machine::Starting));
                touched.insert(host);
            }
            Event::MachineIdle { worker, host } => {
                let host = self.hosts.number(&host);
                self.hosts[host].failure = None;
                self.set_machine(worker, host, Some(Machine::Idle));
                touched.insert(host);
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
                    let entry = &mut self.hosts[host];
                    entry.asked = entry.asked.saturating_sub(1);
                }
                self.hosts[host].failure = Some((reason, retry));
                touched.insert(host);
            }
            Event::NeedMet { need } => {
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
                while let Some(&(when, slot)) = self.delayed.first() {
                    if when > now {
                        break;
                    }
                    self.delayed.pop_first();
                    self.place(now, slot, &mut touched);
                }
                let due = |host: &Host| host.failure.as_ref().is_some_and(|(_, retry)| *retry <= now);
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
        })
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
        };
        let rare = Rare {
            avoid: request.avoid.clone(),
            not_before: request.not_before,
            need: request.need.clone(),
            blocked: request.blocked.clone(),
        };
        let slot = self.items.insert(now, request, kind, rare);
        if let Some(need) = &request.need {
            self.needs.entry(need.clone()).or_default().named_by.insert(slot);
        }
        slot
    }

    fn resume(&mut self, now: Micros, request: &Request, worker: WorkerId, host: &str) {
        self.remove(now, request.build, &mut Touched::new());
        let host = self.hosts.number(host);
        let slot = self.insert(now, request);
        self.run(now, slot, worker, host);
    }

    /// The build holds the machine, and a slot of each of its limits.
    fn run(&mut self, now: Micros, slot: Slot, worker: WorkerId, host: u32) {
        let Some(item) = self.items.get_mut(slot) else { return };
        item.place = Place::Running;
        item.since = now;
        let Some(item) = self.items.get(slot) else { return };
        for limit in &self.items.kind(item).limits {
            self.limits[*limit].used += 1;
        }
        self.running.insert(item.build, Held { slot, worker, host });
        self.set_machine(worker, host, Some(Machine::Busy));
    }

    /// Takes the build out of wherever it stands; what it held is free. The machine stays busy until the pool says
    /// that it is idle (it is being wiped) or gone.
    fn remove(&mut self, now: Micros, build: BuildId, touched: &mut Touched) {
        let held = self.running.get(&build).map(|held| held.slot);
        let Some(slot) = held.or_else(|| self.items.slot(build)) else { return };
        let Some((item, rare)) = self.items.remove(slot) else { return };
        if let Some(name) = rare.as_ref().and_then(|rare| rare.need.as_ref())
            && let Some(need) = self.needs.get_mut(name)
        {
            need.named_by.remove(&slot);
            if need.named_by.is_empty() {
                self.needs.remove(name);
            }
        }
        match item.place {
            Place::Ready => self.leave_ready(&item, item.rank(slot), touched),
            Place::Limit(limit) => {
                self.limits[limit].parked.remove(&item.rank(slot));
            }
            Place::Delayed => {
                let when = rare.and_then(|rare| rare.not_before).unwrap_or_default();
                self.delayed.remove(&(when, slot));
            }
            Place::Blocked | Place::Need => {}
            Place::Running => {
                self.running.remove(&build);
                for at in 0..self.items.kind(&item).limits.len() {
                    let limit = self.items.kind(&item).limits[at];
                    self.limits[limit].used = self.limits[limit].used.saturating_sub(1);
                }
                for at in 0..self.items.kind(&item).limits.len() {
                    self.unpark(now, self.items.kind(&item).limits[at], touched);
                }
            }
        }
    }

    fn leave_ready(&mut self, item: &Item, rank: Rank, touched: &mut Touched) {
        for host in &self.items.kind(item).hosts {
            self.hosts[*host].ready.remove(&rank);
            touched.insert(*host);
        }
    }

    /// Puts a build where it belongs now: at its back-off, its need, a full limit, or among the ready.
    fn place(&mut self, now: Micros, slot: Slot, touched: &mut Touched) {
        let Some(item) = self.items.get(slot) else { return };
        let rank = item.rank(slot);
        let rare = self.items.rare(slot);
        let kind = self.items.kind(item);
        let blocked = rare.is_some_and(|rare| rare.blocked.is_some());
        let not_before = rare.and_then(|rare| rare.not_before).filter(|when| *when > now);
        let need = rare.and_then(|rare| rare.need.as_ref());
        let needs = need.is_some_and(|need| self.needs.get(need).is_some_and(|need| !need.met));
        let place = if blocked {
            Place::Blocked
        } else if let Some(when) = not_before {
            self.delayed.insert((when, slot));
            Place::Delayed
        } else if needs {
            Place::Need
        } else if let Some(limit) = full_limit(&self.limits, kind) {
            self.limits[limit].parked.insert(rank);
            Place::Limit(limit)
        } else {
            for host in &kind.hosts {
                self.hosts[*host].ready.insert(rank);
                touched.insert(*host);
            }
            Place::Ready
        };
        if let Some(item) = self.items.get_mut(slot) {
            if item.place != place {
                item.since = now;
            }
            item.place = place;
        }
    }

    /// Lets as many builds parked at a limit go on as it has free slots; those that find another limit full park there.
    fn unpark(&mut self, now: Micros, limit: u32, touched: &mut Touched) {
        let entry = &mut self.limits[limit];
        let free = match entry.max {
            Some(max) => max.saturating_sub(entry.used) as usize,
            None => entry.parked.len(),
        };
        for _ in 0..free {
            let Some(rank) = self.limits[limit].parked.pop_first() else { break };
            self.place(now, rank.slot, touched);
        }
    }

    fn set_machine(&mut self, worker: WorkerId, host: u32, to: Option<Machine>) {
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

    fn dispatch(&mut self, now: Micros, mut touched: Touched) -> Vec<Action> {
        let mut actions = Vec::new();
        let mut seen = Touched::new();
        while let Some(host) = touched.pop_first() {
            while let Some((slot, worker)) = self.pick(now, host, &mut touched) {
                let Some(item) = self.items.get(slot) else { break };
                let (build, rank) = (item.build, item.rank(slot));
                for other in &self.items.kind(item).hosts {
                    self.hosts[*other].ready.remove(&rank);
                }
                self.run(now, slot, worker, host);
                actions.push(Action::Lease { build, worker, host: self.hosts.name(host).to_owned() });
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
    fn pick(&mut self, now: Micros, host: u32, touched: &mut Touched) -> Option<(Slot, WorkerId)> {
        let mut from = None;
        let mut scanned = 0;
        loop {
            let entry = &mut self.hosts[host];
            if entry.idle.is_empty() || entry.blocked.is_some() || scanned == AVOID_SCAN {
                return None;
            }
            let rank = entry.ready.after(from.as_ref())?;
            let slot = rank.slot;
            let item = self.items.get(slot)?;
            let kind = self.items.kind(item);
            if full_limit(&self.limits, kind).is_some() {
                for other in &kind.hosts {
                    self.hosts[*other].ready.remove(&rank);
                    touched.insert(*other);
                }
                self.place(now, slot, touched);
                touched.remove(&host);
                continue;
            }
            let avoid = self.items.rare(slot).map(|rare| rare.avoid.as_slice()).unwrap_or_default();
            let other = entry.idle.iter().find(|worker| !avoid.contains(worker));
            // Where no other can be made, one that lost an attempt is better than none.
            let any = entry.idle.first().filter(|_| entry.fixed);
            if let Some(worker) = other.or(any) {
                return Some((slot, *worker));
            }
            from = Some(rank);
            scanned += 1;
        }
    }

    /// An idle machine that all that is ready refuses, on a host that may have no more.
    fn in_the_way(&self, host: u32) -> Option<WorkerId> {
        let entry = &self.hosts[host];
        let wanted = entry.blocked.is_none() && !entry.fixed && !entry.ready.is_empty();
        let full = wanted && entry.machines() >= entry.capacity;
        entry.idle.first().copied().filter(|_| full && entry.starting + entry.asked == 0)
    }

    /// How many more machines the host should ask its pool for.
    fn demand(&mut self, now: Micros, host: u32) -> Option<u32> {
        let entry = &mut self.hosts[host];
        if entry.blocked.is_some() || entry.fixed {
            return None;
        }
        if let Some((_, retry)) = &entry.failure {
            if *retry > now {
                return None;
            }
            entry.failure = None;
        }
        let wanted = entry.ready.len().min(u32::MAX as usize) as u32;
        let coming = entry.starting + entry.asked;
        // Idle machines that are left here are all avoided by the builds that are ready.
        let room = entry.capacity.saturating_sub(entry.machines());
        let count = wanted.saturating_sub(coming).min(room);
        entry.asked += count;
        (count > 0).then_some(count)
    }

    #[cfg(test)]
    pub(super) fn idle_machines(&self, host: &str) -> Vec<WorkerId> {
        self.hosts.named(host).map(|host| host.idle.iter().copied().collect()).unwrap_or_default()
    }
}

fn full_limit(limits: &Named<Limit>, kind: &Kind) -> Option<u32> {
    kind.limits.iter().copied().find(|limit| limits[*limit].full())
}
