//! Takes up where the coordinator before left off: machines by asking the pools, builds by their rows.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use store::gomotes::{self, GomoteRow};
use store::{BuildId, StoreError, WorkerId, attempts, builds, events, set_asides, workers};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::asides::Asides;
use super::doubles::Doubles;
use super::hold::hold_request;
use super::machines::Worker;
use super::rows::Rows;
use super::{Blocked, Core};
use crate::attempt::{Shared, Start, avoided};
use crate::gomote::Hold;
use crate::journal::{Journal, Note};
use crate::orders::UNSEALED;
use crate::pool::{Answer, Ask, Machine, Pool, PoolEvent};
use crate::replay::Mark;
use crate::schedule::{Event, Scheduler};

impl Core {
    /// Reads everything back, and starts the drivers of what was under way.
    pub(crate) async fn recover(
        shared: Arc<Shared>,
        config: watch::Receiver<Arc<buildenv::Config>>,
        pools: Vec<Arc<dyn Pool>>,
        blocked: Blocked,
        capacity: u32,
        pool_events: mpsc::Sender<PoolEvent>,
        (snapshots, asks): (mpsc::Receiver<BuildId>, mpsc::Receiver<crate::spread::Ask>),
    ) -> Result<Core, StoreError> {
        let mut reader = shared.ledger.db().read().await?;
        let known = workers::live(&mut reader).await?;
        let open = builds::open(&mut reader).await?;
        let mut tried = HashMap::new();
        for row in &open {
            tried.insert(row.id, attempts::of_build(&mut reader, row.id).await?);
        }
        let held = gomotes::live(&mut reader).await?;
        let last = events::last(&mut reader).await?;
        let mut asides = Asides::default();
        let aside = set_asides::live(&mut reader, shared.ledger.clock().now()).await?;
        aside.into_iter().for_each(|row| asides.put(row));
        drop(reader);
        crate::gomote::read_wanted(&shared).await?;
        let journal = Journal::start(Arc::clone(&shared), last, pool_events.clone());
        let mut core = Core {
            shared,
            scheduler: Scheduler::default(),
            config,
            pools: HashMap::new(),
            blocked,
            capacity,
            journal,
            rows: Rows::default(),
            snapshots,
            running: HashMap::new(),
            again: HashSet::new(),
            workers: HashMap::new(),
            asides,
            doubles: Doubles::default(),
            quotas: BTreeSet::new(),
            holds: HashMap::new(),
            held: HashMap::new(),
            helps: HashMap::new(),
            asks,
            drivers: JoinSet::new(),
            tasks: JoinSet::new(),
            draining: false,
            requeue_later: BTreeSet::new(),
        };
        let mut here: HashMap<WorkerId, Machine> = HashMap::new();
        let mut silent = HashSet::new();
        for pool in pools {
            let known = known.iter().filter(|row| row.pool == pool.name()).map(machine_of).collect();
            match pool.ask(Ask::List { known }).await {
                Ok(Answer::Machines { machines }) => {
                    here.extend(machines.into_iter().map(|one| (one.name, one)))
                }
                Ok(Answer::Accepted) => {}
                Err(error) => {
                    // Its machines are taken for alive: a driver finds out, the others at the next start.
                    tracing::warn!(pool = pool.name(), %error, "a pool can't list its machines");
                    silent.insert(pool.name().to_owned());
                }
            }
            if let Some(mut events) = pool.events() {
                let to = pool_events.clone();
                core.tasks.spawn(async move {
                    while let Some(event) = events.recv().await {
                        if to.send(event).await.is_err() {
                            break;
                        }
                    }
                });
            }
            core.pools.insert(pool.name().to_owned(), pool);
        }
        core.mark(Mark::Started);
        core.configure();
        let now = core.now();
        let mut busy: HashSet<WorkerId> = HashSet::new();
        for row in known {
            let Some(pool) = core.pools.get(&row.pool).cloned() else { continue };
            let machine = here.remove(&row.id).or_else(|| {
                row.address.as_ref()?;
                silent.contains(&row.pool).then(|| machine_of(&row))
            });
            if machine.as_ref().is_none_or(|machine| machine.address.is_none()) {
                core.journal.note(Note::WorkerGone(
                    now,
                    row.id,
                    "not there at a start of the coordinator".into(),
                ));
                continue;
            }
            let aside = row.state == "set_aside";
            let state = if aside { "set_aside" } else { "starting" };
            let worker = Worker {
                machine,
                state,
                reason: row.reason,
                ..Worker::starting(&row.host, &pool, row.created)
            };
            core.workers.insert(row.id, worker);
        }
        let hosts: BTreeSet<String> = core.workers.values().map(|worker| worker.host.clone()).collect();
        for host in hosts {
            core.recount(&host);
        }
        // Machines that nobody knows were asked for and lost in a crash.
        for (name, machine) in here {
            tracing::warn!(worker = %name, host = machine.host, "a leaked machine is deleted");
            for pool in core.pools.values() {
                if let Err(error) = pool.ask(Ask::Delete { name }).await {
                    tracing::warn!(worker = %name, %error, "it could not be deleted");
                }
            }
        }
        // Known before any of them is placed: one may need the snapshot of another.
        for row in open.iter().filter(|row| row.state != "done") {
            core.rows.insert(row.clone());
        }
        for row in open {
            core.shared.reports.note(row.id);
            let attempts = tried.remove(&row.id).unwrap_or_default();
            match row.state.as_str() {
                "done" => core.shared.reports.note_done(row.id),
                "queued" => {
                    core.tell_own_limit(&row);
                    let request = core.request(&row, avoided(&row, &attempts));
                    core.apply(Event::Queued(request));
                }
                _ => {
                    let Some(attempt) = attempts.into_iter().rev().find(|attempt| attempt.ended.is_none())
                    else {
                        tracing::error!(build = %row.id, "a build is under way without an attempt");
                        continue;
                    };
                    let (worker, host) = (attempt.worker, attempt.host.clone());
                    busy.insert(worker);
                    let request = core.request(&row, Vec::new());
                    core.apply(Event::Resumed { request, worker, host: host.clone() });
                    core.start(row, worker, host, Start::Resume(Box::new(attempt)));
                }
            }
        }
        // The newest first: a row that has ended and was opened again by hand is sealed as well, and one has a machine.
        for row in held.into_iter().rev() {
            if !core.shared.orders.key.holds(&row, row.seal.as_deref()) {
                tracing::error!(name = row.name, owner = row.owner, "nobody holds it: {UNSEALED}");
                crate::gomote::note_end(&core.shared, row.id, UNSEALED).await;
                continue;
            }
            if !core.workers.contains_key(&row.worker) {
                crate::gomote::note_end(&core.shared, row.id, "its machine is gone").await;
                continue;
            }
            if !busy.insert(row.worker) {
                tracing::error!(
                    name = row.name,
                    owner = row.owner,
                    "nobody holds it: another has its machine"
                );
                crate::gomote::note_end(&core.shared, row.id, "another has its machine").await;
                continue;
            }
            crate::gomote::seal_again(&core.shared, &row).await;
            core.hold_again(row);
        }
        let idle: Vec<_> = (core.workers.iter())
            .filter(|(name, _)| !busy.contains(name))
            .map(|(name, worker)| (*name, worker.host.clone(), worker.state))
            .collect();
        for (worker, host, state) in idle {
            if state == "set_aside" {
                core.apply(Event::MachineSetAside { worker, host, why: String::new() });
            } else {
                // It may have been in the middle of a wipe: it is clean once it was wiped again.
                core.rewipe(worker, host);
            }
        }
        core.mark(Mark::Recovered);
        Ok(core)
    }

