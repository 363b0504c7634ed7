//! The coordinator's one task that holds the scheduler: takes in what happens, carries out what the scheduler says.
//!
//! It writes nothing of a build itself: rows are made by whoever brings work, and moved on by the drivers. What it holds in
//! memory can be read back from the database at any time, which is what a start does.

mod asides;
mod doubles;
mod help;
mod hold;
mod machines;
mod needs;
mod quotas;
mod request;
mod rows;
mod start;
mod status;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use buildlet_client::BuildletClient;
use store::builds::BuildRow;
use store::set_asides::SetAsideRow;
use store::{BuildId, Micros, StoreError, WorkerId, attempts, builds};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::attempt::{Buildlet, Driven, Fate, Grant, Shared, Start, avoided, drive};
use crate::gomote::{Granted, Hold};
use crate::job::Job;
use crate::journal::{Journal, Note};
use crate::ledger::LEAD;
use crate::orders;
use crate::pool::{Address, Pool, PoolEvent};
use crate::replay::Mark;
use crate::resolve;
use crate::schedule::{Action, Class, Event, Of, Request, Scheduler, Wait};
use crate::spread;
use asides::Asides;
pub(crate) use asides::Meanwhile;
pub use asides::SetAside;
use doubles::Doubles;
use hold::hold_request;
use machines::Worker;
pub(crate) use request::hosts;
use rows::Rows;
pub use status::{BlockedRepo, RunningBuild, Status, TurnedAway, WaitingBuild, WorkerStatus};

/// Says of a builder of a repo why no machine here can run it, where that is so.
pub type Blocked = Arc<dyn Fn(&str, &str) -> Option<String> + Send + Sync>;

/// What the task is told.
pub(crate) enum Message {
    /// Builds were queued.
    Queued(Vec<BuildRow>),
    /// A build that was queued is not wanted any more.
    Withdrawn(BuildId),
    /// A build that runs is to be ended.
    Cancel(BuildId),
    /// Somebody wants a machine, for as long as they listen.
    Hold(Box<Hold>, oneshot::Sender<Granted>),
    /// A machine is to be kept from work. Answered once it is.
    SetAside(Box<SetAsideRow>, Meanwhile, oneshot::Sender<()>),
    /// A machine may work again. Answered once it may.
    Resume {
        /// Its host.
        host: String,
        /// What it calls itself, or its id.
        name: String,
        /// Told.
        done: oneshot::Sender<()>,
    },
    /// Why does it wait?
    Why(BuildId, oneshot::Sender<Option<Wait>>),
    /// How do things stand?
    Status(oneshot::Sender<Status>),
}

struct Running {
    cancel: CancellationToken,
    gone: CancellationToken,
    worker: WorkerId,
    started: Micros,
}

pub(crate) struct Core {
    shared: Arc<Shared>,
    scheduler: Scheduler,
    config: watch::Receiver<Arc<buildenv::Config>>,
    pools: HashMap<String, Arc<dyn Pool>>,
    blocked: Blocked,
    capacity: u32,
    journal: Journal,
    rows: Rows,
    /// Builds whose snapshot has just been kept.
    snapshots: mpsc::Receiver<BuildId>,
    running: HashMap<BuildId, Running>,
    /// Builds of which a retry was asked for while their driver was not quite at its end.
    again: HashSet<BuildId>,
    workers: HashMap<WorkerId, Worker>,
    /// Machines that people keep from work.
    asides: Asides,
    /// Machines whose identity another process shows as well.
    doubles: Doubles,
    /// Who waits for a machine to hold.
    holds: HashMap<BuildId, (Hold, oneshot::Sender<Granted>)>,
    /// Whose own quotas the scheduler was told of.
    quotas: BTreeSet<(Of, String)>,
    /// What is held: the machine, and whom to tell that it is gone.
    held: HashMap<BuildId, (WorkerId, CancellationToken)>,
    /// Builds under way wait for these machines to spread their tests over.
    helps: HashMap<BuildId, spread::Ask>,
    /// Asks for such machines.
    asks: mpsc::Receiver<spread::Ask>,
    drivers: JoinSet<Driven>,
    tasks: JoinSet<()>,
    draining: bool,
    /// Builds that are queued in the database and could not be read back from it.
    requeue_later: BTreeSet<BuildId>,
}

