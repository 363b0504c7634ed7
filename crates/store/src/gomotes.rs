//! The coordinator's `gomotes`: machines that people hold.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::leader::one;
use crate::statement::statements;
use crate::{BuildId, Conn, Micros, StoreError, Tx, WorkerId};

statements! {
    INSERT = "gomotes.insert", "INSERT INTO gomotes (id, name, owner, repo, builder, worker, host, created_us, expires_us, seal) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    RENEW = "gomotes.renew", "UPDATE gomotes SET expires_us = $2 WHERE id = $1 AND ended_us IS NULL";
    RESEAL = "gomotes.reseal", "UPDATE gomotes SET seal = $2 WHERE id = $1 AND ended_us IS NULL";
    END = "gomotes.end", "UPDATE gomotes SET ended_us = $2, cause = $3 WHERE id = $1 AND ended_us IS NULL";
    LIVE = "gomotes.live", "SELECT id, name, owner, repo, builder, worker, host, created_us, expires_us, seal FROM gomotes \
        WHERE ended_us IS NULL ORDER BY id";
}

/// A row of `gomotes` that has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GomoteRow {
    /// What the scheduler knows it by.
    pub id: BuildId,
    /// What people know it by.
    pub name: String,
    /// Who holds it.
    pub owner: String,
    /// The repo whose builder it is; empty for one of the server's.
    pub repo: String,
    /// The builder on whose host it is.
    pub builder: String,
    /// The machine.
    pub worker: WorkerId,
    /// The machine's host.
    pub host: String,
    /// Since when.
    pub created: Micros,
    /// When it ends unless its owner uses it before.
    pub expires: Micros,
    /// The coordinator's signature over all but the times, in hexadecimal digits.
    pub seal: Option<String>,
}

/// Notes a machine that somebody holds.
///
/// # Errors
/// The database's.
pub async fn insert(tx: &mut Tx, row: &GomoteRow) -> Result<(), StoreError> {
    let GomoteRow { id, name, owner, repo, builder, worker, host, created, expires, seal } = row;
    let query = INSERT.query().bind(*id).bind(name.clone()).bind(owner.clone()).bind(repo.clone());
    let query = query.bind(builder.clone()).bind(*worker).bind(host.clone()).bind(*created).bind(*expires);
    let query = query.bind(seal.clone());
    query.execute(tx.conn()).await?;
    Ok(())
}

/// Puts the end off.
///
/// # Errors
/// [`StoreError::Stale`] if it has ended.
pub async fn renew(tx: &mut Tx, id: BuildId, expires: Micros) -> Result<(), StoreError> {
    one(RENEW.query().bind(id).bind(expires).execute(tx.conn()).await?.rows_affected())
}

/// Seals it anew.
///
/// # Errors
/// [`StoreError::Stale`] if it has ended.
pub async fn reseal(tx: &mut Tx, id: BuildId, seal: &str) -> Result<(), StoreError> {
    one(RESEAL.query().bind(id).bind(seal.to_owned()).execute(tx.conn()).await?.rows_affected())
}

/// Notes that it has ended, and why. One that has ended stays so.
///
/// # Errors
/// The database's.
pub async fn end(tx: &mut Tx, id: BuildId, now: Micros, cause: &str) -> Result<(), StoreError> {
    END.query().bind(id).bind(now).bind(cause.to_owned()).execute(tx.conn()).await?;
    Ok(())
}

/// Returns all that have not ended.
///
/// # Errors
/// The database's.
pub async fn live(on: &mut impl Conn) -> Result<Vec<GomoteRow>, StoreError> {
    LIVE.query().fetch_all(on.conn()).await?.iter().map(row).collect()
}

fn row(row: &AnyRow) -> Result<GomoteRow, StoreError> {
    Ok(GomoteRow {
        id: row.try_get("id")?,
        name: row.try_get("name")?,
        owner: row.try_get("owner")?,
        repo: row.try_get("repo")?,
        builder: row.try_get("builder")?,
        worker: row.try_get("worker")?,
        host: row.try_get("host")?,
        created: row.try_get("created_us")?,
        expires: row.try_get("expires_us")?,
        seal: row.try_get("seal")?,
    })
}
