//! The reverse pool: machines that dial in, stay, and are dialled over what they opened.
//!
//! None is made here. A machine that registers has the place that its host, its name and its *instance* (which process of
//! that name it is) give it. When its connection ends it keeps the place for a while: what runs there belongs to the machine
//! and not to the connection, and goes on. A coordinator that starts keeps places for the machines that the one before it
//! had. A process that was deleted is told to end and never has a place again: whatever starts it anew begins clean.
//!
//! An original buildlet has a place as long as its connection, since its process ends with that; and for one use, after which
//! it is told to end and its supervisor starts it anew.

mod link;
mod refusals;
mod rules;
mod table;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use buildlet_client::{BuildletClient, Connect, Connection};
use futures::future::BoxFuture;
use revdial::head::HeadError;
use revdial::{head, v1, v2};
use store::WorkerId;
use tokio::sync::{mpsc, watch};
use tokio_util::task::TaskTracker;

use self::link::{Backwards, Direct, Link};
use self::table::{Came, Key, Seated, Table};
use super::{Address, Answer, Ask, Pool, PoolError, PoolEvent};
use crate::clock::{SharedClock, new_id};
use crate::core::TurnedAway;
use crate::identity::Identity;
use crate::orders::OrderKey;

pub use self::table::Shown;

/// The oldest buildlet that speaks revdial v2.
const OLDEST: i32 = 23;
/// How long a machine may take to say how it is, as with the original.
const ANSWER: Duration = Duration::from_secs(20);
/// How often an idle machine is asked, in seconds, as with the original.
const HEALTH: std::ops::Range<u8> = 10..15;
/// How long a log may wait for the store, a few MiB of output behind, before its build is lost: a machine of revdial v1 can't be
/// told to wait, and breaks off by itself when nothing is read of it for 60 s. All on its connection is one build's. Of later
/// waits in vain it has a tenth of the time.
const STORING: Duration = Duration::from_secs(45);
/// How often an original may fail to answer: what it does ends with its connection, and nothing of it is found again.
const FAILURES: u32 = 3;
/// How long a machine that is away keeps its place.
const GRACE: Duration = Duration::from_secs(120);
/// How long a machine that is to end may take to hear of it.
const HALT: Duration = Duration::from_secs(5);
/// The path at which connections are picked up.
const PICKUP: &str = "/revdial";

/// In the answer to a registration of ours: the key that orders are signed with.
const ORDER_KEY: &str = "X-Bellwether-Order-Key";
/// Beside it, for a machine that obeys the key of before: that one's signature of it.
const ORDER_KEY_PROOF: &str = "X-Bellwether-Order-Key-Proof";

/// How a machine speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Frames of many streams on one connection.
    V1,
    /// A connection for each stream.
    V2,
}

/// What a machine says of itself when it registers. Its key was found good.
#[derive(Debug, Clone)]
pub struct Registration {
    /// The host that it is of.
    pub host: String,
    /// Its name.
    pub name: String,
    /// Which process it is, if it is an agent of ours.
    pub instance: Option<String>,
    /// How it speaks.
    pub protocol: Protocol,
    /// The oldest version that its host takes.
    pub least: Option<u32>,
    /// Who it is, if it has a token of its own and not its host's key.
    pub identity: Option<Identity>,
    /// The key whose orders it obeys, if it is an agent of ours that knows one, in hexadecimal digits.
    pub obeys: Option<String>,
}

/// The reverse pool.
pub struct ReversePool {
    inner: Arc<Inner>,
    events: Mutex<Option<mpsc::Receiver<PoolEvent>>>,
}

struct Inner {
    clock: SharedClock,
    /// What agents of ours are told to know orders by.
    order_key: OrderKey,
    sender: mpsc::Sender<PoolEvent>,
    table: Mutex<Table<Link>>,
    /// Counts what changes in the table.
    changes: watch::Sender<u64>,
    pickups: v2::Pickups<Box<dyn Connection>>,
    tasks: TaskTracker,
}

impl Inner {
    fn table(&self) -> MutexGuard<'_, Table<Link>> {
        // Nothing panics while it is held.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Tells which machines are to go once they have done what they do, and which may stay after all.
    async fn judge(&self) {
        let judged = self.table().judge();
        for (name, reason) in judged {
            self.tell(PoolEvent::Leaves { name, reason }).await;
        }
    }

    async fn tell(&self, event: PoolEvent) {
        // Nobody listens any more: the coordinator is going down.
        let _ = self.sender.send(event).await;
    }

    fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.clock.random(&mut bytes);
        bytes
    }

    /// Tells that a machine is away, and gives its place up if nobody comes back to it.
    fn expect(self: &Arc<Self>, key: Key, away: u64) {
        let inner = Arc::clone(self);
        self.tasks.spawn(async move {
            let Ok(permit) = inner.sender.reserve().await else { return };
            // Sent while the table is held, so that this and its return are told in their order.
            match inner.table().away(&key, away) {
                Some(name) => permit.send(PoolEvent::Away { name }),
                None => return,
            }
            tokio::time::sleep(GRACE).await;
            let reason = format!("{} has not dialled in again within {} s", key.name, GRACE.as_secs());
            inner.give_up(&key, away, reason).await;
        });
    }

    /// Takes the place from a machine that is away since this turn.
    async fn give_up(&self, key: &Key, away: u64, reason: String) {
        let gone = self.table().give_up(key, away);
        if let Some(name) = gone {
            self.changed();
            self.tell(PoolEvent::Gone { name, reason }).await;
        }
    }
}

impl ReversePool {
    /// Makes a pool without machines, which are given the public half of the key that orders are signed with.
    #[must_use]
    pub fn new(clock: SharedClock, order_key: &OrderKey) -> ReversePool {
        let (sender, receiver) = mpsc::channel(256);
        let inner = Inner {
            clock,
            order_key: order_key.clone(),
            sender,
            table: Mutex::default(),
            changes: watch::Sender::new(0),
            pickups: v2::Pickups::default(),
            tasks: TaskTracker::new(),
        };
        ReversePool { inner: Arc::new(inner), events: Mutex::new(Some(receiver)) }
    }

    /// Where machines are received.
    #[must_use]
    pub fn reception(&self) -> Reception {
        Reception(Arc::clone(&self.inner))
    }
}

impl Pool for ReversePool {
    fn name(&self) -> &str {
        buildenv::Pool::Reverse.as_str()
    }

    fn events(&self) -> Option<mpsc::Receiver<PoolEvent>> {
        self.events.lock().ok()?.take()
    }

    fn patience(&self) -> Option<Duration> {
        Some(GRACE * 2)
    }

    fn connector(&self, address: &Address) -> Option<Arc<dyn Connect>> {
        let key = Key::of(address)?;
        Some(Arc::new(Backwards { inner: Arc::clone(&self.inner), key }))
    }

    fn configure(&self, config: &buildenv::Config) {
        self.inner.table().rules.set(config);
        let inner = Arc::clone(&self.inner);
        self.inner.tasks.spawn(async move { inner.judge().await });
    }

    fn turned_away(&self) -> Vec<TurnedAway> {
        self.inner.table().turned_away(self.inner.clock.now())
    }

    fn ask(&self, ask: Ask) -> BoxFuture<'_, Result<Answer, PoolError>> {
        Box::pin(async move {
            match ask {
                Ask::Create { .. } => {
                    let message = "machines of pool reverse come by themselves".to_owned();
                    Err(PoolError::Refused { message })
                }
                Ask::List { known } => {
                    let mut table = self.inner.table();
                    for machine in known {
                        let address =
                            machine.address.as_ref().filter(|of| !matches!(of, Address::Original { .. }));
                        let Some(key) = address.and_then(Key::of) else { continue };
                        if let Some(away) = table.keep(key.clone(), machine.name) {
                            self.inner.expect(key, away);
                        }
                    }
                    Ok(Answer::Machines { machines: table.machines() })
                }
                Ask::Delete { name } => {
                    let deleted = self.inner.table().delete(name, self.inner.clock.now());
                    self.inner.changed();
                    if let Some(Some(link)) = deleted {
                        self.inner.tasks.spawn(async move {
                            end(&link).await;
                            link.close();
                        });
                    }
                    Ok(Answer::Accepted)
                }
            }
        })
    }
}

/// Tells a machine's agent to end.
async fn end(link: &Link) {
    let halted = tokio::time::timeout(HALT, client(link).halt()).await;
    tracing::debug!(?halted, "a machine was told to end");
}

fn client(link: &Link) -> BuildletClient {
    BuildletClient::new(buildlet_client::Address::Custom(Arc::new(Direct(link.clone()))), None)
}

/// Where machines are received. Cheap to clone.
#[derive(Clone)]
pub struct Reception(Arc<Inner>);

impl std::fmt::Debug for Reception {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reception").finish_non_exhaustive()
    }
}

impl Reception {
    /// Whether somebody waits for connections with this id.
    #[must_use]
    pub fn knows(&self, id: &str) -> bool {
        self.0.pickups.knows(id)
    }

