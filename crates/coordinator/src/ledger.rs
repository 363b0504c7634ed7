//! The durable side of the coordinator: leadership, fences, and one transaction per step of a build's life.
//!
//! A transaction begins with a check of our epoch that holds a row lock until its end, so a coordinator that lost the
//! lead can't commit; each update in it is guarded by the lease's fence besides, so that a task that outlived its lease
//! can't either. Both answer [`StoreError::Stale`], upon which the task ends without another word.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use store::audit::{self, Deed};
use store::leader::{self, Epoch};
use store::{Db, StoreError, Tx};

use crate::clock::SharedClock;
use crate::hook::{Fault, SharedHooks};

/// How long a lead lasts without being renewed.
pub const LEAD: Duration = Duration::from_secs(15);

/// How a coordinator comes to lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TakeOver {
    /// Only once the leader before has not renewed in time: it may be alive on another machine.
    WhenOver,
    /// At once: the caller holds the data directory, so the leader before is dead.
    AtOnce,
}

/// Why this coordinator does not lead.
#[derive(Debug, thiserror::Error)]
pub enum LeadError {
    /// Another one leads.
    #[error("{holder} leads; its lead ends unless renewed by {until_us} µs")]
    Held {
        /// Who, in words.
        holder: String,
        /// Until when, in microseconds since 1970.
        until_us: i64,
    },
    /// The database's.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The lead, and the way to write under it.
pub struct Ledger {
    db: Db,
    epoch: Epoch,
    counter: AtomicI64,
    clock: SharedClock,
    hooks: SharedHooks,
}

impl Ledger {
    /// Takes the lead.
    ///
    /// # Errors
    /// [`LeadError::Held`] while another one has it.
    pub async fn lead(
        db: Db,
        clock: SharedClock,
        hooks: SharedHooks,
        holder: &str,
        how: TakeOver,
    ) -> Result<Ledger, LeadError> {
        let now = clock.now();
        let mut tx = db.begin().await?;
        let before = leader::current(&mut tx, leader::COORDINATOR).await?;
        if let Some(leader) = before.as_ref().filter(|leader| how == TakeOver::WhenOver && leader.until > now)
        {
            // A clock that jumped back must not keep everybody out for longer than a lead can last.
            if leader.until < now + LEAD * 2 {
                return Err(LeadError::Held { holder: leader.holder.clone(), until_us: leader.until.0 });
            }
        }
        let before = before.map(|leader| leader.epoch);
        let epoch = leader::take(&mut tx, leader::COORDINATOR, before, holder, now + LEAD).await?;
        tx.commit().await?;
        Ok(Ledger { db, epoch, counter: AtomicI64::new(0), clock, hooks })
    }

    /// Goes on leading for another [`LEAD`].
    ///
    /// # Errors
    /// [`StoreError::Stale`] if somebody else leads now.
    pub async fn renew(&self) -> Result<(), StoreError> {
        self.reach("before_renew", "").await;
        let mut tx = self.db.begin().await?;
        leader::renew(&mut tx, leader::COORDINATOR, self.epoch, self.clock.now() + LEAD).await?;
        tx.commit().await
    }

    /// Gives the lead back, so that the next one need not wait.
    ///
    /// # Errors
    /// The database's.
    pub async fn resign(&self) -> Result<(), StoreError> {
        let mut tx = self.db.begin().await?;
        leader::renew(&mut tx, leader::COORDINATOR, self.epoch, self.clock.now()).await?;
        tx.commit().await
    }

    /// Returns a fence higher than any given before, by any coordinator.
    pub fn next_fence(&self) -> i64 {
        (self.epoch.0 << 32) | (self.counter.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Begins a transaction under our lead.
    ///
    /// # Errors
    /// [`StoreError::Stale`] if somebody else leads now.
    pub async fn begin(&self) -> Result<Tx, StoreError> {
        let mut tx = self.db.begin().await?;
        leader::guard(&mut tx, leader::COORDINATOR, self.epoch).await?;
        Ok(tx)
    }

    /// Writes a deed into the audit log, where nothing else is written with it. What was done stays done if that can't be: the
    /// server's log says so then.
    pub async fn note(&self, deed: Deed) {
        let (action, target) = (deed.action.clone(), deed.target.clone());
        let noted = async {
            let mut tx = self.begin().await?;
            audit::append(&mut tx, deed).await?;
            tx.commit().await
        };
        if let Err(error) = noted.await {
            tracing::error!(action, target, %error, "a deed is not in the audit log");
        }
    }

    /// The database, for reading.
    pub fn db(&self) -> &Db {
        &self.db
    }

    /// The clock that everything here goes by.
    pub fn clock(&self) -> &SharedClock {
        &self.clock
    }

    /// Tells the hooks of a point.
    pub async fn reach(&self, point: &str, subject: &str) {
        self.hooks.reach(point, subject).await;
    }

    /// Commits the transaction of a transition, unless the hooks let something go wrong.
    ///
    /// # Errors
    /// The database's, or the hooks'.
    pub async fn commit(&self, tx: Tx, transition: &str, subject: &str) -> Result<(), StoreError> {
        if let Some(error) = self.hooks.fault(transition, subject, Fault::NotCommitted) {
            tx.rollback().await?;
            return Err(error);
        }
        tx.commit().await?;
        match self.hooks.fault(transition, subject, Fault::AnswerLost) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

/// How long to wait before the next try at a transaction that the database could not take: it is away, busy or full.
pub fn pause(tries: u32) -> Duration {
    Duration::from_millis(50 << tries.min(7))
}

/// Whether a failed transaction is to be tried again: the database will take it some day, and until then the work that it
/// would record waits where it is.
pub fn is_waitable(error: &StoreError) -> bool {
    error.is_transient() || matches!(error, StoreError::Full(_))
}

/// Runs one durable transition: begins under our lead, runs the body, commits; again after a pause where the database was
/// away, busy or full. The hooks are told before and after.
macro_rules! transition {
    ($ledger:expr, $name:literal, $subject:expr, |$tx:ident| $body:expr) => {{
        let ledger = $ledger;
        let subject = $subject.to_string();
        let mut tries = 0u32;
        loop {
            ledger.reach(concat!("before_", $name), &subject).await;
            let done: Result<_, store::StoreError> = async {
                let mut $tx = ledger.begin().await?;
                let value = $body;
                ledger.commit($tx, $name, &subject).await?;
                Ok(value)
            }
            .await;
            match done {
                Ok(value) => {
                    ledger.reach(concat!("after_", $name), &subject).await;
                    break Ok(value);
                }
                Err(error) if $crate::ledger::is_waitable(&error) => {
                    tracing::warn!(transition = $name, %subject, %error, "the database can't take a transition; trying again");
                    tokio::time::sleep($crate::ledger::pause(tries)).await;
                    tries += 1;
                }
                Err(error) => break Err(error),
            }
        }
    }};
}
pub(crate) use transition;
