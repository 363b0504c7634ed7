//! What the core does with machines: asks for them, hears of them, and tells the scheduler which may be given builds.

use std::sync::Arc;
use std::time::Duration;

use store::{Micros, WorkerId, workers};

use super::Core;
use crate::clock::new_id;
use crate::journal::Note;
use crate::pool::{Address, Ask, Machine, Pool, PoolError, PoolEvent};
use crate::schedule::Event;

pub(super) struct Worker {
    pub(super) host: String,
    pub(super) pool: Arc<dyn Pool>,
    pub(super) machine: Option<Machine>,
    pub(super) state: &'static str,
    pub(super) reason: Option<String>,
    pub(super) created: Micros,
    /// Whether it can't be reached for now.
    pub(super) away: bool,
    /// Whether it is set aside by somebody's word, and clean.
    pub(super) by_person: bool,
    /// Why it goes once it has done what it does.
    pub(super) leaves: Option<String>,
    /// When somebody else came last with what only it knows.
    pub(super) doubled: Option<Micros>,
}

impl Worker {
    pub(super) fn starting(host: &str, pool: &Arc<dyn Pool>, created: Micros) -> Worker {
        let (host, pool) = (host.to_owned(), Arc::clone(pool));
        let state = "starting";
        Worker {
            host,
            pool,
            machine: None,
            state,
            reason: None,
            created,
            away: false,
            by_person: false,
            leaves: None,
            doubled: None,
        }
    }

    /// What it calls itself; its id, if the server has made it.
    pub(super) fn called(&self, id: WorkerId) -> String {
        match self.machine.as_ref().and_then(|machine| machine.address.as_ref()) {
            Some(Address::Reverse { name, .. } | Address::Original { name, .. }) => name.clone(),
            _ => id.to_string(),
        }
    }
}

impl Core {
    /// How many machines of a host there are that can be given builds, or are at one.
    pub(super) fn machines(&self, host: &str) -> u32 {
        let counts = |worker: &&Worker| worker.host == host && !matches!(worker.state, "set_aside" | "away");
        let of_host = self.workers.values().filter(counts);
        u32::try_from(of_host.count()).unwrap_or(u32::MAX)
    }

    /// Tells the scheduler of a host: how many machines it may have, or why none.
    pub(super) fn tell_host(&mut self, host: &buildenv::Host) {
        let pool = host.pool.as_str();
        let blocked = match (self.pools.contains_key(pool), self.draining) {
            (_, true) => Some("the server is going down".to_owned()),
            (false, _) => Some(format!("pool {pool} is not available on this server")),
            _ => None,
        };
        let capacity = match host.pool {
            // None is ever made: there are as many as have come, and are here.
            buildenv::Pool::Reverse => self.machines(host.name.as_str()),
            _ => host.capacity.unwrap_or(self.capacity),
        };
        let fixed = host.pool == buildenv::Pool::Reverse;
        self.apply(Event::Host { host: host.name.to_string(), capacity, blocked, fixed });
    }

    /// Tells the scheduler how many machines of a host there are now, where they come by themselves.
    pub(super) fn recount(&mut self, host: &str) {
        let config = Arc::clone(&self.config.borrow());
        let known = config.hosts().iter().find(|known| known.name.as_str() == host);
        if let Some(known) = known.filter(|known| known.pool == buildenv::Pool::Reverse) {
            self.tell_host(known);
        }
    }

    /// A machine is clean and free; it counts if it can be reached, and nobody keeps it from work.
    pub(super) fn idle(&mut self, worker: WorkerId) {
        if self.let_go(worker) {
            return;
        }
        if let Some(words) = self.aside_of(worker).map(ToString::to_string) {
            return self.keep_aside(worker, words);
        }
        let Some(known) = self.workers.get_mut(&worker) else { return };
        (known.reason, known.by_person) = (None, false);
        let host = known.host.clone();
        if known.away {
            known.state = "away";
            // First: its place is not one to make another machine for.
            self.recount(&host);
            self.apply(Event::MachineAway { worker, host });
        } else {
            known.state = "idle";
            self.apply(Event::MachineIdle { worker, host: host.clone() });
            self.recount(&host);
        }
    }

    /// A machine can't be reached for now, or can be again. What it does goes on, and whoever holds it waits.
    pub(super) fn away(&mut self, worker: WorkerId, away: bool) {
        let Some(known) = self.workers.get_mut(&worker) else { return };
        known.away = away;
        if matches!(known.state, "idle" | "away") {
            self.idle(worker);
        }
    }

    /// A machine is to go once it has done what it does, or may stay after all.
    fn leaves(&mut self, worker: WorkerId, reason: Option<String>) {
        let Some(known) = self.workers.get_mut(&worker) else { return };
        if known.leaves == reason {
            return;
        }
        let (host, machine) = (known.host.clone(), known.called(worker));
        match &reason {
            Some(reason) => {
                tracing::warn!(%worker, host, machine, reason, "a machine is let go once it has done what it does")
            }
            None => tracing::info!(%worker, host, machine, "a machine may stay"),
        }
        known.leaves = reason;
        // One that starts is looked at when it is ready.
        if !matches!(known.state, "busy" | "starting") {
            self.let_go(worker);
        }
    }

    /// Ends a machine that does nothing, if it is to go.
    pub(super) fn let_go(&mut self, worker: WorkerId) -> bool {
        let leaves = self.workers.get(&worker).and_then(|known| known.leaves.clone());
        let Some(reason) = leaves else { return false };
        self.end(worker, format!("it was let go: {reason}"));
        true
    }

    pub(super) fn set_state(&mut self, worker: WorkerId, state: &'static str, reason: Option<String>) {
        if let Some(known) = self.workers.get_mut(&worker) {
            (known.state, known.reason) = (state, reason);
        }
    }

