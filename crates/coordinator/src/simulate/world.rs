//! The world around the scheduler in virtual time: people, pools, machines, and a coordinator that is killed at times.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use store::{BuildId, Micros, WorkerId};

use super::Outcome;
use super::checks::{Books, Build, Invariant, Machine, NOBODY, State};
use super::plan::{HOUR, MINUTE, Plan, SECOND};
use crate::replay::{Mark, Record, Recorded};
use crate::schedule::{Action, Bugs, Class, Event, Planner, Reason, Request};

/// What is to happen.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Arrive,
    Flood(usize),
    Come(usize),
    Made(WorkerId),
    Ended(u32, u32),
    Wiped(WorkerId),
    Back(WorkerId),
    Leave(usize),
    Cancel(u32),
    Met(String),
    Kill,
    Watch,
    Tick,
}

pub(super) struct World<B: Bugs> {
    plan: Plan,
    now: i64,
    planner: Planner<B>,
    fresh: B,
    books: Books,
    to_come: BinaryHeap<Reverse<(i64, u64, What)>>,
    order: u64,
    next_tick: Option<i64>,
    arrived: usize,
    names: u64,
    steps: u64,
    machines: usize,
    /// The most builds that were queued or running at once.
    most: usize,
    /// What a coordinator would record, if somebody wants it.
    record: Option<Vec<Recorded>>,
}

fn name_bytes(mut n: u64) -> impl FnMut(&mut [u8]) {
    move |to| {
        for byte in to.iter_mut().rev() {
            *byte = n as u8;
            n >>= 8;
        }
    }
}

impl<B: Bugs + Copy> World<B> {
    pub(super) fn new(plan: Plan, bugs: B) -> Self {
        let mut world = World {
            now: HOUR,
            planner: Planner::with(bugs),
            fresh: bugs,
            books: Books::new(&plan),
            to_come: BinaryHeap::new(),
            order: 0,
            next_tick: None,
            arrived: 0,
            names: 0,
            steps: 0,
            machines: 0,
            most: 0,
            record: None,
            plan,
        };
        let begin = world.now;
        world.at(begin, What::Arrive);
        world.at(begin + 10 * MINUTE, What::Watch);
        for n in 0..world.plan.floods.len() {
            world.at(begin + world.plan.floods[n].at, What::Flood(n));
        }
        for kill in world.plan.kills.clone() {
            world.at(begin + kill, What::Kill);
        }
        for host in 0..world.plan.hosts.len() {
            if world.plan.hosts[host].fixed {
                for n in 0..world.plan.hosts[host].capacity {
                    world.at(begin + i64::from(n) * 7 * SECOND, What::Come(host));
                }
                world.at(begin + 10 * MINUTE, What::Leave(host));
            }
        }
        world
    }

    fn at(&mut self, when: i64, what: What) {
        self.order += 1;
        self.to_come.push(Reverse((when, self.order, what)));
    }

    fn after(&mut self, pause: i64, what: What) {
        self.at(self.now + pause, what);
    }

    /// Runs as [`World::run`], and returns what a coordinator would have recorded.
    pub(super) fn recorded(mut self) -> (Outcome, Vec<Recorded>) {
        self.record = Some(Vec::new());
        let outcome = self.go();
        (outcome, self.record.unwrap_or_default())
    }

    fn note(&mut self, what: impl FnOnce() -> Record) {
        if let Some(record) = &mut self.record {
            let seq = record.len() as i64 + 1;
            record.push(Recorded { seq, time: Micros(self.now), what: what() });
        }
    }

    /// Runs until nothing is left to happen, or an invariant is broken.
    pub(super) fn run(mut self) -> Outcome {
        self.go()
    }

    fn go(&mut self) -> Outcome {
        self.note(|| Record::Mark(Mark::Started));
        self.configure();
        self.note(|| Record::Mark(Mark::Recovered));
        let most = 400 * (self.plan.builds as u64 + 2000);
        while self.books.broken.is_none()
            && let Some(Reverse((when, _, what))) = self.to_come.pop()
        {
            self.now = when;
            self.happen(what);
            if self.steps > most {
                self.books.broken(when, Invariant::EachEnds, format!("no end after {most} steps"));
            }
        }
        if self.books.broken.is_none() {
            self.check_end();
        }
        Outcome {
            seed: self.plan.seed,
            builds: self.books.builds.len(),
            machines: self.machines,
            steps: self.steps,
            hours: (self.now - HOUR) as f64 / HOUR as f64,
            broken: self.books.broken.take(),
        }
    }

