//! The scheduler's state and its step function.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use store::{BuildId, Micros, WorkerId};

use super::{Action, Class, Event, Request};

/// The order of a ready set: class, priority, then by class newest commit first or longest waiting first.
type Rank = (Class, i64, i64, u64);

/// How many ready builds a dispatch looks at for one that accepts the idle machine. More than a few means that
/// machines fail build after build, which the avoid lists of the builds already say.
const AVOID_SCAN: usize = 32;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// In the ready set of each of its hosts.
    Ready,
    /// Waits for a slot of this limit.
    Limit(String),
    /// Waits for this moment.
    Delayed(Micros),
    /// Waits for something to exist.
    Need(String),
    /// Can't run as things are configured.
    Blocked(String),
    /// Holds a machine.
    Running { worker: WorkerId, host: String },
}

#[derive(Debug)]
pub(super) struct Item {
    pub(super) request: Request,
    pub(super) rank: Rank,
    pub(super) place: Place,
    /// Since when it is at this place.
    pub(super) since: Micros,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Machine {
    Starting,
    Idle,
    Busy,
    SetAside,
}

#[derive(Debug, Default)]
pub(super) struct Host {
    pub(super) capacity: u32,
    pub(super) blocked: Option<String>,
    pub(super) ready: BTreeSet<(Rank, BuildId)>,
    idle: BTreeSet<WorkerId>,
    pub(super) starting: u32,
    pub(super) busy: u32,
    pub(super) aside: u32,
    /// Asked of the pool and not yet announced as starting.
    asked: u32,
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
    parked: BTreeSet<(Rank, BuildId)>,
}

impl Limit {
    fn full(&self) -> bool {
        self.max.is_some_and(|max| self.used >= max)
    }
}

/// All queued and running builds, and all machines.
#[derive(Debug, Default)]
pub struct Scheduler {
    pub(super) items: HashMap<BuildId, Item>,
    pub(super) hosts: BTreeMap<String, Host>,
    pub(super) limits: HashMap<String, Limit>,
    machines: HashMap<WorkerId, (String, Machine)>,
    delayed: BTreeSet<(Micros, BuildId)>,
    needs: HashMap<String, BTreeSet<BuildId>>,
    met: HashSet<String>,
    sequence: u64,
}

impl Scheduler {
    /// Takes an event in and says what is to be done. `now` never needs to be monotonic: a clock that jumps back only
    /// makes back-offs longer.
    pub fn step(&mut self, now: Micros, event: Event) -> Vec<Action> {
        let mut touched = BTreeSet::new();
        match event {
            Event::Queued(request) => self.queue(now, request, &mut touched),
            Event::Withdrawn { build } | Event::Released { build } => self.remove(now, build, &mut touched),
            Event::Resumed { request, worker, host } => self.resume(now, request, worker, host),
            Event::Host { host, capacity, blocked } => {
                let entry = self.hosts.entry(host.clone()).or_default();
                entry.capacity = capacity;
                entry.blocked = blocked;
                touched.insert(host);
            }
            Event::Limit { limit, max } => {
                self.limits.entry(limit.clone()).or_default().max = Some(max);
                self.unpark(now, &limit, &mut touched);
            }
            Event::MachineStarting { worker, host } => {
                let entry = self.hosts.entry(host.clone()).or_default();
                entry.asked = entry.asked.saturating_sub(1);
                self.set_machine(worker, &host, Some(Machine::Starting));
                touched.insert(host);
            }
            Event::MachineIdle { worker, host } => {
                self.hosts.entry(host.clone()).or_default().failure = None;
                self.set_machine(worker, &host, Some(Machine::Idle));
                touched.insert(host);
            }
            Event::MachineSetAside { worker, host } => {
                self.set_machine(worker, &host, Some(Machine::SetAside));
                touched.insert(host);
            }
            Event::MachineGone { worker } => {
                if let Some((host, _)) = self.machines.get(&worker).cloned() {
                    self.set_machine(worker, &host, None);
                    touched.insert(host);
                }
            }
            Event::CreateFailed { worker, host, reason, retry } => {
                if self.machines.contains_key(&worker) {
                    self.set_machine(worker, &host, None);
                } else if let Some(entry) = self.hosts.get_mut(&host) {
                    entry.asked = entry.asked.saturating_sub(1);
                }
                self.hosts.entry(host.clone()).or_default().failure = Some((reason, retry));
                touched.insert(host);
            }
            Event::NeedMet { need } => {
                let waiting = self.needs.remove(&need).unwrap_or_default();
                self.met.insert(need);
                for build in waiting {
                    self.place(now, build, &mut touched);
                }
            }
            Event::Tick => {
                while let Some(&(when, build)) = self.delayed.first() {
                    if when > now {
                        break;
                    }
                    self.delayed.pop_first();
                    self.place(now, build, &mut touched);
                }
                let due = |host: &Host| host.failure.as_ref().is_some_and(|(_, retry)| *retry <= now);
                touched.extend(self.hosts.iter().filter(|(_, host)| due(host)).map(|(name, _)| name.clone()));
            }
        }
        self.dispatch(now, touched)
    }