    /// Answers a connection that a machine made because it was asked to, and hands it over.
    pub async fn pick_up(&self, id: &str, mut connection: Box<dyn Connection>) {
        if head::accept(&mut connection).await.is_err() || self.0.pickups.deliver(id, connection).is_err() {
            tracing::debug!("a connection was picked up that nobody waits for, or broke");
        }
    }

    /// The machines that are connected.
    #[must_use]
    pub fn connected(&self) -> Vec<Shown> {
        self.0.table().shown()
    }

    /// Answers a machine's registration, and has the machine until its connection ends. Returns why it did.
    pub async fn receive(&self, registration: Registration, mut connection: Box<dyn Connection>) -> String {
        let accepted = match registration.instance {
            Some(_) => {
                let key = self.0.order_key.public();
                let proof = registration.obeys.as_deref().and_then(|kept| self.0.order_key.proof(kept));
                let mut headers = vec![(ORDER_KEY, key.as_str())];
                headers.extend(proof.as_deref().map(|proof| (ORDER_KEY_PROOF, proof)));
                head::accept_with(&mut connection, &headers).await
            }
            None => head::accept(&mut connection).await.map_err(HeadError::from),
        };
        if let Err(error) = accepted {
            return error.to_string();
        }
        match registration.protocol {
            Protocol::V2 => {
                let id = hex::encode(self.0.random::<16>());
                let (dialer, control) = v2::dialer(connection, PICKUP, id, &self.0.pickups);
                let ended = async { Ended::from(control.run().await) };
                self.attend(&registration, Link::v2(dialer), ended).await
            }
            Protocol::V1 => {
                let (dialer, session) = v1::dialer(
                    connection,
                    v1::Limits { patience: STORING, grace: STORING, ..v1::Limits::default() },
                );
                let ended = async { Ended::Cut(session.run().await.to_string()) };
                self.attend(&registration, Link::v1(dialer), ended).await
            }
        }
    }

    async fn attend(
        &self,
        registration: &Registration,
        link: Link,
        ended: impl Future<Output = Ended>,
    ) -> String {
        let mut ended = std::pin::pin!(ended);
        let admitted = tokio::select! {
            ended = &mut ended => return ended.to_string(),
            admitted = self.admit(registration, &link) => admitted,
        };
        let leave = match admitted {
            Ok(leave) => leave,
            Err(reason) => return reason,
        };
        tokio::select! {
            ended = ended => {
                if let Ended::Left(reason) = &ended {
                    leave.for_good(format!("{}: {reason}", leave.seated.key.name)).await;
                }
                ended.to_string()
            }
            () = link.closed() => "it was told to end, or came by another connection".to_owned(),
            reason = self.look_after(&link, &leave.seated) => reason,
        }
    }