/// Why a machine that is for one piece of work goes.
const ONCE: &str = "it was for one piece of work, and the next one gets a machine of its own";
/// How long the scheduler waits for the database when it reads a build back.
const REQUEUE: Duration = Duration::from_millis(500);

/// How often the watchdog looks for what waits beside free capacity.
const WATCH: Duration = Duration::from_secs(30);

/// How a coordinator came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// Nothing was left running.
    Drained,
    /// At once; what runs goes on at its workers.
    AtOnce,
    /// Another coordinator leads.
    Superseded,
}

impl Core {
    /// Runs until told to end.
    pub async fn run(
        mut self,
        mut messages: mpsc::Receiver<Message>,
        mut pool_events: mpsc::Receiver<PoolEvent>,
        drain: CancellationToken,
        stop: CancellationToken,
    ) -> Stopped {
        let mut renew = tokio::time::interval(LEAD / 5);
        let mut tick = tokio::time::interval(Duration::from_millis(250));
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let mut later = tokio::time::interval(REQUEUE * 4);
        later.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut watch = tokio::time::interval(WATCH);
        watch.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let ended = loop {
            if self.draining && self.running.is_empty() {
                break Stopped::Drained;
            }
            tokio::select! {
                () = stop.cancelled() => break Stopped::AtOnce,
                () = drain.cancelled(), if !self.draining => self.drain(),
                Some(message) = messages.recv() => self.message(message),
                Some(event) = pool_events.recv() => self.pool_event(event),
                Some(build) = self.snapshots.recv() => self.snapshot_kept(build),
                Some(ask) = self.asks.recv() => self.ask_for_help(ask),
                Some(done) = self.drivers.join_next(), if !self.drivers.is_empty() => match done {
                    Ok(driven) if driven.stale => break Stopped::Superseded,
                    Ok(driven) => self.driven(driven).await,
                    Err(error) => tracing::error!(%error, "a driver broke down; its build is taken up at the next start"),
                },
                Some(_) = self.tasks.join_next(), if !self.tasks.is_empty() => {}
                changed = self.config.changed() => if changed.is_ok() { self.configure() },
                _ = tick.tick() => {
                    self.end_asides();
                    self.end_waits();
                    self.end_helps();
                    if self.scheduler.next_tick().is_some_and(|when| when <= self.now()) {
                        self.apply(Event::Tick);
                    }
                }
                _ = watch.tick() => self.watch(),
                _ = later.tick(), if !self.requeue_later.is_empty() || self.shared.own_rules.has_missed() => {
                    self.requeue_later.extend(self.shared.own_rules.take_missed());
                    for build in self.requeue_later.clone() {
                        self.requeue(build).await;
                    }
                }
                _ = renew.tick() => match self.shared.ledger.renew().await {
                    Ok(()) => {}
                    Err(StoreError::Stale) => break Stopped::Superseded,
                    // The guards of the transactions decide; a database that is away takes nothing from anybody.
                    Err(error) => tracing::warn!(%error, "the lead could not be renewed"),
                },
            }
        };
        self.drivers.shutdown().await;
        self.tasks.shutdown().await;
        self.journal.close().await;
        if ended != Stopped::Superseded
            && let Err(error) = self.shared.ledger.resign().await
        {
            tracing::debug!(%error, "the lead could not be given back; it ends by itself");
        }
        ended
    }

    fn now(&self) -> Micros {
        self.shared.ledger.clock().now()
    }

    fn mark(&mut self, mark: Mark) {
        self.journal.note(Note::Mark(self.now(), mark));
    }

    fn apply(&mut self, event: Event) {
        let now = self.now();
        self.journal.note(Note::Event(now, Box::new(event.clone())));
        for action in self.scheduler.step(now, event) {
            match action {
                Action::Lease { build, worker, host } => {
                    let leased = Mark::Leased { build, worker, host: host.clone() };
                    self.journal.note(Note::Mark(now, leased));
                    self.lease(build, worker, host);
                }
                Action::Create { host, count } => self.create(&host, count),
                Action::Retire { worker } => self.forget(worker, "all that waits had refused it".into()),
            }
        }
    }