    fn check_end(&mut self) {
        let (now, kept) = (self.now, self.planner.kept());
        let left = self.books.builds.iter().find(|build| build.state != State::Over);
        if let Some(left) = left {
            let why = self.planner.why(left.request.build);
            let what =
                format!("{} is {:?} at the end: {why:?}", super::checks::request_name(left), left.state);
            return self.books.broken(now, Invariant::EachEnds, what);
        }
        if kept.builds + kept.flows + kept.needs > 0 {
            self.books.broken(now, Invariant::MemoryFlat, format!("at the end there is {kept:?}"));
        }
    }

    fn happen(&mut self, what: What) {
        match what {
            What::Arrive => self.arrive(),
            What::Flood(n) => {
                let flood = self.plan.floods[n].clone();
                for _ in 0..flood.builds {
                    let mut who = self.who(flood.class);
                    who[flood.by.0 as usize] = flood.by.1;
                    self.queue_new(flood.builder, flood.class, who);
                }
            }
            What::Come(host) => {
                let worker = self.worker();
                self.books.set_machine(worker, host, Some(Machine::Starting));
                self.tell(Event::MachineStarting { worker, host: self.host(host) });
                self.idle(worker);
            }
            What::Made(worker) => {
                let Some((host, Machine::Starting)) = self.books.machines.get(&worker).copied() else {
                    return;
                };
                if self.plan.random.one_in(self.plan.refused) {
                    let retry = self.now + self.plan.random.range(10 * SECOND, 10 * MINUTE);
                    self.books.set_machine(worker, host, None);
                    self.books.hosts[host].failed_until = Some(retry);
                    let (host, reason) = (self.host(host), "quota".to_owned());
                    self.tell(Event::CreateFailed { worker, host, reason, retry: Micros(retry) });
                } else {
                    self.idle(worker);
                }
            }
            What::Ended(build, turn) => self.ended(build, turn),
            What::Wiped(worker) => self.wiped(worker),
            What::Back(worker) => self.idle(worker),
            What::Leave(host) => {
                if let Some(worker) = self.books.hosts[host].idle.first().copied() {
                    self.books.set_machine(worker, host, Some(Machine::Away));
                    self.tell(Event::MachineAway { worker, host: self.host(host) });
                    let pause = self.plan.random.range(MINUTE, 20 * MINUTE);
                    self.after(pause, What::Back(worker));
                }
                if self.arrived < self.plan.builds {
                    let pause = self.plan.random.range(5 * MINUTE, 60 * MINUTE);
                    self.after(pause, What::Leave(host));
                }
            }
            What::Cancel(build) => self.cancel(build),
            What::Met(need) => {
                self.books.met.insert(need.clone());
                self.tell(Event::NeedMet { need, by: None });
            }
            What::Kill => self.kill(),
            What::Watch => self.watch(),
            What::Tick => {
                self.next_tick = None;
                self.books.ticked = self.now;
                self.tell(Event::Tick);
            }
        }
    }

    fn host(&self, host: usize) -> String {
        self.plan.hosts[host].name.clone()
    }

    fn worker(&mut self) -> WorkerId {
        self.names += 1;
        self.machines += 1;
        WorkerId::new(Micros(self.now), &mut name_bytes(self.names))
    }

    fn who(&mut self, class: Class) -> [usize; 2] {
        let (repos, users) = (self.plan.repos as u64, self.plan.users as u64);
        let user = if class.is_landed() { NOBODY } else { self.plan.random.below(users) as usize };
        [self.plan.random.below(repos) as usize, user]
    }

    fn arrive(&mut self) {
        self.arrived += 1;
        let builder = self.plan.random.below(self.plan.builders.len() as u64) as usize;
        let class = match self.plan.random.below(20) {
            0 => Class::Release,
            1 | 2 => Class::Interactive,
            3..=7 => Class::Try,
            8 | 9 => Class::SlowTry,
            10..=15 => Class::PostSubmit,
            _ => Class::Backfill,
        };
        let who = self.who(class);
        self.queue_new(builder, class, who);
        if self.arrived < self.plan.builds {
            let pause = self.plan.random.about(self.plan.span / self.plan.builds as i64);
            self.after(pause, What::Arrive);
        }
    }