    /// Asks a machine how it is, and gives it its place.
    async fn admit(&self, registration: &Registration, link: &Link) -> Result<Leave<'_>, String> {
        let client = client(link);
        let status = match tokio::time::timeout(ANSWER, client.status()).await {
            Ok(Ok(status)) => status,
            Ok(Err(error)) => return Err(format!("it does not say how it is: {error}")),
            Err(_) => return Err(format!("it does not say how it is within {} s", ANSWER.as_secs())),
        };
        if registration.protocol == Protocol::V2 && status.version < OLDEST {
            return Err(format!(
                "it says that it is version {}, which is older than {OLDEST}",
                status.version
            ));
        }
        // It may have registered as a newer one.
        if let Some(reason) = self.too_old(registration, status.version) {
            return Err(reason);
        }
        if let Some(reason) = self.doubled(registration).await {
            return Err(reason);
        }
        let ours = status.bellwether.is_some();
        if let Some(agent) = &status.bellwether {
            if registration.instance.as_deref() != Some(&agent.instance) {
                return Err("it registered as another process than it says it is".to_owned());
            }
            let key = Key::new(registration, &agent.instance);
            let known = self.0.table().knows(&key);
            // What ran there ran for somebody who is not known here, or it was deleted.
            if !known && (agent.lease.is_some() || self.0.table().was_deleted(&key)) {
                end(link).await;
                return Err("it is to start anew, so that nothing is left of what it did before".to_owned());
            }
        }
        let instance = match &status.bellwether {
            Some(agent) => agent.instance.clone(),
            // As long as its connection: an original process ends with that.
            None => hex::encode(self.0.random::<8>()),
        };
        let key = Key::new(registration, &instance);
        let name = new_id!(WorkerId, *self.0.clock);
        let now = self.0.clock.now();
        let permit = self.0.sender.reserve().await.map_err(|_| "the server is going down".to_owned())?;
        let (mut leave, older) = {
            let mut table = self.0.table();
            // Since it registered, and before it was somebody to cut off.
            if registration.identity.as_ref().is_some_and(|identity| table.is_revoked(identity)) {
                return Err("it was revoked".to_owned());
            }
            let identity = registration.identity.clone();
            // Come since it was looked.
            if identity.as_ref().is_some_and(|identity| table.other(identity, Some(&instance)).is_some()) {
                return Err("another process with its machine-identity has come before it".to_owned());
            }
            let came = Came { version: status.version, ours, since: now, identity };
            // By what is asked now, which may have changed since it registered. One that is here already finishes what it does.
            if !table.knows(&key)
                && let Some(reason) = table.rules.against(&key.host, &key.name, &came)
            {
                table.turn_away(&key.host, &key.name, &reason, now);
                return Err(reason);
            }
            let (seated, older) = table.sit(key, link.clone(), name, came);
            match seated.was_away {
                true => permit.send(PoolEvent::Back { name: seated.worker }),
                // Not kept while more is told: where many come at once, all would hold what each of them waits for.
                false => drop(permit),
            }
            // Before anything is waited for: out of its place however this ends; also if the server ends.
            (Leave { inner: &self.0, seated, told: false }, older)
        };
        self.0.changed();
        if let Some(older) = older {
            older.close();
        }
        for gone in std::mem::take(&mut leave.seated.replaced) {
            let reason = format!("{} was started anew", registration.name);
            self.0.tell(PoolEvent::Gone { name: gone, reason }).await;
        }
        if leave.seated.is_new {
            self.0.tell(PoolEvent::Joined { machine: leave.seated.machine() }).await;
        }
        leave.told = true;
        // Known only now, or told of before it was known that it has come.
        let reason = self.0.table().judge_one(&leave.seated.key);
        if reason.is_some() {
            self.0.tell(PoolEvent::Leaves { name: leave.seated.worker, reason }).await;
        }
        Ok(leave)
    }

    /// Asks now and then, over a connection of its own, whether a machine still answers. Ends when it does not.
    async fn look_after(&self, link: &Link, seated: &Seated) -> String {
        let key = &seated.key;
        let allowed = if seated.is_ours() { 1 } else { FAILURES };
        let mut failures = 0;
        loop {
            let [chance] = self.0.random::<1>();
            let pause = HEALTH.start + chance % (HEALTH.end - HEALTH.start);
            tokio::time::sleep(Duration::from_secs(pause.into())).await;
            let said = match tokio::time::timeout(ANSWER, client(link).status()).await {
                Ok(Ok(_)) => {
                    failures = 0;
                    continue;
                }
                Ok(Err(error)) => format!("{} does not answer: {error}", key.name),
                Err(_) => format!("{} does not answer within {} s", key.name, ANSWER.as_secs()),
            };
            failures += 1;
            if failures == allowed {
                return said;
            }
        }
    }
}

/// How a machine's connection came to its end, and why.
enum Ended {
    /// The machine may come back.
    Cut(String),
    /// It does not.
    Left(String),
}

impl From<v2::ControlError> for Ended {
    fn from(error: v2::ControlError) -> Ended {
        match error {
            v2::ControlError::Left => Ended::Left("its agent was ended".to_owned()),
            other => Ended::Cut(other.to_string()),
        }
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Ended::Cut(reason) | Ended::Left(reason)) = self;
        f.write_str(reason)
    }
}

/// Takes a machine out of its place, or keeps the place for it.
struct Leave<'a> {
    inner: &'a Arc<Inner>,
    seated: Seated,
    /// Whether it is known that the machine has come.
    told: bool,
}

impl Leave<'_> {
    /// Gives the place up: the machine has said goodbye.
    async fn for_good(&self, reason: String) {
        let Leave { inner, seated, .. } = self;
        let away = inner.table().leave(&seated.key, seated.turn);
        if let Some(away) = away {
            inner.give_up(&seated.key, away, reason).await;
        }
    }
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        let ended = self.inner.table().end_original(&self.seated.key, self.seated.turn);
        if let Some(name) = ended {
            self.inner.changed();
            let reason =
                format!("the connection of {} has ended, and its process with it", self.seated.key.name);
            let inner = Arc::clone(self.inner);
            self.inner.tasks.spawn(async move { inner.tell(PoolEvent::Gone { name, reason }).await });
            return;
        }
        let away = self.inner.table().leave(&self.seated.key, self.seated.turn);
        self.inner.changed();
        if let Some(away) = away {
            if self.seated.is_new && !self.told {
                // Nobody knows of it, and would be told when it is back.
                self.inner.table().give_up(&self.seated.key, away);
                return;
            }
            self.inner.expect(self.seated.key.clone(), away);
        }
    }
}

#[cfg(test)]
mod tests;