    /// When [`Event::Tick`] has something to do next.
    pub fn next_tick(&self) -> Option<Micros> {
        let retries = self.hosts.values().filter_map(|host| {
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
        self.items.is_empty()
    }

    /// The machine that the build holds.
    pub fn worker_of(&self, build: BuildId) -> Option<WorkerId> {
        match self.items.get(&build)?.place {
            Place::Running { worker, .. } => Some(worker),
            _ => None,
        }
    }

    /// The request as it was queued.
    pub fn request(&self, build: BuildId) -> Option<&Request> {
        Some(&self.items.get(&build)?.request)
    }

    /// All builds that are queued or running.
    pub fn builds(&self) -> impl Iterator<Item = BuildId> + '_ {
        self.items.keys().copied()
    }

    fn queue(&mut self, now: Micros, request: Request, touched: &mut BTreeSet<String>) {
        let build = request.build;
        self.remove(now, build, touched);
        let rank = self.rank(&request);
        self.items.insert(build, Item { request, rank, place: Place::Ready, since: now });
        self.place(now, build, touched);
    }

    fn rank(&mut self, request: &Request) -> Rank {
        self.sequence += 1;
        let order = match request.class {
            Class::PostSubmit => request.commit_time.0.saturating_neg(),
            Class::Release | Class::Interactive | Class::Try => request.requested.0,
        };
        (request.class, request.priority.saturating_neg(), order, self.sequence)
    }

    fn resume(&mut self, now: Micros, request: Request, worker: WorkerId, host: String) {
        let build = request.build;
        self.remove(now, build, &mut BTreeSet::new());
        for limit in &request.limits {
            self.limits.entry(limit.clone()).or_default().used += 1;
        }
        self.set_machine(worker, &host, Some(Machine::Busy));
        let rank = self.rank(&request);
        self.items.insert(build, Item { request, rank, place: Place::Running { worker, host }, since: now });
    }

    /// Takes the build out of wherever it stands; what it held is free. The machine stays busy until the pool says
    /// that it is idle (it is being wiped) or gone.
    fn remove(&mut self, now: Micros, build: BuildId, touched: &mut BTreeSet<String>) {
        let Some(item) = self.items.remove(&build) else { return };
        match &item.place {
            Place::Ready => self.leave_ready(&item, touched),
            Place::Limit(limit) => {
                if let Some(limit) = self.limits.get_mut(limit) {
                    limit.parked.remove(&(item.rank, build));
                }
            }
            Place::Delayed(when) => {
                self.delayed.remove(&(*when, build));
            }
            Place::Blocked(_) => {}
            Place::Need(need) => {
                if let Some(waiting) = self.needs.get_mut(need) {
                    waiting.remove(&build);
                }
            }
            Place::Running { .. } => {
                for limit in &item.request.limits {
                    if let Some(limit) = self.limits.get_mut(limit) {
                        limit.used = limit.used.saturating_sub(1);
                    }
                }
                for limit in &item.request.limits {
                    self.unpark(now, limit, touched);
                }
            }
        }
    }

    fn leave_ready(&mut self, item: &Item, touched: &mut BTreeSet<String>) {
        for host in &item.request.hosts {
            if let Some(entry) = self.hosts.get_mut(host) {
                entry.ready.remove(&(item.rank, item.request.build));
                touched.insert(host.clone());
            }
        }
    }

    /// Puts a build where it belongs now: at its back-off, its need, a full limit, or among the ready.
    fn place(&mut self, now: Micros, build: BuildId, touched: &mut BTreeSet<String>) {
        let Some(item) = self.items.get(&build) else { return };
        let request = &item.request;
        let rank = item.rank;
        let place = if let Some(message) = request.blocked.clone() {
            Place::Blocked(message)
        } else if let Some(when) = request.not_before.filter(|when| *when > now) {
            self.delayed.insert((when, build));
            Place::Delayed(when)
        } else if let Some(need) = request.need.clone().filter(|need| !self.met.contains(need)) {
            self.needs.entry(need.clone()).or_default().insert(build);
            Place::Need(need)
        } else if let Some(limit) = self.full_limit(&request.limits) {
            self.limits.entry(limit.clone()).or_default().parked.insert((rank, build));
            Place::Limit(limit)
        } else {
            for host in request.hosts.clone() {
                self.hosts.entry(host.clone()).or_default().ready.insert((rank, build));
                touched.insert(host);
            }
            Place::Ready
        };
        if let Some(item) = self.items.get_mut(&build) {
            if item.place != place {
                item.since = now;
            }
            item.place = place;
        }
    }

    fn full_limit(&self, limits: &[String]) -> Option<String> {
        limits.iter().find(|name| self.limits.get(*name).is_some_and(Limit::full)).cloned()
    }

    /// Lets as many builds parked at a limit go on as it has free slots; those that find another limit full park there.
    fn unpark(&mut self, now: Micros, limit: &str, touched: &mut BTreeSet<String>) {
        let Some(entry) = self.limits.get_mut(limit) else { return };
        let free = match entry.max {
            Some(max) => max.saturating_sub(entry.used) as usize,
            None => entry.parked.len(),
        };
        let mut going = Vec::new();
        while going.len() < free {
            let Some((_, build)) = entry.parked.pop_first() else { break };
            going.push(build);
        }
        for build in going {
            self.place(now, build, touched);
        }
    }

    fn set_machine(&mut self, worker: WorkerId, host: &str, to: Option<Machine>) {
        let from = self.machines.get(&worker).map(|(host, state)| (host.clone(), *state));
        if let Some((old_host, old)) = from {
            let entry = self.hosts.entry(old_host).or_default();
            match old {
                Machine::Starting => entry.starting -= 1,
                Machine::Idle => {
                    entry.idle.remove(&worker);
                }
                Machine::Busy => entry.busy -= 1,
                Machine::SetAside => entry.aside -= 1,
            }
        }
        let Some(to) = to else {
            self.machines.remove(&worker);
            return;
        };
        let entry = self.hosts.entry(host.to_owned()).or_default();
        match to {
            Machine::Starting => entry.starting += 1,
            Machine::Idle => {
                entry.idle.insert(worker);
            }
            Machine::Busy => entry.busy += 1,
            Machine::SetAside => entry.aside += 1,
        }
        self.machines.insert(worker, (host.to_owned(), to));
    }

    fn dispatch(&mut self, now: Micros, mut touched: BTreeSet<String>) -> Vec<Action> {
        let mut actions = Vec::new();
        let mut seen = BTreeSet::new();
        while let Some(host) = touched.pop_first() {
            while let Some((build, worker)) = self.pick(now, &host, &mut touched) {
                self.lease(now, build, worker, &host);
                actions.push(Action::Lease { build, worker, host: host.clone() });
            }
            seen.insert(host);
        }
        for host in seen {
            if let Some(worker) = self.in_the_way(&host) {
                self.set_machine(worker, &host, None);
                actions.push(Action::Retire { worker });
            }
            if let Some(count) = self.demand(now, &host) {
                actions.push(Action::Create { host, count });
            }
        }
        actions
    }

    /// The first ready build of the host that accepts one of its idle machines. Ready builds whose limit filled up in
    /// the meantime are parked on the way.
    fn pick(
        &mut self,
        now: Micros,
        host: &str,
        touched: &mut BTreeSet<String>,
    ) -> Option<(BuildId, WorkerId)> {
        let mut from = None;
        let mut scanned = 0;
        loop {
            let entry = self.hosts.get(host)?;
            if entry.idle.is_empty() || entry.blocked.is_some() || scanned == AVOID_SCAN {
                return None;
            }
            let candidate = match from {
                None => entry.ready.first(),
                Some(last) => {
                    entry.ready.range((std::ops::Bound::Excluded(last), std::ops::Bound::Unbounded)).next()
                }
            };
            let &(rank, build) = candidate?;
            let item = self.items.get(&build)?;
            if self.full_limit(&item.request.limits).is_some() {
                // `remove` and `place` need the item out of the ready sets of all its hosts.
                let item = self.items.remove(&build)?;
                self.leave_ready(&item, touched);
                self.items.insert(build, item);
                self.place(now, build, touched);
                touched.remove(host);
                continue;
            }
            let avoid = &item.request.avoid;
            if let Some(worker) = entry.idle.iter().find(|worker| !avoid.contains(worker)) {
                return Some((build, *worker));
            }
            from = Some((rank, build));
            scanned += 1;
        }
    }

    fn lease(&mut self, now: Micros, build: BuildId, worker: WorkerId, host: &str) {
        let Some(item) = self.items.remove(&build) else { return };
        self.leave_ready(&item, &mut BTreeSet::new());
        for limit in &item.request.limits {
            self.limits.entry(limit.clone()).or_default().used += 1;
        }
        self.set_machine(worker, host, Some(Machine::Busy));
        let place = Place::Running { worker, host: host.to_owned() };
        self.items.insert(build, Item { place, since: now, ..item });
    }

    /// An idle machine that all that is ready refuses, on a host that may have no more.
    fn in_the_way(&self, host: &str) -> Option<WorkerId> {
        let entry = self.hosts.get(host)?;
        let full = entry.blocked.is_none() && !entry.ready.is_empty() && entry.machines() >= entry.capacity;
        entry.idle.first().copied().filter(|_| full && entry.starting + entry.asked == 0)
    }

    /// How many more machines the host should ask its pool for.
    fn demand(&mut self, now: Micros, host: &str) -> Option<u32> {
        let entry = self.hosts.get_mut(host)?;
        if entry.blocked.is_some() {
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
        self.hosts.get(host).map(|host| host.idle.iter().copied().collect()).unwrap_or_default()
    }
}