    /// Tells the operator of what must never be, and dispatches anew.
    fn watch(&mut self) {
        let found = self.scheduler.watchdog(self.now());
        for stuck in &found {
            tracing::error!(%stuck, "the watchdog found something that waits for nothing");
            self.shared.measures.stuck();
        }
        if !found.is_empty() {
            self.apply(Event::Tick);
        }
    }

    fn drain(&mut self) {
        self.draining = true;
        let hosts: Vec<String> =
            self.config.borrow().hosts().iter().map(|host| host.name.to_string()).collect();
        for host in hosts {
            self.apply(Event::Host {
                host,
                capacity: 0,
                blocked: Some("the server is going down".into()),
                fixed: false,
            });
        }
    }

    /// Tells the scheduler of limits and hosts, and looks again at everything queued.
    fn configure(&mut self) {
        let config = Arc::clone(&self.config.borrow_and_update());
        for (limit, max) in resolve::all_limits(&config) {
            self.apply(Event::Limit { limit, max });
        }
        self.tell_quotas(&config);
        for pool in self.pools.values() {
            pool.configure(&config);
        }
        for host in config.hosts() {
            self.tell_host(host);
        }
        let queued: Vec<BuildRow> =
            self.rows.values().filter(|row| !self.running.contains_key(&row.id)).cloned().collect();
        for row in queued {
            self.tell_own_limit(&row);
            let request = self.request(&row, Vec::new());
            if self.scheduler.request(row.id).as_ref() != Some(&request) {
                self.apply(Event::Queued(request));
            }
        }
    }

    fn message(&mut self, message: Message) {
        match message {
            Message::Queued(rows) => {
                // Known before any of them is placed: one may need the snapshot of another.
                let (again, new): (Vec<_>, Vec<_>) =
                    rows.into_iter().partition(|row| self.running.contains_key(&row.id));
                // Done, and their drivers still wipe the machines.
                self.again.extend(again.iter().map(|row| row.id));
                for row in &new {
                    self.rows.insert(row.clone());
                }
                for row in new {
                    self.tell_own_limit(&row);
                    let request = self.request(&row, Vec::new());
                    self.shared.reports.note(row.id);
                    self.apply(Event::Queued(request));
                }
            }
            Message::Withdrawn(build) => {
                self.shared.reports.note_done(build);
                let shared = Arc::clone(&self.shared);
                self.tasks.spawn(async move { drop(crate::gomote::take_wanted(&shared, build).await) });
                // What is about to be begun finds out by itself that it is not to be, from its row.
                if !self.running.contains_key(&build)
                    && let Some(row) = self.rows.remove(build)
                {
                    self.apply(Event::Withdrawn { build });
                    self.meet(&row);
                }
            }
            Message::Cancel(build) => {
                if let Some(running) = self.running.get(&build) {
                    running.cancel.cancel();
                }
            }
            Message::Hold(hold, granted) => {
                let request = hold_request(&hold, self.now());
                self.holds.insert(hold.id, (*hold, granted));
                self.apply(Event::Queued(request));
            }
            Message::SetAside(row, meanwhile, done) => {
                self.set_aside(*row, meanwhile);
                let _ = done.send(());
            }
            Message::Resume { host, name, done } => {
                self.resume(&host, &name);
                let _ = done.send(());
            }
            Message::Why(build, answer) => {
                let _ = answer.send(self.why(build));
            }
            Message::Status(answer) => {
                let _ = answer.send(self.status());
            }
        }
    }

    fn why(&self, build: BuildId) -> Option<Wait> {
        let mut wait = self.scheduler.why(build)?;
        wait.reason.tell_turned_away(&self.turned_away());
        Some(wait)
    }

    /// The machines that came by themselves of late, and were not taken.
    fn turned_away(&self) -> Vec<TurnedAway> {
        self.pools.values().flat_map(|pool| pool.turned_away()).collect()
    }

