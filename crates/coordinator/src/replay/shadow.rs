//! Reads what is recorded, in its order, with a scheduler beside it that says what it was that it decided.

use std::collections::{BTreeSet, HashMap};

use store::{BuildId, Micros, WorkerId};

use super::course::{Leased, Lived, Waiting};
use super::record::{Mark, Record, Recorded};
use super::trace::{Anchor, Deed, Step, Trace, Turn};
use crate::schedule::{Action, Event, Reason, Request, Scheduler};

/// What is queued again within so long after its end is so because of it; later it is somebody's word.
const BECAUSE: i64 = 3_600_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    /// On this machine, as the lease of that place in the course.
    Running(WorkerId, usize),
    Ended(i64),
    Over,
}

#[derive(Debug)]
struct Past {
    request: Request,
    attempts: u32,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Now {
    Booting,
    Busy(BuildId, u32),
    /// After an attempt's end; when that was.
    After(BuildId, u32, i64),
    Other,
}

#[derive(Debug)]
struct Machine {
    host: String,
    /// Its place in the course.
    life: usize,
    now: Now,
    /// When it was asked for.
    made: i64,
}

#[derive(Debug, Default)]
pub(super) struct Shadow {
    trace: Trace,
    planner: Scheduler,
    now: i64,
    seq: i64,
    begun: bool,
    /// Whether leases are recorded.
    marked: bool,
    starting_up: bool,
    builds: HashMap<BuildId, Past>,
    machines: HashMap<WorkerId, Machine>,
    /// Machines that the scheduler has asked for and that were not announced yet, by host.
    wished: HashMap<String, u32>,
    /// Leases that the scheduler decided and that are not recorded yet.
    decided: HashMap<BuildId, WorkerId>,
    /// While a coordinator starts: what it has not told of.
    untold: (BTreeSet<BuildId>, BTreeSet<WorkerId>),
}

impl Shadow {
    pub(super) fn take(&mut self, recorded: Recorded) {
        // A clock that jumped back stood still.
        self.now = self.now.max(recorded.time.0);
        self.seq = recorded.seq;
        if !self.begun {
            self.begun = true;
            (self.trace.begin, self.trace.course.begin) = (self.now, self.now);
            self.trace.doubts.no_beginning = recorded.what != Record::Mark(Mark::Started);
        }
        match recorded.what {
            Record::Mark(Mark::Started) => self.started(),
            Record::Mark(Mark::Recovered) => self.recovered(),
            Record::Mark(Mark::Leased { build, worker, host }) => {
                if self.decided.remove(&build) != Some(worker) {
                    self.trace.doubts.strange_leases += 1;
                }
                self.leased(build, worker, &host);
            }
            Record::Event(event) => {
                self.event(&event);
                for action in self.planner.step(Micros(self.now), event) {
                    match action {
                        Action::Lease { build, worker, .. } if self.marked => {
                            self.decided.insert(build, worker);
                        }
                        Action::Lease { build, worker, host } => {
                            self.trace.doubts.inferred_leases += 1;
                            self.leased(build, worker, &host);
                        }
                        Action::Create { host, count } => *self.wished.entry(host).or_default() += count,
                        // Where nothing changes the scheduler decides it again.
                        Action::Retire { worker } => self.gone(worker),
                    }
                }
            }
        }
    }

    fn step(&mut self, anchor: Anchor, after: i64, deed: Deed) {
        let step = Step { anchor, after, was: self.now, seq: self.seq, deed };
        match anchor {
            Anchor::Outside => self.trace.outside.push(step),
            _ => self.trace.following.entry(anchor).or_default().push(step),
        }
    }

    fn outside(&mut self, deed: Deed) {
        self.step(Anchor::Outside, self.now, deed);
    }

    fn started(&mut self) {
        (self.planner, self.marked, self.starting_up) = (Scheduler::default(), true, true);
        self.wished.clear();
        self.decided.clear();
        let open = |past: &Past| matches!(past.state, State::Waiting | State::Running(..));
        let builds = self.builds.iter().filter(|(_, past)| open(past)).map(|(build, _)| *build).collect();
        self.untold = (builds, self.machines.keys().copied().collect());
        self.outside(Deed::Started);
    }

    fn recovered(&mut self) {
        self.starting_up = false;
        let (builds, machines) = std::mem::take(&mut self.untold);
        // What it did not tell of ended while there was no coordinator.
        for build in builds {
            match self.builds.get(&build).map(|past| past.state) {
                Some(State::Running(..)) => self.ended(build),
                _ => self.withdrawn(build),
            }
        }
        for worker in machines {
            let Some(machine) = self.machines.get(&worker) else { continue };
            if !matches!(machine.now, Now::Busy(..)) {
                let host = machine.host.clone();
                self.machine(worker, &host, Turn::Gone);
            }
        }
        self.outside(Deed::Recovered);
    }