    fn queue_new(&mut self, builder: usize, class: Class, who: [usize; 2]) {
        self.names += 1;
        let build = BuildId::new(Micros(self.now), &mut name_bytes(self.names));
        let number = self.books.builds.len() as u32;
        let plan = &mut self.plan;
        let (of_it, now) = (&plan.builders[builder], self.now);
        let random = &mut plan.random;
        let need = random.one_in(25).then(|| format!("need{number}"));
        let not_before = random.one_in(40).then(|| Micros(now + random.range(SECOND, 30 * MINUTE)));
        let request = Request {
            build,
            builder: of_it.name.clone(),
            hosts: of_it.hosts.iter().map(|host| plan.hosts[*host].name.clone()).collect(),
            class,
            priority: if random.one_in(10) { 5 } else { 0 },
            commit_time: Micros(now - random.range(0, 5 * 24 * HOUR)),
            requested: Micros(now),
            limits: of_it.limits.iter().map(|limit| plan.limits[*limit].0.clone()).collect(),
            avoid: Vec::new(),
            not_before,
            need: need.clone(),
            blocked: None,
            repo: format!("repo{}", who[0]),
            user: if who[1] == NOBODY { String::new() } else { format!("user{}", who[1]) },
            width: of_it.width,
        };
        let (met, cancelled) = (random.range(SECOND, 60 * MINUTE), random.one_in(plan.cancelled));
        let cancel = random.range(0, 60 * MINUTE);
        self.books.builds.push(Build { request, builder, who, state: State::Over, attempts: 0, turn: 0 });
        self.books.ids.insert(build, number);
        if let Some(need) = need {
            self.after(met, What::Met(need));
        }
        if cancelled {
            self.after(cancel, What::Cancel(number));
        }
        self.queue(number);
    }

    /// Queues a build, or queues it again.
    fn queue(&mut self, number: u32) {
        let build = &mut self.books.builds[number as usize];
        build.state = State::Waiting;
        build.turn += 1;
        // As the coordinator, which names a need only while it is to come.
        build.request.need = build.request.need.take().filter(|need| !self.books.met.contains(need));
        let (request, who) = (build.request.clone(), build.who);
        *self.books.pairs.entry(who).or_default() += 1;
        self.books.set_waiting(&self.plan, number, true);
        self.books.watch(&self.plan, number);
        self.tell(Event::Queued(request));
    }

    /// The build neither waits nor runs any more.
    fn leave(&mut self, number: u32) {
        let build = &mut self.books.builds[number as usize];
        build.turn += 1;
        let (was, who) = (std::mem::replace(&mut build.state, State::Over), build.who);
        if let Some(count) = self.books.pairs.get_mut(&who) {
            *count -= 1;
            if *count == 0 {
                self.books.pairs.remove(&who);
            }
        }
        match was {
            State::Waiting => self.books.set_waiting(&self.plan, number, false),
            State::Running(_) => self.books.use_slots(&self.plan, number, false),
            State::Over => {}
        }
    }

    fn idle(&mut self, worker: WorkerId) {
        let Some((host, _)) = self.books.machines.get(&worker).copied() else { return };
        self.books.set_machine(worker, host, Some(Machine::Idle));
        self.books.hosts[host].failed_until = None;
        self.tell(Event::MachineIdle { worker, host: self.host(host) });
    }

    fn ended(&mut self, number: u32, turn: u32) {
        let build = &self.books.builds[number as usize];
        let State::Running(worker) = build.state else { return };
        if build.turn != turn {
            return;
        }
        let id = build.request.build;
        let Some((host, _)) = self.books.machines.get(&worker).copied() else { return };
        let dies = self.plan.random.one_in(self.plan.dies);
        self.leave(number);
        // A fixed host's machines come back by themselves.
        let gone = dies && !self.plan.hosts[host].fixed;
        self.books.set_machine(worker, host, Some(Machine::Wiping));
        self.tell(Event::Released { build: id });
        if dies && self.books.builds[number as usize].attempts < 3 {
            let pause = self.plan.random.range(SECOND, 5 * MINUTE);
            let request = &mut self.books.builds[number as usize].request;
            request.avoid.push(worker);
            request.not_before = Some(Micros(self.now + pause));
            request.requested = Micros(self.now);
            self.queue(number);
        }
        if gone {
            self.books.set_machine(worker, host, None);
            self.tell(Event::MachineGone { worker });
        } else {
            let pause = self.plan.random.range(SECOND / 100, 10 * SECOND);
            self.after(pause, What::Wiped(worker));
        }
    }