    fn status(&self) -> Status {
        let mut waits = self.scheduler.waits();
        let turned_away = self.turned_away();
        let mut queued: Vec<_> = (self.rows.values())
            .filter(|row| !self.running.contains_key(&row.id))
            .filter_map(|row| {
                let mut wait = waits.remove(&row.id)?;
                wait.reason.tell_turned_away(&turned_away);
                Some(WaitingBuild {
                    build: row.id,
                    builder: row.builder.clone(),
                    repo: row.repo.clone(),
                    revision: row.revision.clone(),
                    reason: wait.reason.to_string(),
                    wait,
                    expected_start: None,
                })
            })
            .collect();
        queued.sort_by_key(|waiting| (waiting.wait.ahead, waiting.build));
        let mut running: Vec<_> = (self.running.iter())
            .filter_map(|(id, running)| {
                let row = self.rows.get(*id)?;
                Some(RunningBuild {
                    build: *id,
                    builder: row.builder.clone(),
                    repo: row.repo.clone(),
                    revision: row.revision.clone(),
                    worker: running.worker,
                    started: running.started,
                })
            })
            .collect();
        running.sort_by_key(|running| running.build);
        let mut workers: Vec<_> = (self.workers.iter())
            .map(|(name, worker)| WorkerStatus {
                worker: *name,
                name: worker.called(*name),
                host: worker.host.clone(),
                pool: worker.pool.name().to_owned(),
                state: worker.state.to_owned(),
                reason: worker.reason.clone(),
                set_aside: self.aside_of(*name).cloned(),
                away: worker.away,
                leaves: worker.leaves.clone(),
                doubled: doubles::words(worker.doubled, self.now()),
                detail: worker.machine.as_ref().map(|machine| machine.detail.clone()).unwrap_or_default(),
                since: worker.created,
            })
            .collect();
        workers.sort_by_key(|worker| worker.worker);
        Status {
            queued,
            running,
            workers,
            turned_away,
            blocked: Vec::new(),
            alarms: Vec::new(),
            draining: self.draining,
        }
    }

    fn lease(&mut self, build: BuildId, worker: WorkerId, host: String) {
        if let Some((hold, granted)) = self.holds.remove(&build) {
            return self.hold(hold, Some(granted), worker, host);
        }
        if let Some(ask) = self.helps.remove(&build) {
            return self.help(ask, worker, host);
        }
        let config = Arc::clone(&self.config.borrow());
        let Some(row) = self.rows.get(build).cloned() else { return };
        let class = Class::parse(&row.class).unwrap_or(Class::PostSubmit);
        let configured = config.hosts().iter().find(|known| known.name.as_str() == host);
        let rules = self.shared.own_rules.of(&row, &config).map_err(|error| error.to_string());
        let job = rules.and_then(|rules| {
            resolve::job(&rules, &row.repo, &row.builder, &row.revision, configured, class)
                .map_err(|error| error.to_string())
        });
        let job = match job {
            Ok(job) => job,
            Err(error) => {
                let request = Request { blocked: Some(error), ..self.request(&row, Vec::new()) };
                self.apply(Event::Queued(request));
                self.apply(Event::MachineIdle { worker, host });
                return;
            }
        };
        // What is made to see whether it fails is made once.
        let job = if row.is_to_tell() { Job { retries: 0, ..job } } else { job };
        self.start(row, worker, host, Start::New(Box::new(job)));
    }

    /// The way to a machine; to none if nobody knows where it is.
    fn client(&self, worker: WorkerId) -> BuildletClient {
        let known = self.workers.get(&worker);
        let address = known.and_then(|known| known.machine.as_ref()?.address.as_ref());
        let found = address.and_then(|address| match address {
            Address::Unix { path } => Some(buildlet_client::Address::Unix(path.into())),
            Address::Tcp { address } => address.parse().ok().map(buildlet_client::Address::Tcp),
            Address::Reverse { .. } | Address::Original { .. } => {
                known?.pool.connector(address).map(buildlet_client::Address::Custom)
            }
        });
        let nowhere = || buildlet_client::Address::Unix("/nonexistent/socket".into());
        let client = BuildletClient::new(found.unwrap_or_else(nowhere), None);
        match address.and_then(|address| orders::machine(worker, address)) {
            Some(machine) => client.with_orders(Arc::clone(&self.shared.orders) as _, &machine),
            None => client,
        }
    }

    /// What answers at a machine.
    fn buildlet(&self, worker: WorkerId) -> Buildlet {
        let machine = self.workers.get(&worker).and_then(|known| known.machine.as_ref());
        Buildlet::at(machine.and_then(|machine| machine.address.as_ref()), self.client(worker))
    }

