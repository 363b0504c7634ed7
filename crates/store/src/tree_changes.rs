//! The dashboard's `tree_changes`: every change of a tree's status.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::statement::statements;
use crate::{Conn, Micros, StoreError, Tx};

statements! {
    INSERT = "tree_changes.insert", "INSERT INTO tree_changes (repo, branch, n, time_us, status, owner, reason, \
        until_us) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    NEWEST = "tree_changes.newest", "SELECT repo, branch, n, time_us, status, owner, reason, until_us \
        FROM tree_changes WHERE repo = $1 AND branch = $2 AND n < $3 ORDER BY n DESC LIMIT $4";
}

/// A row of `tree_changes`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeRow {
    /// The repo.
    pub repo: String,
    /// The branch.
    pub branch: String,
    /// Counts a branch's changes from 1 without gaps.
    pub n: i64,
    /// When.
    pub time: Micros,
    /// What it is from then on: `open`, `throttled` or `closed`.
    pub status: String,
    /// Who set it; none if the rules did.
    pub owner: Option<String>,
    /// Why.
    pub reason: String,
    /// When what was set ends by itself.
    pub until: Option<Micros>,
}

fn row(row: &AnyRow) -> Result<ChangeRow, StoreError> {
    Ok(ChangeRow {
        repo: row.try_get(0)?,
        branch: row.try_get(1)?,
        n: row.try_get(2)?,
        time: row.try_get(3)?,
        status: row.try_get(4)?,
        owner: row.try_get(5)?,
        reason: row.try_get(6)?,
        until: row.try_get(7)?,
    })
}

/// Appends a change.
///
/// # Errors
/// [`StoreError::Conflict`] if another one has its number.
pub async fn insert(tx: &mut Tx, change: &ChangeRow) -> Result<(), StoreError> {
    let query = INSERT.query().bind(&*change.repo).bind(&*change.branch).bind(change.n).bind(change.time);
    let query = query.bind(&*change.status).bind(change.owner.as_deref()).bind(&*change.reason);
    query.bind(change.until).execute(tx.conn()).await?;
    Ok(())
}

/// Returns up to `limit` changes of a branch with lower numbers than `before`, newest first.
///
/// # Errors
/// The database's.
pub async fn newest(
    on: &mut impl Conn,
    repo: &str,
    branch: &str,
    before: i64,
    limit: u32,
) -> Result<Vec<ChangeRow>, StoreError> {
    let query = NEWEST.query().bind(repo).bind(branch).bind(before).bind(i64::from(limit));
    query.fetch_all(on.conn()).await?.iter().map(row).collect()
}
