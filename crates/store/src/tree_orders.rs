//! The dashboard's `tree_orders`: the status of trees that somebody set by hand.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::statement::statements;
use crate::{Conn, Micros, StoreError, Tx};

statements! {
    PUT = "tree_orders.put", "INSERT INTO tree_orders (repo, branch, status, owner, reason, since_us, until_us) \
        VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (repo, branch) DO UPDATE SET status = excluded.status, \
        owner = excluded.owner, reason = excluded.reason, since_us = excluded.since_us, \
        until_us = excluded.until_us";
    GET = "tree_orders.get", "SELECT repo, branch, status, owner, reason, since_us, until_us FROM tree_orders \
        WHERE repo = $1 AND branch = $2";
    DELETE = "tree_orders.delete", "DELETE FROM tree_orders WHERE repo = $1 AND branch = $2";
}

/// A row of `tree_orders`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderRow {
    /// The repo.
    pub repo: String,
    /// The branch.
    pub branch: String,
    /// `open`, `throttled` or `closed`.
    pub status: String,
    /// Who set it.
    pub owner: String,
    /// Why.
    pub reason: String,
    /// When.
    pub since: Micros,
    /// When it ends by itself.
    pub until: Option<Micros>,
}

fn row(row: &AnyRow) -> Result<OrderRow, StoreError> {
    Ok(OrderRow {
        repo: row.try_get(0)?,
        branch: row.try_get(1)?,
        status: row.try_get(2)?,
        owner: row.try_get(3)?,
        reason: row.try_get(4)?,
        since: row.try_get(5)?,
        until: row.try_get(6)?,
    })
}

/// Writes what somebody set, in place of what was set before.
///
/// # Errors
/// The database's.
pub async fn put(tx: &mut Tx, order: &OrderRow) -> Result<(), StoreError> {
    let query = PUT.query().bind(&*order.repo).bind(&*order.branch).bind(&*order.status);
    let query = query.bind(&*order.owner).bind(&*order.reason).bind(order.since).bind(order.until);
    query.execute(tx.conn()).await?;
    Ok(())
}

/// Returns what is set for a branch.
///
/// # Errors
/// The database's.
pub async fn get(on: &mut impl Conn, repo: &str, branch: &str) -> Result<Option<OrderRow>, StoreError> {
    GET.query().bind(repo).bind(branch).fetch_optional(on.conn()).await?.as_ref().map(row).transpose()
}

/// Forgets what is set for a branch, and returns whether anything was.
///
/// # Errors
/// The database's.
pub async fn delete(tx: &mut Tx, repo: &str, branch: &str) -> Result<bool, StoreError> {
    Ok(DELETE.query().bind(repo).bind(branch).execute(tx.conn()).await?.rows_affected() == 1)
}
