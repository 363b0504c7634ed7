//! The coordinator's `leases`: our hold on a worker. A worker has one live lease at most.

use crate::leader::one;
use crate::statement::statements;
use crate::{AttemptId, BuildId, Conn, LeaseId, Micros, StoreError, Tx, WorkerId};

statements! {
    INSERT = "leases.insert", "INSERT INTO leases (id, worker, build, attempt, fence, created_us, until_us) VALUES ($1, $2, $3, $4, $5, $6, $7)";
    REFENCE = "leases.refence", "UPDATE leases SET fence = $3, until_us = $4 WHERE id = $1 AND fence = $2 AND ended_us IS NULL";
    END = "leases.end", "UPDATE leases SET ended_us = $3 WHERE id = $1 AND fence = $2 AND ended_us IS NULL";
}

/// A new row of `leases`.
#[derive(Debug, Clone, Copy)]
pub struct NewLease {
    /// Its id.
    pub id: LeaseId,
    /// The worker held.
    pub worker: WorkerId,
    /// For which build.
    pub build: BuildId,
    /// For which attempt.
    pub attempt: AttemptId,
    /// The fencing token: every later one is higher.
    pub fence: i64,
    /// The longest it may last.
    pub until: Micros,
}

/// Takes hold of a worker.
///
/// # Errors
/// [`StoreError::Conflict`] if the worker is held already.
pub async fn insert(tx: &mut Tx, new: &NewLease, now: Micros) -> Result<(), StoreError> {
    let query =
        INSERT.query().bind(new.id).bind(new.worker).bind(new.build).bind(new.attempt).bind(new.fence);
    query.bind(now).bind(new.until).execute(tx.conn()).await?;
    Ok(())
}

/// Gives a live lease a new fence: somebody else holds it now.
///
/// # Errors
/// [`StoreError::Stale`] if its fence is not `old`.
pub async fn refence(tx: &mut Tx, id: LeaseId, old: i64, new: i64, until: Micros) -> Result<(), StoreError> {
    one(REFENCE.query().bind(id).bind(old).bind(new).bind(until).execute(tx.conn()).await?.rows_affected())
}

/// Lets go of a worker.
///
/// # Errors
/// [`StoreError::Stale`] if the fence is not the row's, or the lease has ended.
pub async fn end(tx: &mut Tx, id: LeaseId, fence: i64, now: Micros) -> Result<(), StoreError> {
    one(END.query().bind(id).bind(fence).bind(now).execute(tx.conn()).await?.rows_affected())
}
