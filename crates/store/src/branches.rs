//! The dashboard's `branches`: where each watched branch is.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::statement::statements;
use crate::{Conn, Micros, StoreError, Tx};

statements! {
    PUT = "branches.put", "INSERT INTO branches (repo, branch, head, is_default, deleted, updated_us) \
        VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (repo, branch) DO UPDATE SET head = excluded.head, \
        is_default = excluded.is_default, deleted = excluded.deleted, updated_us = excluded.updated_us";
    LOCK = "branches.lock", "INSERT INTO branches (repo, branch, head, is_default, deleted, updated_us) \
        VALUES ($1, $2, NULL, 0, 1, $3) ON CONFLICT (repo, branch) DO UPDATE SET updated_us = branches.updated_us";
    GET = "branches.get", "SELECT repo, branch, head, is_default, deleted, updated_us FROM branches \
        WHERE repo = $1 AND branch = $2";
    LIST = "branches.list", "SELECT repo, branch, head, is_default, deleted, updated_us FROM branches \
        ORDER BY repo, branch";
}

/// A row of `branches`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BranchRow {
    /// Its repo.
    pub repo: String,
    /// Its name.
    pub branch: String,
    /// Its commit; none once it is deleted.
    pub head: Option<String>,
    /// Whether it is the repo's default branch.
    pub is_default: bool,
    /// Whether it was deleted.
    pub deleted: bool,
    /// The last time it was posted with a change.
    pub updated: Micros,
}

fn row(row: &AnyRow) -> Result<BranchRow, StoreError> {
    Ok(BranchRow {
        repo: row.try_get(0)?,
        branch: row.try_get(1)?,
        head: row.try_get(2)?,
        is_default: row.try_get::<i64, _>(3)? != 0,
        deleted: row.try_get::<i64, _>(4)? != 0,
        updated: row.try_get(5)?,
    })
}

/// Locks a branch for this transaction, making an empty row if there is none, and returns it.
///
/// # Errors
/// The database's.
pub async fn lock(tx: &mut Tx, repo: &str, branch: &str, now: Micros) -> Result<BranchRow, StoreError> {
    LOCK.query().bind(repo).bind(branch).bind(now).execute(tx.conn()).await?;
    row(&GET.query().bind(repo).bind(branch).fetch_one(tx.conn()).await?)
}

/// Writes a branch.
///
/// # Errors
/// The database's.
pub async fn put(tx: &mut Tx, branch: &BranchRow) -> Result<(), StoreError> {
    let query = PUT.query().bind(&*branch.repo).bind(&*branch.branch).bind(branch.head.as_deref());
    let query = query.bind(i64::from(branch.is_default)).bind(i64::from(branch.deleted));
    query.bind(branch.updated).execute(tx.conn()).await?;
    Ok(())
}

/// Returns a branch.
///
/// # Errors
/// The database's.
pub async fn get(on: &mut impl Conn, repo: &str, branch: &str) -> Result<Option<BranchRow>, StoreError> {
    GET.query().bind(repo).bind(branch).fetch_optional(on.conn()).await?.as_ref().map(row).transpose()
}

/// Lists all branches of all repos by name, deleted ones included.
///
/// # Errors
/// The database's.
pub async fn list(on: &mut impl Conn) -> Result<Vec<BranchRow>, StoreError> {
    LIST.query().fetch_all(on.conn()).await?.iter().map(row).collect()
}
