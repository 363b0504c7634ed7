//! The dashboard's `branch_commits`: the first-parent line of each branch, and what a force-push left behind.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::statement::statements;
use crate::{Conn, StoreError, Tx};

statements! {
    LINE = "branch_commits.line", "SELECT position, hash, reachable FROM branch_commits \
        WHERE repo = $1 AND branch = $2 AND reachable = 1 ORDER BY position DESC LIMIT $3";
    WINDOW = "branch_commits.window", "SELECT position, hash, reachable FROM branch_commits \
        WHERE repo = $1 AND branch = $2 AND position < $3 ORDER BY position DESC LIMIT $4";
    AFTER = "branch_commits.after", "SELECT position, hash, reachable FROM branch_commits \
        WHERE repo = $1 AND branch = $2 AND position >= $3 ORDER BY position LIMIT $4";
    ABOVE = "branch_commits.above", "SELECT COUNT(*) FROM branch_commits \
        WHERE repo = $1 AND branch = $2 AND position >= $3 AND reachable = 1";
    ENDS = "branch_commits.ends", "SELECT MIN(position), MAX(position) FROM branch_commits \
        WHERE repo = $1 AND branch = $2";
    CUT = "branch_commits.cut", "UPDATE branch_commits SET reachable = 0 \
        WHERE repo = $1 AND branch = $2 AND position > $3 AND reachable = 1";
    FORGET = "branch_commits.forget", "DELETE FROM branch_commits \
        WHERE repo = $1 AND branch = $2 AND hash = $3 AND reachable = 0";
    INSERT = "branch_commits.insert", "INSERT INTO branch_commits (repo, branch, position, hash, reachable) \
        VALUES ($1, $2, $3, $4, 1)";
    OF = "branch_commits.of", "SELECT branch, reachable FROM branch_commits WHERE repo = $1 AND hash = $2 \
        ORDER BY branch";
    REACHABLE = "branch_commits.reachable", "SELECT hash FROM branch_commits \
        WHERE repo = $1 AND branch = $2 AND reachable = 1 ORDER BY position DESC";
}

/// A commit's place on a branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// A newer commit has a higher one. They only order: there may be gaps.
    pub position: i64,
    /// The commit.
    pub hash: String,
    /// Whether it is on the branch's line now.
    pub reachable: bool,
}

fn row(row: &AnyRow) -> Result<Place, StoreError> {
    let reachable: i64 = row.try_get(2)?;
    Ok(Place { position: row.try_get(0)?, hash: row.try_get(1)?, reachable: reachable != 0 })
}

/// Returns the newest commits on a branch's line, newest first.
///
/// # Errors
/// The database's.
pub async fn line(
    on: &mut impl Conn,
    repo: &str,
    branch: &str,
    limit: u32,
) -> Result<Vec<Place>, StoreError> {
    let query = LINE.query().bind(repo).bind(branch).bind(i64::from(limit));
    query.fetch_all(on.conn()).await?.iter().map(row).collect()
}

/// Returns the commits before a position, those that are no longer reachable included, newest first.
///
/// # Errors
/// The database's.
pub async fn window(
    on: &mut impl Conn,
    repo: &str,
    branch: &str,
    before: i64,
    limit: u32,
) -> Result<Vec<Place>, StoreError> {
    let query = WINDOW.query().bind(repo).bind(branch).bind(before).bind(i64::from(limit));
    query.fetch_all(on.conn()).await?.iter().map(row).collect()
}

/// Returns the commits from a position on, those that are no longer reachable included, oldest first.
///
/// # Errors
/// The database's.
pub async fn after(
    on: &mut impl Conn,
    repo: &str,
    branch: &str,
    from: i64,
    limit: u32,
) -> Result<Vec<Place>, StoreError> {
    let query = AFTER.query().bind(repo).bind(branch).bind(from).bind(i64::from(limit));
    query.fetch_all(on.conn()).await?.iter().map(row).collect()
}

/// Counts the commits on a branch's line from a position on.
///
/// # Errors
/// The database's.
pub async fn above(on: &mut impl Conn, repo: &str, branch: &str, from: i64) -> Result<u32, StoreError> {
    let row = ABOVE.query().bind(repo).bind(branch).bind(from).fetch_one(on.conn()).await?;
    Ok(u32::try_from(row.try_get::<i64, _>(0)?).unwrap_or(u32::MAX))
}

/// Returns the hashes of a branch's whole line, newest first.
///
/// # Errors
/// The database's.
pub async fn reachable(on: &mut impl Conn, repo: &str, branch: &str) -> Result<Vec<String>, StoreError> {
    let rows = REACHABLE.query().bind(repo).bind(branch).fetch_all(on.conn()).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Returns the lowest and the highest position of a branch.
///
/// # Errors
/// The database's.
pub async fn ends(on: &mut impl Conn, repo: &str, branch: &str) -> Result<Option<(i64, i64)>, StoreError> {
    let row = ENDS.query().bind(repo).bind(branch).fetch_one(on.conn()).await?;
    let (low, high): (Option<i64>, Option<i64>) = (row.try_get(0)?, row.try_get(1)?);
    Ok(low.zip(high))
}

/// Marks the commits above a position as no longer reachable, and returns how many there were.
///
/// # Errors
/// The database's.
pub async fn cut(tx: &mut Tx, repo: &str, branch: &str, above: i64) -> Result<u64, StoreError> {
    Ok(CUT.query().bind(repo).bind(branch).bind(above).execute(tx.conn()).await?.rows_affected())
}

/// Puts a commit on the line, taking it from where a force-push had left it.
///
/// # Errors
/// [`StoreError::Conflict`] if it is on the line already.
pub async fn insert(
    tx: &mut Tx,
    repo: &str,
    branch: &str,
    position: i64,
    hash: &str,
) -> Result<(), StoreError> {
    FORGET.query().bind(repo).bind(branch).bind(hash).execute(tx.conn()).await?;
    INSERT.query().bind(repo).bind(branch).bind(position).bind(hash).execute(tx.conn()).await?;
    Ok(())
}

/// Returns the branches that have a commit on their line, or had, and which of the two.
///
/// # Errors
/// The database's.
pub async fn of(on: &mut impl Conn, repo: &str, hash: &str) -> Result<Vec<(String, bool)>, StoreError> {
    let rows = OF.query().bind(repo).bind(hash).fetch_all(on.conn()).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get::<i64, _>(1)? != 0))).collect()
}