    fn wiped(&mut self, worker: WorkerId) {
        let known = self.books.machines.get(&worker).copied();
        let Some((host, Machine::Wiping | Machine::Starting)) = known else { return };
        if self.plan.random.one_in(self.plan.aside) {
            self.books.set_machine(worker, host, Some(Machine::Aside));
            self.tell(Event::MachineSetAside { worker, host: self.host(host), why: "by hand".into() });
            let pause = self.plan.random.range(MINUTE, 2 * HOUR);
            // One that is made comes back only if there is room for it: it is gone for good.
            if self.plan.hosts[host].fixed {
                self.after(pause, What::Back(worker));
            }
        } else {
            self.idle(worker);
        }
    }

    fn cancel(&mut self, number: u32) {
        let build = &self.books.builds[number as usize];
        let id = build.request.build;
        match build.state {
            State::Waiting => {
                self.leave(number);
                self.tell(Event::Withdrawn { build: id });
            }
            State::Running(worker) => {
                self.leave(number);
                if let Some((host, _)) = self.books.machines.get(&worker).copied() {
                    self.books.set_machine(worker, host, Some(Machine::Wiping));
                }
                self.tell(Event::Released { build: id });
                self.after(SECOND, What::Wiped(worker));
            }
            State::Over => {}
        }
    }

    /// What a coordinator tells its scheduler of its configuration.
    fn configure(&mut self) {
        for (limit, max) in self.plan.limits.clone() {
            self.tell(Event::Limit { limit, max });
        }
        for (of, whose, max) in self.plan.quotas.clone() {
            let name = whose.map(|whose| format!("{}{whose}", of.as_str()));
            self.tell(Event::Quota { of, name, max: Some(max) });
        }
        for host in self.plan.hosts.clone() {
            let (host, capacity, fixed) = (host.name, host.capacity, host.fixed);
            self.tell(Event::Host { host, capacity, blocked: None, fixed });
        }
    }

    /// A coordinator dies, and another takes up what it can read back.
    fn kill(&mut self) {
        self.planner = Planner::with(self.fresh);
        self.note(|| Record::Mark(Mark::Started));
        self.books.starting_up = true;
        self.books.ticked = self.now;
        for host in &mut self.books.hosts {
            host.failed_until = None;
            host.turns.forget();
        }
        self.configure();
        let mut machines: Vec<_> =
            self.books.machines.iter().map(|(worker, known)| (*worker, *known)).collect();
        machines.sort_unstable_by_key(|(worker, _)| *worker);
        for (worker, (number, state)) in machines {
            let host = self.host(number);
            self.tell(Event::MachineStarting { worker, host: host.clone() });
            match state {
                Machine::Starting | Machine::Busy => {}
                // The coordinator is told of it as of one that comes.
                Machine::Wiping => self.books.set_machine(worker, number, Some(Machine::Starting)),
                Machine::Idle => self.tell(Event::MachineIdle { worker, host }),
                Machine::Away => self.tell(Event::MachineAway { worker, host }),
                Machine::Aside => self.tell(Event::MachineSetAside { worker, host, why: String::new() }),
            }
        }
        for number in 0..self.books.builds.len() {
            let build = &mut self.books.builds[number];
            if let State::Running(worker) = build.state
                && let Some((host, _)) = self.books.machines.get(&worker).copied()
            {
                let request = build.request.clone();
                self.tell(Event::Resumed { request, worker, host: self.host(host) });
            }
        }
        for number in 0..self.books.builds.len() {
            let build = &mut self.books.builds[number];
            if build.state == State::Waiting {
                build.request.need = build.request.need.take().filter(|need| !self.books.met.contains(need));
                self.tell(Event::Queued(self.books.builds[number].request.clone()));
            }
        }
        self.note(|| Record::Mark(Mark::Recovered));
        self.books.starting_up = false;
        self.books.check_waiting(&self.plan, self.now, true);
    }

