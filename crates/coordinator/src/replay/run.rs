//! The replay itself: the world around a scheduler, made of what is recorded.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use store::{BuildId, Micros, WorkerId};

use super::course::{Course, Leased, Lived};
use super::guess::{CLEAN, Guess};
use super::shadow::waiting;
use super::trace::{Anchor, Deed, Step, Trace};
use crate::schedule::{Action, Event, Request, Scheduler};

mod machines;

use machines::Machine;

/// A coordinator looks four times a second whether something is due; in the mean that is so late.
const TICK: i64 = 125_000;
/// A recorded moment so much after one at which something is due is the one at which it was done.
const SOON: i64 = 500_000;
/// What is guessed comes after what is recorded, of one moment.
const GUESSED: i64 = i64::MAX / 2;

/// Another configuration than the one that was recorded.
pub trait Setting {
    /// Its hosts, limits and quotas, as a coordinator tells its scheduler of them.
    fn configuration(&self) -> Vec<Event>;

    /// What a recorded word about a host, a limit or a quota comes to, if anything.
    fn event(&self, recorded: Event) -> Option<Event>;

    /// What a recorded request comes to; `None` if nobody builds that any more.
    fn request(&self, recorded: Request) -> Option<Request>;
}

#[derive(Debug, Clone)]
enum Todo<'t> {
    Recorded(&'t Step),
    /// The attempt ends, by a guess.
    Ends(BuildId, u32),
    /// The machine is clean, or ready, by a guess.
    Clean(WorkerId),
    Tick,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    /// As the lease of that place in the course.
    Running(usize),
    Over,
}

#[derive(Debug)]
struct Build<'t> {
    request: Request,
    attempts: u32,
    state: State,
    /// To be queued again once it has ended.
    later: Option<&'t Step>,
    /// Withdrawn at this place in the order.
    withdrawn: i64,
}

struct Run<'t> {
    trace: &'t Trace,
    setting: Option<&'t dyn Setting>,
    guess: Guess,
    planner: Scheduler,
    now: i64,
    todo: BTreeMap<(i64, i64, u64), Todo<'t>>,
    order: u64,
    builds: HashMap<BuildId, Build<'t>>,
    machines: HashMap<WorkerId, Machine>,
    /// How many machines of a host were asked for.
    made: HashMap<String, usize>,
    names: u64,
    tick: Option<i64>,
    starting_up: bool,
    /// While a coordinator starts: what it has been told of.
    told: BTreeSet<BuildId>,
    course: Course,
    /// The place in the course of each attempt.
    leases: HashMap<(BuildId, u32), usize>,
    not_built: BTreeSet<BuildId>,
}

/// Replays what is recorded: as it is, or with another configuration. Returns what it came to, and the builds that nobody
/// builds any more.
#[must_use]
pub fn replay(trace: &Trace, setting: Option<&dyn Setting>) -> (Course, BTreeSet<BuildId>) {
    let mut run = Run {
        trace,
        setting,
        guess: Guess::new(trace),
        planner: Scheduler::default(),
        now: trace.begin,
        todo: BTreeMap::new(),
        order: 0,
        builds: HashMap::new(),
        machines: HashMap::new(),
        made: HashMap::new(),
        names: 0,
        tick: None,
        starting_up: false,
        told: BTreeSet::new(),
        course: Course { begin: trace.begin, end: trace.end, ..Course::default() },
        leases: HashMap::new(),
        not_built: BTreeSet::new(),
    };
    for step in &trace.outside {
        run.at(step.after, step.seq, Todo::Recorded(step));
    }
    for (when, seq) in &trace.ticks {
        run.at(*when, *seq, Todo::Tick);
    }
    if trace.doubts.no_beginning {
        run.configure();
    }
    run.run();
    (run.course, run.not_built)
}

