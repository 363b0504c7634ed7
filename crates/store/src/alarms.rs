//! The coordinator's `alarms`: what is wrong with machines and builders, each with its beginning and its end.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::leader::one;
use crate::statement::statements;
use crate::{Conn, Micros, StoreError, Tx};

statements! {
    LIVE = "alarms.live", "SELECT kind, subject, began_us, ended_us, detail FROM alarms WHERE ended_us IS NULL \
        ORDER BY began_us, kind, subject";
    ENDED = "alarms.ended", "SELECT kind, subject, began_us, ended_us, detail FROM alarms WHERE ended_us IS NOT NULL \
        ORDER BY ended_us DESC, kind, subject LIMIT $1";
    BEGIN = "alarms.begin", "INSERT INTO alarms (kind, subject, began_us, detail) VALUES ($1, $2, $3, $4)";
    END = "alarms.end", "UPDATE alarms SET ended_us = $4 WHERE kind = $1 AND subject = $2 AND began_us = $3 AND ended_us IS NULL";
    PRUNE = "alarms.prune", "DELETE FROM alarms WHERE ended_us < $1";
    BUSY = "alarms.busy_builders", "SELECT DISTINCT builder FROM builds WHERE ended_us >= $1";
}

/// A row of `alarms`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlarmRow {
    /// What kind it is of.
    pub kind: String,
    /// `HOST/MACHINE`, or a builder.
    pub subject: String,
    /// When it began.
    pub began: Micros,
    /// When it ended.
    pub ended: Option<Micros>,
    /// In words, as it was when it began.
    pub detail: String,
}

fn row(row: &AnyRow) -> Result<AlarmRow, StoreError> {
    Ok(AlarmRow {
        kind: row.try_get(0)?,
        subject: row.try_get(1)?,
        began: row.try_get(2)?,
        ended: row.try_get(3)?,
        detail: row.try_get(4)?,
    })
}

/// Returns what goes on, the oldest first.
///
/// # Errors
/// The database's.
pub async fn live(on: &mut impl Conn) -> Result<Vec<AlarmRow>, StoreError> {
    LIVE.query().fetch_all(on.conn()).await?.iter().map(row).collect()
}

/// Returns what is over, the newest first.
///
/// # Errors
/// The database's.
pub async fn ended(on: &mut impl Conn, limit: u32) -> Result<Vec<AlarmRow>, StoreError> {
    ENDED.query().bind(i64::from(limit)).fetch_all(on.conn()).await?.iter().map(row).collect()
}

/// Begins one.
///
/// # Errors
/// [`StoreError::Conflict`] if it goes on already.
pub async fn begin(tx: &mut Tx, new: &AlarmRow) -> Result<(), StoreError> {
    let query = BEGIN.query().bind(&*new.kind).bind(&*new.subject).bind(new.began).bind(&*new.detail);
    query.execute(tx.conn()).await?;
    Ok(())
}

/// Ends one.
///
/// # Errors
/// [`StoreError::Stale`] if it does not go on.
pub async fn end(tx: &mut Tx, alarm: &AlarmRow, now: Micros) -> Result<(), StoreError> {
    let query = END.query().bind(&*alarm.kind).bind(&*alarm.subject).bind(alarm.began).bind(now);
    one(query.execute(tx.conn()).await?.rows_affected())
}

/// Forgets what ended before then, and returns how many.
///
/// # Errors
/// The database's.
pub async fn prune(tx: &mut Tx, before: Micros) -> Result<u64, StoreError> {
    Ok(PRUNE.query().bind(before).execute(tx.conn()).await?.rows_affected())
}

/// Returns the builders of which a build ended since then.
///
/// # Errors
/// The database's.
pub async fn busy_builders(on: &mut impl Conn, since: Micros) -> Result<Vec<String>, StoreError> {
    let rows = BUSY.query().bind(since).fetch_all(on.conn()).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}
