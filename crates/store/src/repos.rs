//! The dashboard's `repos`: what is watched, and whether it can be.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::statement::statements;
use crate::{Conn, Micros, StoreError, Tx};

statements! {
    PUT = "repos.put", "INSERT INTO repos (name, state, reason, default_branch, head, visibility, updated_us) \
        VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (name) DO UPDATE SET state = excluded.state, \
        reason = excluded.reason, default_branch = excluded.default_branch, head = excluded.head, \
        visibility = excluded.visibility, updated_us = excluded.updated_us";
    GET = "repos.get", "SELECT name, state, reason, default_branch, head, visibility, updated_us FROM repos \
        WHERE name = $1";
    LIST = "repos.list", "SELECT name, state, reason, default_branch, head, visibility, updated_us FROM repos \
        ORDER BY name";
}

/// A row of `repos`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepoRow {
    /// Its name.
    pub name: String,
    /// `ok` or `blocked`.
    pub state: String,
    /// Why it is blocked.
    pub reason: Option<String>,
    /// The branch that the remote's `HEAD` names.
    pub default_branch: Option<String>,
    /// That branch's commit.
    pub head: Option<String>,
    /// `public` or `private`.
    pub visibility: String,
    /// The last time anything was posted about it.
    pub updated: Micros,
}

fn row(row: &AnyRow) -> Result<RepoRow, StoreError> {
    Ok(RepoRow {
        name: row.try_get(0)?,
        state: row.try_get(1)?,
        reason: row.try_get(2)?,
        default_branch: row.try_get(3)?,
        head: row.try_get(4)?,
        visibility: row.try_get(5)?,
        updated: row.try_get(6)?,
    })
}

/// Writes a repo.
///
/// # Errors
/// The database's.
pub async fn put(tx: &mut Tx, repo: &RepoRow) -> Result<(), StoreError> {
    let query = PUT.query().bind(&*repo.name).bind(&*repo.state).bind(repo.reason.as_deref());
    let query = query.bind(repo.default_branch.as_deref()).bind(repo.head.as_deref());
    query.bind(&*repo.visibility).bind(repo.updated).execute(tx.conn()).await?;
    Ok(())
}

/// Returns a repo.
///
/// # Errors
/// The database's.
pub async fn get(on: &mut impl Conn, name: &str) -> Result<Option<RepoRow>, StoreError> {
    GET.query().bind(name).fetch_optional(on.conn()).await?.as_ref().map(row).transpose()
}

/// Lists all repos by name.
///
/// # Errors
/// The database's.
pub async fn list(on: &mut impl Conn) -> Result<Vec<RepoRow>, StoreError> {
    LIST.query().fetch_all(on.conn()).await?.iter().map(row).collect()
}