    fn leased(&mut self, build: BuildId, worker: WorkerId, host: &str) {
        let Some(past) = self.builds.get_mut(&build) else {
            self.trace.doubts.strange += 1;
            return;
        };
        past.attempts += 1;
        let (number, request) = (past.attempts, &past.request);
        past.state = State::Running(worker, self.trace.course.leases.len());
        self.trace.course.leases.push(Leased {
            build,
            number,
            builder: request.builder.clone(),
            repo: request.repo.clone(),
            class: request.class,
            host: host.to_owned(),
            worker,
            requested: request.requested.0,
            leased: self.now,
            ended: None,
            guessed: false,
        });
        if let Some(machine) = self.machines.get_mut(&worker) {
            machine.now = Now::Busy(build, number);
        }
    }

    /// The build's attempt ends.
    fn ended(&mut self, build: BuildId) {
        let Some(past) = self.builds.get_mut(&build) else { return };
        let State::Running(worker, at) = past.state else { return };
        let number = past.attempts;
        past.state = State::Ended(self.now);
        let Some(lease) = self.trace.course.leases.get_mut(at) else { return };
        lease.ended = Some(self.now);
        let after = self.now - lease.leased;
        if let Some(machine) = self.machines.get_mut(&worker) {
            machine.now = Now::After(build, number, self.now);
        }
        self.step(Anchor::Lease(build, number), after, Deed::End(build, number));
    }

    fn withdrawn(&mut self, build: BuildId) {
        let Some(past) = self.builds.get_mut(&build) else { return };
        past.state = State::Over;
        *self.trace.course.withdrawn.entry(past.request.class).or_default() += 1;
        self.outside(Deed::Withdraw(build));
    }

    fn event(&mut self, event: &Event) {
        match event {
            Event::Queued(request) => self.queued(request),
            Event::Withdrawn { build } | Event::Released { build } => {
                self.untold.0.remove(build);
                self.decided.remove(build);
                match self.builds.get(build).map(|past| past.state) {
                    Some(State::Running(..)) => self.ended(*build),
                    Some(State::Waiting) => self.withdrawn(*build),
                    _ => self.trace.doubts.strange += 1,
                }
            }
            Event::Resumed { request, worker, host } => self.resumed(request, *worker, host),
            Event::Host { .. } | Event::Limit { .. } | Event::Quota { .. } => {
                self.outside(Deed::Configure(event.clone()));
            }
            Event::MachineStarting { worker, host } => self.starting(*worker, host),
            Event::MachineIdle { worker, host } => self.machine(*worker, host, Turn::Idle),
            Event::MachineAway { worker, host } => self.machine(*worker, host, Turn::Away),
            Event::MachineSetAside { worker, host, why } => {
                self.machine(*worker, host, Turn::Aside(why.clone()));
            }
            Event::MachineGone { worker } => {
                if let Some(host) = self.machines.get(worker).map(|known| known.host.clone()) {
                    self.machine(*worker, &host, Turn::Gone);
                }
            }
            Event::CreateFailed { worker, host, reason, retry } => {
                self.machine(*worker, host, Turn::Failed(reason.clone(), retry.0 - self.now));
            }
            Event::NeedMet { need, by } => {
                let by = by.and_then(|by| Some((by, self.builds.get(&by)?)));
                let deed = Deed::Met(need.clone());
                match by.map(|(by, past)| (by, past.attempts, past.state)) {
                    Some((by, number, State::Running(_, at))) => {
                        let leased = self.trace.course.leases.get(at).map_or(self.now, |one| one.leased);
                        self.step(Anchor::Lease(by, number), self.now - leased, deed);
                    }
                    Some((by, number, State::Ended(when))) if number > 0 => {
                        self.step(Anchor::End(by, number), self.now - when, deed);
                    }
                    _ => self.outside(deed),
                }
            }
            Event::Tick => self.trace.ticks.push((self.now, self.seq)),
        }
    }

    fn queued(&mut self, request: &Request) {
        let build = request.build;
        self.untold.0.remove(&build);
        self.decided.remove(&build);
        // It was given a machine and could not be begun.
        self.ended(build);
        let Some(past) = self.builds.get_mut(&build) else {
            self.builds.insert(build, Past { request: request.clone(), attempts: 0, state: State::Waiting });
            self.trace.course.asked.insert(build, request.requested.0);
            return self.outside(Deed::Queue(request.clone()));
        };
        let (number, was) = (past.attempts, std::mem::replace(&mut past.state, State::Waiting));
        past.request = request.clone();
        match was {
            State::Waiting => self.outside(Deed::Change(request.clone())),
            State::Ended(when) if self.now - when <= BECAUSE => {
                self.step(Anchor::End(build, number), self.now - when, Deed::Queue(request.clone()));
            }
            _ => self.outside(Deed::Queue(request.clone())),
        }
    }