    fn start(&mut self, row: BuildRow, worker: WorkerId, host: String, start: Start) {
        let build = row.id;
        let address = self.workers.get(&worker).and_then(|known| known.machine.as_ref()?.address.clone());
        let (cancel, gone) = (CancellationToken::new(), CancellationToken::new());
        if address.is_none() {
            // A machine that is gone already: the driver writes that down.
            gone.cancel();
        }
        let buildlet = self.buildlet(worker);
        if row.cancel.is_some() {
            cancel.cancel();
        }
        self.set_state(worker, "busy", None);
        let started = match &start {
            Start::New(_) => self.now(),
            Start::Resume(attempt) => attempt.started,
        };
        self.running.insert(build, Running { cancel: cancel.clone(), gone: gone.clone(), worker, started });
        let patience = self.workers.get(&worker).and_then(|known| known.pool.patience());
        let machine =
            self.workers.get(&worker).map_or_else(|| worker.to_string(), |known| known.called(worker));
        let grant = Grant { build: row, worker, machine, host, buildlet, patience, start };
        self.drivers.spawn(drive(Arc::clone(&self.shared), grant, cancel, gone));
    }

    async fn driven(&mut self, driven: Driven) {
        let Driven { build, worker, host, fate, requeued, .. } = driven;
        self.running.remove(&build);
        self.held.remove(&build);
        let row = self.rows.remove(build);
        let built = row.as_ref().map(|row| (row.repo.clone(), row.builder.clone()));
        self.apply(Event::Released { build });
        if self.again.remove(&build) || requeued {
            self.requeue(build).await;
        } else if let Some(row) = row {
            self.meet(&row);
        }
        let now = self.now();
        match fate {
            Fate::Idle if self.is_used_once(worker) => self.end(worker, ONCE.to_owned()),
            Fate::Idle if self.workers.contains_key(&worker) => {
                self.journal.note(Note::Worker(now, worker, "idle", None));
                self.idle(worker);
            }
            Fate::Idle => {}
            Fate::SetAside(reason) => {
                tracing::warn!(%worker, %reason, "a machine is set aside");
                self.shared.measures.machine_set_aside();
                self.set_state(worker, "set_aside", Some(reason.clone()));
                self.recount(&host);
                self.journal.note(Note::Worker(now, worker, "set_aside", Some(reason)));
                self.apply(Event::MachineSetAside { worker, host, why: String::new() });
                self.let_go(worker);
            }
            Fate::Used(reason) => self.end(worker, reason),
            Fate::Lost(reason) => {
                tracing::warn!(%worker, %reason, "a machine is lost");
                self.forget(worker, reason);
            }
            Fate::Held(coming) => self.hold_as_it_is(built.unwrap_or_default(), *coming, worker, host),
        }
    }

    /// Queues a build again that is to have another attempt. While the database is away it is kept for later.
    async fn requeue(&mut self, build: BuildId) {
        self.requeue_later.remove(&build);
        // It has a machine by now, so what it waited for is there.
        if self.running.contains_key(&build) {
            return;
        }
        let config = Arc::clone(&self.config.borrow());
        let read = async {
            let mut reader = self.shared.ledger.db().read().await?;
            let row = builds::get(&mut reader, build).await?;
            if let Some(row) = row.as_ref().filter(|row| row.state == "queued") {
                self.shared.own_rules.read(&mut reader, &row.rules, &config).await?;
            }
            Ok::<_, StoreError>((row, attempts::of_build(&mut reader, build).await?))
        };
        let read = tokio::time::timeout(REQUEUE, read).await;
        match read.unwrap_or_else(|_| Err(StoreError::Unavailable("no answer in time".into()))) {
            Ok((Some(row), tried)) if row.state == "queued" => {
                self.tell_own_limit(&row);
                let request = self.request(&row, avoided(&row, &tried));
                self.rows.insert(row);
                self.apply(Event::Queued(request));
            }
            Ok((Some(row), _)) => self.meet(&row),
            Ok((None, _)) => {}
            Err(error) => {
                tracing::warn!(%build, %error, "a build can't be queued again yet; trying again");
                self.requeue_later.insert(build);
            }
        }
    }
}
