//! The `pubsub_events` of pubsubhelper: hints that something happened somewhere.

use sqlx::Row as _;

use crate::statement::statements;
use crate::{Conn, StoreError, Tx};

statements! {
    INSERT = "pubsub_events.insert", "INSERT INTO pubsub_events (time_ns, event, delivery) VALUES ($1, $2, $3)";
    NEWEST = "pubsub_events.newest", "SELECT time_ns, event, delivery FROM pubsub_events WHERE time_ns < $1 ORDER BY time_ns DESC LIMIT $2";
    HAS = "pubsub_events.has", "SELECT time_ns FROM pubsub_events WHERE time_ns = $1";
    FORGET = "pubsub_events.forget", "DELETE FROM pubsub_events WHERE time_ns < $1";
}

/// A row of `pubsub_events`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PubsubEventRow {
    /// When it was published: nanoseconds since 1970-01-01 UTC, of this hint alone.
    pub time_ns: i64,
    /// Its JSON, as it is answered.
    pub event: String,
    /// What its sender calls the delivery that brought it.
    pub delivery: Option<String>,
}

/// Adds a hint.
///
/// # Errors
/// [`StoreError::Conflict`] if there is one of this time; else the database's.
pub async fn add(tx: &mut Tx, row: &PubsubEventRow) -> Result<(), StoreError> {
    let query = INSERT.query().bind(row.time_ns).bind(&*row.event).bind(row.delivery.as_deref());
    query.execute(tx.conn()).await?;
    Ok(())
}

/// Returns up to `limit` hints, the newest that were published before a time, the oldest of them first.
///
/// # Errors
/// The database's.
pub async fn newest(
    on: &mut impl Conn,
    before_ns: i64,
    limit: u32,
) -> Result<Vec<PubsubEventRow>, StoreError> {
    let rows = NEWEST.query().bind(before_ns).bind(i64::from(limit)).fetch_all(on.conn()).await?;
    let row = |row: &sqlx::any::AnyRow| {
        Ok(PubsubEventRow { time_ns: row.try_get(0)?, event: row.try_get(1)?, delivery: row.try_get(2)? })
    };
    rows.iter().rev().map(row).collect()
}

/// Whether there is a hint of this time.
///
/// # Errors
/// The database's.
pub async fn has(on: &mut impl Conn, time_ns: i64) -> Result<bool, StoreError> {
    Ok(HAS.query().bind(time_ns).fetch_optional(on.conn()).await?.is_some())
}

/// Forgets what was published before a time.
///
/// # Errors
/// The database's.
pub async fn forget(tx: &mut Tx, before_ns: i64) -> Result<(), StoreError> {
    FORGET.query().bind(before_ns).execute(tx.conn()).await?;
    Ok(())
}