    fn resumed(&mut self, request: &Request, worker: WorkerId, host: &str) {
        let build = request.build;
        self.untold.0.remove(&build);
        self.untold.1.remove(&worker);
        let deed = Deed::Resume(request.clone(), worker, host.to_owned());
        if self.builds.get(&build).is_some_and(|past| matches!(past.state, State::Running(..))) {
            return self.outside(deed);
        }
        let after = self.machines.get(&worker).map(|machine| machine.now);
        // Nothing is known of how long it waited.
        let request = Request { requested: Micros(self.now), ..request.clone() };
        let past = Past { request, attempts: 0, state: State::Waiting };
        self.builds.insert(build, past);
        self.trace.course.asked.insert(build, self.now);
        match after {
            Some(Now::After(one, number, when)) => self.step(Anchor::End(one, number), self.now - when, deed),
            _ => self.outside(deed),
        }
        self.come(worker, host);
        self.leased(build, worker, host);
    }

    fn come(&mut self, worker: WorkerId, host: &str) {
        let (lives, now) = (&mut self.trace.course.machines, self.now);
        self.machines.entry(worker).or_insert_with(|| {
            lives.push(Lived { host: host.to_owned(), from: now, to: None });
            Machine { host: host.to_owned(), life: lives.len() - 1, now: Now::Other, made: now }
        });
    }

    fn gone(&mut self, worker: WorkerId) {
        let Some(machine) = self.machines.remove(&worker) else { return };
        if let Some(life) = self.trace.course.machines.get_mut(machine.life) {
            life.to = Some(self.now);
        }
    }

    fn starting(&mut self, worker: WorkerId, host: &str) {
        self.untold.1.remove(&worker);
        if let Some(known) = self.machines.get_mut(&worker) {
            if !matches!(known.now, Now::Busy(..) | Now::After(..)) {
                known.now = Now::Other;
            }
            return self.outside(Deed::Machine(worker, host.to_owned(), Turn::Starting));
        }
        self.come(worker, host);
        match self.wished.get_mut(host).filter(|wished| **wished > 0 && !self.starting_up) {
            Some(wished) => {
                *wished -= 1;
                self.trace.made.entry(host.to_owned()).or_default().push(worker);
                if let Some(machine) = self.machines.get_mut(&worker) {
                    machine.now = Now::Booting;
                }
            }
            None => self.outside(Deed::Machine(worker, host.to_owned(), Turn::Starting)),
        }
    }

    fn machine(&mut self, worker: WorkerId, host: &str, turn: Turn) {
        self.untold.1.remove(&worker);
        self.come(worker, host);
        let Some(machine) = self.machines.get_mut(&worker) else { return };
        let (now, made) = (machine.now, machine.made);
        let busy = matches!(now, Now::Busy(..));
        if !busy {
            machine.now = Now::Other;
        }
        let (gone, deed) =
            (matches!(turn, Turn::Gone | Turn::Failed(..)), Deed::Machine(worker, host.to_owned(), turn));
        match now {
            Now::Booting => self.step(Anchor::Made(worker), self.now - made, deed),
            Now::After(build, number, when) => self.step(Anchor::End(build, number), self.now - when, deed),
            Now::Busy(build, number) if gone => {
                let running = self.builds.get(&build).map(|past| past.state);
                let at = if let Some(State::Running(_, at)) = running { at } else { usize::MAX };
                let leased = self.trace.course.leases.get(at).map_or(self.now, |one| one.leased);
                self.step(Anchor::Lease(build, number), self.now - leased, deed);
            }
            Now::Busy(..) | Now::Other => self.outside(deed),
        }
        if gone {
            self.gone(worker);
        }
    }

    pub(super) fn finish(mut self) -> Trace {
        let course = &mut self.trace.course;
        (self.trace.end, course.end) = (self.now, self.now);
        for (build, past) in self.builds.iter().filter(|(_, past)| past.state == State::Waiting) {
            course.waiting.push(waiting(&self.planner, *build, &past.request));
        }
        course.waiting.sort_unstable_by_key(|one| (one.since, one.build));
        self.trace
    }
}

/// What is told of a build that waits.
pub(super) fn waiting(planner: &Scheduler, build: BuildId, request: &Request) -> Waiting {
    let wait = planner.why(build);
    let for_ever = wait.as_ref().is_some_and(|wait| matches!(wait.reason, Reason::Blocked { .. }));
    Waiting {
        build,
        builder: request.builder.clone(),
        repo: request.repo.clone(),
        class: request.class,
        since: request.requested.0,
        why: wait.map(|wait| wait.reason.to_string()).unwrap_or_default(),
        for_ever,
    }
}
