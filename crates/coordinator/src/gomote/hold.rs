//! Holding a machine from the moment the scheduler gives it until it is clean again.

use std::sync::Arc;
use std::time::Duration;

use buildlet_client::About;
use store::audit::{self, Deed};
use store::gomotes::{self, GomoteRow};
use store::{BuildId, StoreError, WorkerId};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::Session;
use super::session::Signed;
use crate::attempt::{Buildlet, Driven, Fate, Left, Shared};
use crate::ledger::transition;

/// How often a machine is told that its holder lives, and how often its end is written down.
const BEAT: Duration = Duration::from_secs(60);
/// A machine must answer within this time.
const ANSWER: Duration = Duration::from_secs(30);
/// So many beats in a row may fail, where nobody else says that a machine is gone.
const MISSED: u32 = 3;
/// A machine is held for so long at least after a new start of the coordinator: its owner could not use it meanwhile.
const AFTER_START: Duration = Duration::from_secs(5 * 60);

/// A machine is theirs; or why it could not be had, and another is to be asked for.
pub(crate) type Granted = Result<Arc<Session>, String>;

/// Somebody who wants a machine.
#[derive(Clone)]
pub(crate) struct Hold {
    /// What the scheduler knows them by.
    pub id: BuildId,
    /// What the machine will be called.
    pub name: String,
    /// Who they are.
    pub owner: String,
    /// The repo whose builder it is; empty for one of the server's.
    pub repo: String,
    /// The builder, by its full name.
    pub builder: String,
    /// On which hosts.
    pub hosts: Vec<String>,
    /// The row of one that was held before.
    pub before: Option<GomoteRow>,
}

/// The machine for it.
pub(crate) struct Machine {
    /// Its name.
    pub worker: WorkerId,
    /// Its host.
    pub host: String,
    /// Its buildlet.
    pub buildlet: Buildlet,
    /// How long its pool waits for it by itself.
    pub patience: Option<Duration>,
}

/// Has a machine until its holder gives it back, leaves it alone for too long, or it is gone; then cleans it.
///
/// Whoever waits for it is told once, by `granted`, and has gone away if nobody listens; nobody waits for a machine that was held
/// before, or that a build has left.
pub(crate) async fn keep(
    shared: Arc<Shared>,
    hold: Hold,
    granted: Option<oneshot::Sender<Granted>>,
    machine: Machine,
    gone: CancellationToken,
) -> Driven {
    let (build, worker, host) = (hold.id, machine.worker, machine.host.clone());
    let driven = |fate, stale| Driven { build, worker, host: host.clone(), fate, requeued: false, stale };
    if granted.as_ref().is_some_and(oneshot::Sender::is_closed) {
        shared.gomotes.release(&hold.name, hold.id);
        return driven(Fate::Idle, false);
    }
    let fence = shared.ledger.next_fence();
    let buildlet = machine.buildlet.clone().fenced(fence as u64, &format!("gomote {}", hold.name));
    let buildlet = buildlet.about(About { commits: Vec::new(), trust: "held" });
    let clean = granted.is_some();
    let opened = tokio::select! {
        opened = open(&shared, &hold, &machine, &buildlet, clean) => opened,
        () = gone.cancelled() => Err(Trouble::Machine(Fate::Lost("it is gone".to_owned()))),
    };
    let session = match opened {
        Ok(session) => session,
        Err(Trouble::Stale) => return driven(Fate::Idle, true),
        Err(Trouble::Machine(fate)) => {
            // Whoever waits asks for another; a machine that was held before is none any more.
            if hold.before.is_some() {
                note_end(&shared, hold.id, "its machine was not there after a new start of the server").await;
            }
            shared.gomotes.release(&hold.name, hold.id);
            if let (Some(granted), Fate::Lost(reason) | Fate::SetAside(reason)) = (granted, &fate) {
                let _ = granted.send(Err(reason.clone()));
            }
            return driven(fate, false);
        }
    };
    shared.gomotes.open(&session);
    if let Some(granted) = granted
        && granted.send(Ok(Arc::clone(&session))).is_err()
    {
        session.end.cancel();
    }
    tracing::info!(name = session.name, owner = session.owner, %worker, "a machine is held");
    let ended = held(&shared, &session, machine.patience, &gone).await;
    shared.gomotes.release(&session.name, session.id);
    // What still goes on there ends with the wipe.
    session.end.cancel();
    tracing::info!(name = session.name, cause = ended.cause(), "a machine is not held any more");
    if let Some(StoreError::Stale) = note_end(&shared, session.id, ended.cause()).await {
        return driven(Fate::Idle, true);
    }
    match ended {
        Ended::Lost(reason) => driven(Fate::Lost(reason), false),
        _ => {
            // Under a new fence: what was on its way under the old one is refused from here on.
            let fence = shared.ledger.next_fence();
            let buildlet = buildlet.fenced(fence as u64, "");
            driven(buildlet.let_go(None, machine.patience, &gone).await, false)
        }
    }
}

/// Cleans the machine of a build that has failed, which nobody may hold.
pub(crate) async fn clean(
    shared: Arc<Shared>,
    build: BuildId,
    machine: Machine,
    gone: CancellationToken,
) -> Driven {
    let Machine { worker, host, buildlet, patience } = machine;
    let fence = shared.ledger.next_fence();
    let fate = buildlet.fenced(fence as u64, "").let_go(None, patience, &gone).await;
    Driven { build, worker, host, fate, requeued: false, stale: false }
}

/// Why there is no session.
enum Trouble {
    /// Another coordinator leads.
    Stale,
    /// The machine's.
    Machine(Fate),
}

