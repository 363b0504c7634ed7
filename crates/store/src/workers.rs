//! The coordinator's `workers`: every machine that was asked for, until it is gone.

use sqlx::Row as _;

use crate::statement::statements;
use crate::{Conn, Micros, StoreError, Tx, WorkerId};

statements! {
    INSERT = "workers.insert", "INSERT INTO workers (id, pool, host, state, created_us, seen_us) VALUES ($1, $2, $3, 'starting', $4, $4) ON CONFLICT (id) DO NOTHING";
    SET = "workers.set", "UPDATE workers SET state = $2, reason = $3, seen_us = $4 WHERE id = $1 AND gone_us IS NULL";
    READY = "workers.ready", "UPDATE workers SET state = 'idle', reason = NULL, address = $2, seen_us = $3 WHERE id = $1 AND gone_us IS NULL";
    GONE = "workers.gone", "UPDATE workers SET state = 'gone', reason = $2, gone_us = $3 WHERE id = $1 AND gone_us IS NULL";
    LIVE = "workers.live", "SELECT id, pool, host, address, state, reason, created_us, seen_us FROM workers WHERE gone_us IS NULL ORDER BY id";
}

/// A row of `workers` that is not gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerRow {
    /// Its id, and its name in its pool.
    pub id: WorkerId,
    /// Its pool.
    pub pool: String,
    /// Its host.
    pub host: String,
    /// JSON of how it is reached, once it is ready.
    pub address: Option<String>,
    /// `starting`, `idle` or `set_aside`; which build holds it is said by its live lease.
    pub state: String,
    /// Why it is set aside.
    pub reason: Option<String>,
    /// When it was asked for.
    pub created: Micros,
    /// When it was heard of last.
    pub seen: Micros,
}

/// Notes that a worker is asked for, before its pool is. Noted again, it changes nothing.
///
/// # Errors
/// The database's.
pub async fn insert(
    tx: &mut Tx,
    id: WorkerId,
    pool: &str,
    host: &str,
    now: Micros,
) -> Result<(), StoreError> {
    let query = INSERT.query().bind(id).bind(pool.to_owned()).bind(host.to_owned()).bind(now);
    query.execute(tx.conn()).await?;
    Ok(())
}

/// Notes a worker's state.
///
/// # Errors
/// The database's. A worker that is gone stays so.
pub async fn set(
    tx: &mut Tx,
    id: WorkerId,
    state: &'static str,
    reason: Option<&str>,
    now: Micros,
) -> Result<(), StoreError> {
    SET.query().bind(id).bind(state).bind(reason.map(str::to_owned)).bind(now).execute(tx.conn()).await?;
    Ok(())
}

/// Notes that a worker is ready, and how it is reached.
///
/// # Errors
/// The database's.
pub async fn ready(tx: &mut Tx, id: WorkerId, address: &str, now: Micros) -> Result<(), StoreError> {
    READY.query().bind(id).bind(address.to_owned()).bind(now).execute(tx.conn()).await?;
    Ok(())
}

/// Notes that a worker is no more.
///
/// # Errors
/// The database's.
pub async fn gone(tx: &mut Tx, id: WorkerId, reason: &str, now: Micros) -> Result<(), StoreError> {
    GONE.query().bind(id).bind(reason.to_owned()).bind(now).execute(tx.conn()).await?;
    Ok(())
}

/// Returns all workers that are not gone.
///
/// # Errors
/// The database's.
pub async fn live(on: &mut impl Conn) -> Result<Vec<WorkerRow>, StoreError> {
    let rows = LIVE.query().fetch_all(on.conn()).await?;
    rows.iter()
        .map(|row| {
            Ok(WorkerRow {
                id: row.try_get("id")?,
                pool: row.try_get("pool")?,
                host: row.try_get("host")?,
                address: row.try_get("address")?,
                state: row.try_get("state")?,
                reason: row.try_get("reason")?,
                created: row.try_get("created_us")?,
                seen: row.try_get("seen_us")?,
            })
        })
        .collect()
}
