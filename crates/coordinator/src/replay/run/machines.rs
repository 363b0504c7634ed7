//! The machines of a replay.

use store::{Micros, WorkerId};

use super::{GUESSED, Run, Todo};
use crate::replay::trace::{Anchor, Turn};
use crate::schedule::Event;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Now {
    Starting,
    Idle,
    Busy,
    /// What it did has ended.
    After,
    /// Away or set aside.
    Out,
}

#[derive(Debug)]
pub(super) struct Machine {
    host: String,
    now: Now,
    /// What comes of it once its build has ended.
    then: Option<Turn>,
    /// Its place in the course.
    life: usize,
    /// Whether the coordinator that starts was told of it.
    pub(super) told: bool,
}

impl Run<'_> {
    /// The scheduler asked for a machine.
    pub(super) fn make(&mut self, host: &str) -> WorkerId {
        let count = self.made.entry(host.to_owned()).or_default();
        let recorded = self.trace.made.get(host).and_then(|made| made.get(*count)).copied();
        *count += 1;
        let worker = recorded.unwrap_or_else(|| {
            self.names += 1;
            let number = self.names;
            WorkerId::new(Micros(self.now), &mut |to| {
                to.fill(0xff);
                for (to, byte) in to.iter_mut().rev().zip(number.to_le_bytes()) {
                    *to = byte;
                }
            })
        });
        let life = self.lived(host);
        let machine = Machine { host: host.to_owned(), now: Now::Starting, then: None, life, told: true };
        self.machines.insert(worker, machine);
        match recorded {
            Some(_) => drop(self.follow(Anchor::Made(worker)).len()),
            None => self.at(self.now + self.guess.boot(host), GUESSED, Todo::Clean(worker)),
        }
        worker
    }

    /// A machine that is held when nothing is known of it yet.
    pub(super) fn join(&mut self, worker: WorkerId, host: &str) {
        if !self.machines.contains_key(&worker) {
            let life = self.lived(host);
            let machine = Machine { host: host.to_owned(), now: Now::Starting, then: None, life, told: true };
            self.machines.insert(worker, machine);
        }
    }

    /// It is given to a build.
    pub(super) fn take(&mut self, worker: WorkerId) {
        if let Some(machine) = self.machines.get_mut(&worker) {
            (machine.now, machine.told) = (Now::Busy, true);
        }
    }

    /// Its build has ended.
    pub(super) fn let_go(&mut self, worker: WorkerId) {
        if let Some(machine) = self.machines.get_mut(&worker) {
            machine.now = Now::After;
        }
    }

    pub(super) fn gone(&mut self, worker: WorkerId) {
        let Some(machine) = self.machines.remove(&worker) else { return };
        if let Some(life) = self.course.machines.get_mut(machine.life) {
            life.to = Some(self.now);
        }
    }

    /// It is ready, or clean, by a guess.
    pub(super) fn clean(&mut self, worker: WorkerId) {
        let Some(machine) = self.machines.get_mut(&worker) else { return };
        let turn = match machine.now {
            Now::After if self.guess.is_used_once(&machine.host) => Turn::Gone,
            Now::After => machine.then.take().unwrap_or(Turn::Idle),
            Now::Starting => Turn::Idle,
            Now::Idle | Now::Busy | Now::Out => return,
        };
        self.turn(worker, &turn);
    }

    pub(super) fn machine(&mut self, anchor: Anchor, recorded: WorkerId, host: &str, turn: &Turn) {
        let worker = match anchor {
            Anchor::Outside | Anchor::Made(_) => recorded,
            Anchor::Lease(build, number) | Anchor::End(build, number) => {
                let at = self.leases.get(&(build, number));
                at.and_then(|at| self.course.leases.get(*at)).map_or(recorded, |lease| lease.worker)
            }
        };
        let outside = anchor == Anchor::Outside;
        let Some(machine) = self.machines.get_mut(&worker) else {
            // One that is not asked for until later is not there to do anything.
            let comes = outside && !self.guess.was_made(worker) && !matches!(turn, Turn::Gone);
            if comes {
                self.join(worker, host);
                self.turn(worker, turn);
            }
            return;
        };
        machine.told = true;
        match (machine.now, turn) {
            // It may have been given something else here, or be still at it.
            (Now::Busy | Now::After, Turn::Starting) => {
                let host = machine.host.clone();
                self.tell(Event::MachineStarting { worker, host });
            }
            (Now::Busy | Now::After, Turn::Idle) if outside => machine.then = None,
            (Now::Busy | Now::After, _) if outside => machine.then = Some(turn.clone()),
            (Now::Busy, Turn::Idle | Turn::Away | Turn::Aside(_)) => {}
            (Now::After, Turn::Idle) => {
                let turn = machine.then.take().unwrap_or(Turn::Idle);
                self.turn(worker, &turn);
            }
            _ => self.turn(worker, turn),
        }
    }

    fn turn(&mut self, worker: WorkerId, turn: &Turn) {
        let Some(machine) = self.machines.get_mut(&worker) else { return };
        let host = machine.host.clone();
        let mut now = |state| machine.now = state;
        match turn {
            Turn::Starting => {
                now(Now::Starting);
                self.tell(Event::MachineStarting { worker, host });
            }
            Turn::Idle => {
                now(Now::Idle);
                self.tell(Event::MachineIdle { worker, host });
            }
            Turn::Away => {
                now(Now::Out);
                self.tell(Event::MachineAway { worker, host });
            }
            Turn::Aside(why) => {
                now(Now::Out);
                self.tell(Event::MachineSetAside { worker, host, why: why.clone() });
            }
            Turn::Gone => {
                self.gone(worker);
                self.tell(Event::MachineGone { worker });
            }
            Turn::Failed(reason, after) => {
                self.gone(worker);
                let retry = Micros(self.now + after);
                self.tell(Event::CreateFailed { worker, host, reason: reason.clone(), retry });
            }
        }
    }

    /// Tells a coordinator that starts of machines that it was not told of.
    pub(super) fn announce_machines(&mut self) {
        let untold = self.machines.iter().filter(|(_, machine)| !machine.told);
        let mut untold: Vec<_> =
            untold.map(|(worker, machine)| (*worker, machine.host.clone(), machine.now)).collect();
        untold.sort_unstable_by_key(|(worker, ..)| *worker);
        for (worker, host, now) in untold {
            self.tell(Event::MachineStarting { worker, host: host.clone() });
            match now {
                Now::Idle => self.tell(Event::MachineIdle { worker, host }),
                Now::Out => self.tell(Event::MachineAway { worker, host }),
                Now::Starting | Now::Busy | Now::After => {}
            }
        }
    }
}