impl<'t> Run<'t> {
    fn at(&mut self, when: i64, seq: i64, todo: Todo<'t>) {
        self.order += 1;
        self.todo.insert((when, seq, self.order), todo);
    }

    fn run(&mut self) {
        while let Some(((when, _, _), todo)) = self.todo.pop_first() {
            if when > self.trace.end {
                break;
            }
            self.now = self.now.max(when);
            match todo {
                Todo::Recorded(step) => self.deed(step),
                Todo::Ends(build, number) => self.ends(build, number),
                Todo::Clean(worker) => self.clean(worker),
                Todo::Tick => {
                    self.tick = self.tick.filter(|tick| *tick > self.now);
                    self.tell(Event::Tick);
                }
            }
        }
        let left = self.builds.iter().filter(|(_, build)| build.state == State::Waiting);
        self.course.waiting = left.map(|(id, build)| waiting(&self.planner, *id, &build.request)).collect();
        self.course.waiting.sort_unstable_by_key(|one| (one.since, one.build));
    }

    /// What follows from what happens now.
    fn follow(&mut self, anchor: Anchor) -> &'t [Step] {
        let steps: &'t [Step] = self.trace.following.get(&anchor).map_or(&[], Vec::as_slice);
        for step in steps {
            self.at(self.now + step.after, step.seq, Todo::Recorded(step));
        }
        steps
    }

    /// What the other configuration has to say at a coordinator's start.
    fn configure(&mut self) {
        for event in self.setting.map(Setting::configuration).unwrap_or_default() {
            self.tell(event);
        }
    }

    fn deed(&mut self, step: &'t Step) {
        match &step.deed {
            Deed::Queue(request) => self.queue(step, request),
            Deed::Change(request) => self.change(request),
            Deed::Withdraw(build) => self.withdraw(*build, step.seq),
            Deed::End(build, number) => self.ends(*build, *number),
            Deed::Resume(request, worker, host) => self.resume(step.anchor, request, *worker, host),
            Deed::Met(need) => self.tell(Event::NeedMet { need: need.clone(), by: None }),
            Deed::Configure(event) => {
                let event = match self.setting {
                    Some(setting) => setting.event(event.clone()),
                    None => Some(event.clone()),
                };
                if let Some(event) = event {
                    self.tell(event);
                }
            }
            Deed::Machine(worker, host, turn) => self.machine(step.anchor, *worker, host, turn),
            Deed::Started => {
                (self.planner, self.starting_up, self.tick) = (Scheduler::default(), true, None);
                self.told.clear();
                self.machines.values_mut().for_each(|machine| machine.told = false);
                self.configure();
            }
            Deed::Recovered => self.recovered(),
        }
    }

    /// The recorded request, as things are here and now.
    fn request(&self, step: &Step, recorded: &Request) -> Option<Request> {
        let (build, shift) = (recorded.build, self.now - step.was);
        // It ran on other machines here.
        let elsewhere = |worker: &WorkerId| {
            let attempts = self.builds.get(&build)?.attempts;
            let number = self.guess.attempt_on(build, attempts, *worker)?;
            let at = *self.leases.get(&(build, number))?;
            Some(self.course.leases.get(at)?.worker)
        };
        let avoid = recorded.avoid.iter().map(|worker| elsewhere(worker).unwrap_or(*worker)).collect();
        let later = |when: Micros| Micros(when.0 + shift);
        let request = Request {
            requested: later(recorded.requested),
            not_before: recorded.not_before.map(later),
            avoid,
            ..recorded.clone()
        };
        match self.setting {
            Some(setting) => setting.request(request),
            None => Some(request),
        }
    }

    fn queue(&mut self, step: &'t Step, recorded: &Request) {
        let id = recorded.build;
        if let Some(build) = self.builds.get_mut(&id) {
            match build.state {
                _ if step.seq < build.withdrawn => return,
                State::Running(_) => {
                    build.later = Some(step);
                    return;
                }
                State::Waiting => return self.change(recorded),
                State::Over => {}
            }
        }
        let Some(request) = self.request(step, recorded) else {
            self.not_built.insert(id);
            return;
        };
        self.course.asked.entry(id).or_insert(request.requested.0);
        let attempts = self.builds.get(&id).map_or(0, |build| build.attempts);
        self.told.insert(id);
        let state = State::Waiting;
        let build = Build { request: request.clone(), attempts, state, later: None, withdrawn: 0 };
        self.builds.insert(id, build);
        self.tell(Event::Queued(request));
    }

    /// A build that waits stands otherwise; while a coordinator starts, it is told of one that there is.
    fn change(&mut self, recorded: &Request) {
        let Some(build) = self.builds.get(&recorded.build) else { return };
        match build.state {
            State::Running(at) => return self.announce(recorded.build, at),
            State::Over => return,
            State::Waiting => {}
        }
        let here = &build.request;
        let moved = here.requested != recorded.requested;
        let request = match moved {
            true => Request {
                requested: here.requested,
                not_before: here.not_before,
                avoid: here.avoid.clone(),
                ..recorded.clone()
            },
            false => recorded.clone(),
        };
        let request = match self.setting {
            Some(setting) => setting.request(request),
            None => Some(request),
        };
        let Some(request) = request else { return };
        let known = self.setting.is_some() && !self.starting_up && *here == request;
        self.told.insert(recorded.build);
        if let Some(build) = self.builds.get_mut(&recorded.build) {
            build.request = request.clone();
        }
        if !known {
            self.tell(Event::Queued(request));
        }
    }

    /// A coordinator that starts takes up a build under way.
    fn announce(&mut self, id: BuildId, at: usize) {
        let (Some(build), Some(lease)) = (self.builds.get(&id), self.course.leases.get(at)) else { return };
        if !self.starting_up || !self.told.insert(id) {
            return;
        }
        let (worker, host) = (lease.worker, lease.host.clone());
        if let Some(machine) = self.machines.get_mut(&worker) {
            machine.told = true;
        }
        self.tell(Event::Resumed { request: build.request.clone(), worker, host });
    }

    fn withdraw(&mut self, id: BuildId, seq: i64) {
        let Some(build) = self.builds.get_mut(&id) else { return };
        (build.withdrawn, build.later) = (seq, None);
        match build.state {
            State::Waiting => {
                build.state = State::Over;
                *self.course.withdrawn.entry(build.request.class).or_default() += 1;
                self.tell(Event::Withdrawn { build: id });
            }
            State::Running(_) => {
                let number = build.attempts;
                self.ends(id, number);
            }
            State::Over => {}
        }
    }

    fn resume(&mut self, anchor: Anchor, request: &Request, worker: WorkerId, host: &str) {
        let id = request.build;
        match self.builds.get(&id).map(|build| build.state) {
            Some(State::Running(at)) => return self.announce(id, at),
            Some(State::Waiting) => return self.change(request),
            Some(State::Over) => return,
            None => {}
        }
        let (worker, host) = match anchor {
            Anchor::End(build, number) => {
                let before = self.leases.get(&(build, number)).and_then(|at| self.course.leases.get(*at));
                before.map_or((worker, host.to_owned()), |before| (before.worker, before.host.clone()))
            }
            _ => (worker, host.to_owned()),
        };
        self.join(worker, &host);
        let request = Request { requested: Micros(self.now), ..request.clone() };
        let build =
            Build { request: request.clone(), attempts: 0, state: State::Waiting, later: None, withdrawn: 0 };
        self.builds.insert(id, build);
        self.course.asked.insert(id, self.now);
        self.told.insert(id);
        self.lease(id, worker, host.clone());
        self.tell(Event::Resumed { request, worker, host });
    }

    fn ends(&mut self, id: BuildId, number: u32) {
        let Some(build) = self.builds.get_mut(&id) else { return };
        let State::Running(at) = build.state else { return };
        let Some(lease) = self.course.leases.get_mut(at).filter(|_| build.attempts == number) else { return };
        lease.ended = Some(self.now);
        build.state = State::Over;
        let (worker, later) = (lease.worker, build.later.take());
        self.let_go(worker);
        self.tell(Event::Released { build: id });
        let steps = self.follow(Anchor::End(id, number));
        let tells = |step: &Step| matches!(step.deed, Deed::Machine(..) | Deed::Resume(..));
        if !steps.iter().any(tells) {
            self.at(self.now + CLEAN, GUESSED, Todo::Clean(worker));
        }
        if let Some(step) = later {
            self.at(self.now, step.seq, Todo::Recorded(step));
        }
    }

    /// Tells the scheduler, and does what it says.
    fn tell(&mut self, event: Event) {
        let mut actions: VecDeque<Action> = self.planner.step(Micros(self.now), event).into();
        while let Some(action) = actions.pop_front() {
            match action {
                Action::Lease { build, worker, host } => self.lease(build, worker, host),
                Action::Create { host, count } => {
                    for _ in 0..count {
                        let worker = self.make(&host);
                        let event = Event::MachineStarting { worker, host: host.clone() };
                        actions.extend(self.planner.step(Micros(self.now), event));
                    }
                }
                Action::Retire { worker } => {
                    self.gone(worker);
                    actions.extend(self.planner.step(Micros(self.now), Event::MachineGone { worker }));
                }
            }
        }
        let due = self.planner.next_tick().map(|due| due.0.max(self.now));
        if let Some(due) = due.filter(|due| self.tick.is_none_or(|known| known > *due)) {
            let from = self.trace.ticks.partition_point(|(when, _)| *when < due);
            let recorded = self.trace.ticks.get(from).filter(|(when, _)| *when <= due + SOON);
            // A recorded one comes by itself.
            let when = recorded.map_or(due + TICK, |(when, _)| *when);
            if recorded.is_none() {
                self.at(when, GUESSED, Todo::Tick);
            }
            self.tick = Some(when);
        }
    }

    fn lease(&mut self, id: BuildId, worker: WorkerId, host: String) {
        let Some(build) = self.builds.get_mut(&id) else { return };
        build.attempts += 1;
        let (number, at) = (build.attempts, self.course.leases.len());
        build.state = State::Running(at);
        let request = &build.request;
        let guessed = !self.guess.is_known(id, number);
        self.course.leases.push(Leased {
            build: id,
            number,
            builder: request.builder.clone(),
            repo: request.repo.clone(),
            class: request.class,
            host,
            worker,
            requested: request.requested.0,
            leased: self.now,
            ended: None,
            guessed,
        });
        self.leases.insert((id, number), at);
        let took = self.guess.build(&request.builder);
        self.take(worker);
        self.follow(Anchor::Lease(id, number));
        if guessed {
            self.at(self.now + took, GUESSED, Todo::Ends(id, number));
        }
    }

    fn recovered(&mut self) {
        // What stands otherwise here than when it was recorded.
        let mut untold: Vec<_> = self.builds.iter().map(|(id, build)| (*id, build.state)).collect();
        untold.retain(|(id, state)| *state != State::Over && !self.told.contains(id));
        untold.sort_unstable_by_key(|(id, _)| *id);
        for (id, state) in untold {
            match state {
                State::Running(at) => self.announce(id, at),
                State::Waiting => {
                    let request = self.builds.get(&id).map(|build| build.request.clone());
                    request.into_iter().for_each(|request| self.tell(Event::Queued(request)));
                }
                State::Over => {}
            }
        }
        self.announce_machines();
        self.starting_up = false;
    }

    fn lived(&mut self, host: &str) -> usize {
        self.course.machines.push(Lived { host: host.to_owned(), from: self.now, to: None });
        self.course.machines.len() - 1
    }
}