/// Asks the machine where it works, and writes down whose it is. Nothing is there from before if it is to be `clean`.
async fn open(
    shared: &Shared,
    hold: &Hold,
    machine: &Machine,
    buildlet: &Buildlet,
    clean: bool,
) -> Result<Arc<Session>, Trouble> {
    let lost = |reason: String| Trouble::Machine(Fate::Lost(reason));
    let asked = async {
        if clean {
            buildlet.clear(Left::Nothing).await?;
        }
        buildlet.client().workdir().await
    };
    let workdir = match tokio::time::timeout(machine.patience.unwrap_or(ANSWER), asked).await {
        Ok(Ok(workdir)) => workdir,
        Ok(Err(buildlet_client::Error::SetAside { reason })) => {
            return Err(Trouble::Machine(Fate::SetAside(reason)));
        }
        Ok(Err(error)) => return Err(lost(format!("it does not answer: {error}"))),
        Err(_) => return Err(lost("it does not answer".to_owned())),
    };
    let now = shared.ledger.clock().now();
    let expires = match &hold.before {
        Some(row) => row.expires.max(now + AFTER_START.min(shared.gomotes.idle)),
        None => now + shared.gomotes.idle,
    };
    let mut row = GomoteRow {
        id: hold.id,
        name: hold.name.clone(),
        owner: hold.owner.clone(),
        repo: hold.repo.clone(),
        builder: hold.builder.clone(),
        worker: machine.worker,
        host: machine.host.clone(),
        created: hold.before.as_ref().map_or(now, |row| row.created),
        expires,
        seal: None,
    };
    row.seal = Some(shared.orders.key.seal(&row));
    if hold.before.is_none() {
        let written = transition!(&shared.ledger, "gomote", hold.id, |tx| {
            gomotes::insert(&mut tx, &row).await?;
            let deed = Deed {
                time: now,
                actor: row.owner.clone(),
                action: "gomote create".to_owned(),
                target: row.name.clone(),
                detail: serde_json::json!({"builder": row.builder, "worker": row.worker.to_string()})
                    .to_string(),
            };
            audit::append(&mut tx, deed).await?;
        });
        match written {
            Ok(()) => {}
            Err(StoreError::Stale) => return Err(Trouble::Stale),
            // A commit whose answer was lost.
            Err(StoreError::Conflict(_)) => {}
            Err(error) => return Err(lost(format!("it could not be written down who holds it: {error}"))),
        }
    }
    Ok(Arc::new(Session {
        id: hold.id,
        name: row.name,
        owner: row.owner,
        repo: row.repo,
        builder: row.builder,
        host: row.host,
        worker: row.worker,
        created: row.created,
        workdir,
        client: buildlet.client().clone(),
        end: CancellationToken::new(),
        expires: expires.0.into(),
        signed: Signed::default(),
    }))
}

/// Has what was held before sealed with the key of today, so that the one before may be forgotten.
pub(crate) async fn seal_again(shared: &Shared, row: &GomoteRow) {
    let seal = shared.orders.key.seal(row);
    if row.seal.as_deref() == Some(&seal) {
        return;
    }
    let write = async {
        let mut tx = shared.ledger.begin().await?;
        gomotes::reseal(&mut tx, row.id, &seal).await?;
        tx.commit().await
    };
    if let Err(error) = write.await {
        tracing::warn!(name = row.name, %error, "it is sealed with the key of today at the next start");
    }
}

/// How a hold came to its end.
enum Ended {
    GivenBack,
    Unused,
    Lost(String),
}

impl Ended {
    fn cause(&self) -> &str {
        match self {
            Ended::GivenBack => "given back",
            Ended::Unused => "not used for too long",
            Ended::Lost(reason) => reason,
        }
    }
}

async fn held(
    shared: &Shared,
    session: &Session,
    patience: Option<Duration>,
    gone: &CancellationToken,
) -> Ended {
    let mut missed = 0;
    let mut written = session.expires.load(std::sync::atomic::Ordering::Relaxed);
    let mut beat = tokio::time::interval(BEAT);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let left = session.left(shared.ledger.clock().now());
        if left.is_zero() {
            return Ended::Unused;
        }
        tokio::select! {
            () = session.end.cancelled() => return Ended::GivenBack,
            () = gone.cancelled() => return Ended::Lost("its machine is gone".to_owned()),
            // Looked at again then: it may have been used since.
            () = tokio::time::sleep(left.min(BEAT)) => {}
            _ = beat.tick() => {
                let asked = tokio::time::timeout(ANSWER, session.client.status());
                let Some(heard) = session.end.run_until_cancelled(asked).await else { continue };
                missed = if matches!(heard, Ok(Ok(_))) { 0 } else { missed + 1 };
                if missed >= MISSED && patience.is_none() {
                    return Ended::Lost(format!("its machine has not answered {MISSED} times in a row"));
                }
                let expires = session.expires.load(std::sync::atomic::Ordering::Relaxed);
                if expires != written {
                    match renewed(shared, session.id, expires).await {
                        Ok(()) => written = expires,
                        Err(error) => tracing::debug!(%error, "the end of a hold is not written down yet"),
                    }
                }
            }
        }
    }
}

async fn renewed(shared: &Shared, id: BuildId, expires: i64) -> Result<(), StoreError> {
    let mut tx = shared.ledger.begin().await?;
    gomotes::renew(&mut tx, id, store::Micros(expires)).await?;
    tx.commit().await
}

/// Writes down that a hold is over; what went wrong with that, if it did.
pub(crate) async fn note_end(shared: &Shared, id: BuildId, cause: &str) -> Option<StoreError> {
    let now = shared.ledger.clock().now();
    let noted =
        transition!(&shared.ledger, "gomote_end", id, |tx| { gomotes::end(&mut tx, id, now, cause).await? });
    noted.inspect_err(|error| tracing::warn!(%id, %error, "the end of a hold is not written down")).err()
}
