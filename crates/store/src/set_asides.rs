//! `set_asides`: machines that people keep from work.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::statement::statements;
use crate::{Conn, Micros, StoreError, Tx};

statements! {
    PUT = "set_asides.put", "INSERT INTO set_asides (host, name, owner, reason, since_us, until_us) \
        VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (host, name) DO UPDATE SET owner = $3, reason = $4, since_us = $5, until_us = $6";
    SWEEP = "set_asides.sweep", "DELETE FROM set_asides WHERE until_us <= $1";
    REMOVE = "set_asides.remove", "DELETE FROM set_asides WHERE host = $1 AND name = $2";
    LIVE = "set_asides.live", "SELECT host, name, owner, reason, since_us, until_us FROM set_asides \
        WHERE until_us IS NULL OR until_us > $1 ORDER BY host, name";
}

/// A row of `set_asides`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAsideRow {
    /// The machine's host.
    pub host: String,
    /// What the machine calls itself, or its id.
    pub name: String,
    /// Who keeps it from work.
    pub owner: String,
    /// Why.
    pub reason: String,
    /// Since when.
    pub since: Micros,
    /// When it ends by itself.
    pub until: Option<Micros>,
}

/// Keeps a machine from work, in the place of what was said of it before. Those that have ended go.
///
/// # Errors
/// The database's.
pub async fn put(tx: &mut Tx, row: &SetAsideRow) -> Result<(), StoreError> {
    SWEEP.query().bind(row.since).execute(tx.conn()).await?;
    let query = PUT.query().bind(&*row.host).bind(&*row.name).bind(&*row.owner).bind(&*row.reason);
    query.bind(row.since).bind(row.until).execute(tx.conn()).await?;
    Ok(())
}

/// Lets a machine work again. Returns whether it was kept from it.
///
/// # Errors
/// The database's.
pub async fn remove(tx: &mut Tx, host: &str, name: &str) -> Result<bool, StoreError> {
    Ok(REMOVE.query().bind(host).bind(name).execute(tx.conn()).await?.rows_affected() == 1)
}

/// Returns all that have not ended.
///
/// # Errors
/// The database's.
pub async fn live(on: &mut impl Conn, now: Micros) -> Result<Vec<SetAsideRow>, StoreError> {
    LIVE.query().bind(now).fetch_all(on.conn()).await?.iter().map(row).collect()
}

fn row(row: &AnyRow) -> Result<SetAsideRow, StoreError> {
    Ok(SetAsideRow {
        host: row.try_get(0)?,
        name: row.try_get(1)?,
        owner: row.try_get(2)?,
        reason: row.try_get(3)?,
        since: row.try_get(4)?,
        until: row.try_get(5)?,
    })
}