    /// A machine is no more: tells the driver that holds it, and its pool to clean up.
    pub(super) fn forget(&mut self, worker: WorkerId, reason: String) {
        if self.workers.contains_key(&worker) {
            self.shared.measures.machine_lost();
        }
        self.end(worker, reason);
    }

    /// As [`Core::forget`], of one that has done what it was for.
    pub(super) fn end(&mut self, worker: WorkerId, reason: String) {
        for running in self.running.values().filter(|running| running.worker == worker) {
            running.gone.cancel();
        }
        for (_, gone) in self.held.values().filter(|(held, _)| *held == worker) {
            gone.cancel();
        }
        // Also one that was gone before this coordinator came, which a resumed attempt still held: it takes no place.
        let known = self.workers.remove(&worker);
        if let Some(known) = &known {
            // First: its place is not one to make another machine for.
            self.recount(&known.host);
        }
        self.apply(Event::MachineGone { worker });
        let Some(known) = known else { return };
        tracing::info!(%worker, host = known.host, reason, "a machine is gone");
        self.journal.note(Note::WorkerGone(self.now(), worker, reason));
        let pool = known.pool;
        self.tasks.spawn(async move {
            if let Err(error) = pool.ask(Ask::Delete { name: worker }).await {
                tracing::warn!(%worker, %error, "a machine could not be deleted; the next start finds it");
            }
        });
    }

    /// Whether a machine is ended after the work that it has.
    pub(super) fn is_used_once(&self, worker: WorkerId) -> bool {
        self.workers.get(&worker).is_some_and(|known| known.pool.once(&known.host))
    }

    pub(super) fn create(&mut self, host: &str, count: u32) {
        let config = Arc::clone(&self.config.borrow());
        let pool = config.hosts().iter().find(|known| known.name.as_str() == host);
        let Some(pool) = pool.and_then(|known| self.pools.get(known.pool.as_str())).cloned() else { return };
        for _ in 0..count {
            let clock = Arc::clone(self.shared.ledger.clock());
            let name = new_id!(WorkerId, *clock);
            let created = clock.now();
            self.workers.insert(name, Worker::starting(host, &pool, created));
            self.apply(Event::MachineStarting { worker: name, host: host.to_owned() });
            let (shared, pool, host) = (Arc::clone(&self.shared), Arc::clone(&pool), host.to_owned());
            let failed = self.journal.failed();
            self.tasks.spawn(async move {
                // The row first: a machine without one is taken for a leak.
                let noted = crate::ledger::transition!(&shared.ledger, "worker", name, |tx| {
                    workers::insert(&mut tx, name, pool.name(), &host, created).await?
                });
                let asked = match noted {
                    Ok(()) => pool.ask(Ask::Create { name, host: host.clone() }).await.map(drop),
                    Err(error) => Err(PoolError::Unavailable { message: error.to_string() }),
                };
                if let Err(error) = asked {
                    let _ = failed.send(PoolEvent::Failed { name, host, error }).await;
                }
            });
        }
    }

    /// A machine came by itself.
    pub(super) fn joined(&mut self, machine: Machine) {
        let (name, host) = (machine.name, machine.host.clone());
        let config = Arc::clone(&self.config.borrow());
        let pool = config.hosts().iter().find(|known| known.name.as_str() == host);
        let Some(pool) = pool.and_then(|known| self.pools.get(known.pool.as_str())).cloned() else { return };
        if self.workers.contains_key(&name) {
            return;
        }
        let created = self.now();
        tracing::info!(worker = %name, %host, machine = machine.detail, "a machine has come");
        self.workers.insert(name, Worker::starting(&host, &pool, created));
        // In this order: what has come needs no other to be made.
        self.apply(Event::MachineStarting { worker: name, host: host.clone() });
        self.recount(&host);
        let (shared, told) = (Arc::clone(&self.shared), self.journal.failed());
        self.tasks.spawn(async move {
            let noted = crate::ledger::transition!(&shared.ledger, "worker", name, |tx| {
                workers::insert(&mut tx, name, pool.name(), &host, created).await?
            });
            let event = match noted {
                Ok(()) => PoolEvent::Ready { machine },
                Err(error) => PoolEvent::Gone { name, reason: error.to_string() },
            };
            let _ = told.send(event).await;
        });
    }

    pub(super) fn pool_event(&mut self, event: PoolEvent) {
        let now = self.now();
        match event {
            PoolEvent::Joined { machine } => self.joined(machine),
            PoolEvent::Ready { machine } => {
                let name = machine.name;
                let Some(worker) = self.workers.get_mut(&name) else {
                    tracing::warn!(worker = %name, "a machine appeared that nobody asked for");
                    return;
                };
                let address = serde_json::to_string(&machine.address).unwrap_or_default();
                worker.machine = Some(machine);
                self.journal.note(Note::WorkerReady(now, name, address));
                self.idle(name);
            }
            PoolEvent::Away { name } => self.away(name, true),
            PoolEvent::Back { name } => self.away(name, false),
            PoolEvent::Failed { name, host, error } => {
                tracing::warn!(worker = %name, %host, %error, "a machine could not be made");
                self.workers.remove(&name);
                self.journal.note(Note::WorkerGone(now, name, error.to_string()));
                let retry = now + Duration::from_secs(5);
                self.apply(Event::CreateFailed { worker: name, host, reason: error.to_string(), retry });
            }
            PoolEvent::Doubled { name } => self.doubled(name),
            PoolEvent::Leaves { name, reason } => self.leaves(name, reason),
            PoolEvent::Gone { name, reason } => self.forget(name, reason),
        }
    }
}