    /// Goes on holding what was held before.
    fn hold_again(&mut self, row: GomoteRow) {
        let (worker, host) = (row.worker, row.host.clone());
        let hold = Hold {
            id: row.id,
            name: row.name.clone(),
            owner: row.owner.clone(),
            repo: row.repo.clone(),
            builder: row.builder.clone(),
            hosts: vec![host.clone()],
            before: Some(row),
        };
        let request = hold_request(&hold, self.now());
        self.apply(Event::Resumed { request, worker, host: host.clone() });
        self.shared.gomotes.keep_name(&hold);
        self.hold(hold, None, worker, host);
    }

    /// Cleans a machine; it is free then, or gone.
    pub(super) fn rewipe(&mut self, worker: WorkerId, host: String) {
        if self.is_used_once(worker) {
            // Whether anything has run there is not known any more.
            return self.end(worker, super::ONCE.to_owned());
        }
        let Some(known) = self.workers.get(&worker) else { return };
        let Some(machine) = known.machine.clone() else { return };
        let known_patience = known.pool.patience();
        self.apply(Event::MachineStarting { worker, host });
        let failed = self.journal.failed();
        let client = self.client(worker);
        let fence = self.shared.ledger.next_fence();
        // It may be on its way: the pool tells when it does not wait any longer, and then nothing more comes of this.
        let (patience, gone) = (known_patience, CancellationToken::new());
        self.tasks.spawn(async move {
            let client = client.with_fence(fence as u64, "");
            let event = match crate::attempt::wiped(&client, patience, &gone).await {
                Ok(report) if report.clean => PoolEvent::Ready { machine },
                Ok(report) => PoolEvent::Gone { name: worker, reason: crate::attempt::unclean(&report) },
                Err(error) => PoolEvent::Gone { name: worker, reason: error.to_string() },
            };
            let _ = failed.send(event).await;
        });
    }
}

/// A machine as its row has it.
fn machine_of(row: &store::workers::WorkerRow) -> Machine {
    let address = row.address.as_deref().and_then(|text| serde_json::from_str(text).ok()).flatten();
    Machine { name: row.id, host: row.host.clone(), address, detail: String::new() }
}