    /// What is looked at every ten minutes only.
    fn watch(&mut self) {
        let now = self.now;
        self.books.check_waiting(&self.plan, now, true);
        for stuck in self.planner.watchdog(Micros(now)) {
            self.books.broken(now, Invariant::WatchdogQuiet, stuck.to_string());
        }
        let kept = self.planner.kept();
        let flows = self.books.pairs.len();
        let builds: u32 = self.books.pairs.values().sum();
        self.most = self.most.max(kept.builds);
        if kept.flows != flows || kept.builds != builds as usize || kept.ages > 2 * self.most + 4097 {
            let what = format!("{kept:?} for {builds} builds of {flows} pairs of repo and user");
            self.books.broken(now, Invariant::MemoryFlat, what);
        }
        if self.books.builds.len() < 2000 || self.plan.random.one_in(20) {
            self.check_why();
        }
        if !self.to_come.is_empty() {
            self.after(10 * MINUTE, What::Watch);
        }
    }

    fn check_why(&mut self) {
        let all = self.planner.waits();
        let mut wrong = None;
        for build in self.books.builds.iter().filter(|build| build.state != State::Over).take(50) {
            let id = build.request.build;
            let (one, listed) = (self.planner.why(id), all.get(&id));
            let runs = one.as_ref().is_some_and(|wait| matches!(wait.reason, Reason::Running { .. }));
            if one.is_none() || one.as_ref() != listed || runs != matches!(build.state, State::Running(_)) {
                wrong = Some(format!("{id} is {:?}: {one:?}, and in the list {listed:?}", build.state));
            }
        }
        if let Some(what) = wrong {
            self.books.broken(self.now, Invariant::WhyKnown, what);
        }
    }

    /// Tells the scheduler, and does what it says.
    fn tell(&mut self, event: Event) {
        let mut actions: VecDeque<Action> = self.step(event);
        while let Some(action) = actions.pop_front() {
            match action {
                Action::Lease { build, worker, host } => {
                    self.note(|| Record::Mark(Mark::Leased { build, worker, host: host.clone() }));
                    self.lease(build, worker, &host);
                }
                Action::Create { host, count } => {
                    let Some(number) = self.plan.hosts.iter().position(|known| known.name == host) else {
                        continue;
                    };
                    if self.books.hosts[number].failed_until.is_some_and(|until| until > self.now) {
                        let what = format!("{count} machines of {host} are asked for too early");
                        self.books.broken(self.now, Invariant::RetryKept, what);
                    }
                    for _ in 0..count {
                        let worker = self.worker();
                        self.books.set_machine(worker, number, Some(Machine::Starting));
                        actions.extend(self.step(Event::MachineStarting { worker, host: host.clone() }));
                        let pause = self.plan.random.range(5 * SECOND, 3 * MINUTE);
                        self.after(pause, What::Made(worker));
                    }
                }
                Action::Retire { worker } => match self.books.machines.get(&worker).copied() {
                    Some((host, Machine::Idle)) => self.books.set_machine(worker, host, None),
                    other => {
                        let what = format!("{worker} is sent away and is {other:?}");
                        self.books.broken(self.now, Invariant::MachineOnce, what);
                    }
                },
            }
        }
        if let Some(tick) = self.planner.next_tick()
            && self.next_tick.is_none_or(|known| known > tick.0)
        {
            self.next_tick = Some(tick.0);
            self.at(tick.0.max(self.now), What::Tick);
        }
        self.books.check_waiting(&self.plan, self.now, self.steps.is_multiple_of(256));
    }

    fn step(&mut self, event: Event) -> VecDeque<Action> {
        self.steps += 1;
        self.note(|| Record::Event(event.clone()));
        self.planner.step(Micros(self.now), event).into()
    }

    fn lease(&mut self, build: BuildId, worker: WorkerId, host: &str) {
        let number = self.books.ids.get(&build).copied();
        let host = self.plan.hosts.iter().position(|known| known.name == host);
        let (Some(number), Some(host)) = (number, host) else {
            let what = format!("{build} or {worker} is unknown");
            return self.books.broken(self.now, Invariant::LeasedOnce, what);
        };
        self.books.check_lease(&self.plan, self.now, number, worker, host);
        self.books.check_turns(&self.plan, self.now, number, host);
        if self.books.broken.is_some() {
            return;
        }
        self.books.set_waiting(&self.plan, number, false);
        self.books.use_slots(&self.plan, number, true);
        self.books.set_machine(worker, host, Some(Machine::Busy));
        let build = &mut self.books.builds[number as usize];
        build.state = State::Running(worker);
        build.attempts += 1;
        build.turn += 1;
        let turn = build.turn;
        let took = self.plan.random.about(self.plan.builders[build.builder].mean);
        self.after(took, What::Ended(number, turn));
    }
}
