//! The dashboard's `log_index`: a filter of each finished log, by which a search passes over logs without reading them.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::results::END;
use crate::statement::statements;
use crate::{AttemptId, BuildId, Conn, Micros, StoreError, Tx};

statements! {
    PUT = "log_index.put", "INSERT INTO log_index (attempt, filter, made_us) VALUES ($1, $2, $3) \
        ON CONFLICT (attempt) DO NOTHING";
    DONE = "log_index.done", "UPDATE logs SET indexed = 1 WHERE attempt = $1 AND finished = 1";
    REMOVE = "log_index.remove", "DELETE FROM log_index WHERE attempt = $1";
    WANTED = "log_index.wanted", "SELECT attempt FROM logs WHERE finished = 1 AND indexed = 0 \
        AND expired_us IS NULL ORDER BY attempt DESC LIMIT $1";
    // By results first, in their order: SQLite takes the tables of a CROSS JOIN as they are written, and to begin with the logs
    // it would sort all of them for each page.
    LIST = "log_index.list", "SELECT l.attempt, l.build_id, i.filter, r.builder, r.repo, r.branch, r.revision, \
        r.outcome, r.created_us, r.ended_us FROM results r CROSS JOIN logs l \
        LEFT JOIN log_index i ON i.attempt = l.attempt \
        WHERE l.build_id = r.build_id AND r.build_id <= $1 AND (r.build_id < $1 OR l.attempt < $2) AND r.build_id >= $3 \
        AND l.expired_us IS NULL AND ($4 = '' OR r.repo = $4) AND ($5 = '' OR r.builder = $5) \
        AND ($6 = '' OR r.branch = $6) AND ($7 = '' OR r.outcome = $7) \
        ORDER BY r.build_id DESC, l.attempt DESC LIMIT $8";
}

/// A log that may be searched, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexedLog {
    /// The attempt.
    pub attempt: AttemptId,
    /// Its build.
    pub build: BuildId,
    /// Its filter. `None` if it is not in the index yet, empty if it may hold anything.
    pub filter: Option<Vec<u8>>,
    /// The builder's name.
    pub builder: String,
    /// The subject's repo.
    pub repo: String,
    /// The branch.
    pub branch: String,
    /// The revision's canonical text.
    pub revision: String,
    /// How the build ended.
    pub outcome: Option<String>,
    /// When the build was made.
    pub created: Micros,
    /// When it ended.
    pub ended: Option<Micros>,
}

fn row(row: &AnyRow) -> Result<IndexedLog, StoreError> {
    Ok(IndexedLog {
        attempt: row.try_get(0)?,
        build: row.try_get(1)?,
        filter: row.try_get(2)?,
        builder: row.try_get(3)?,
        repo: row.try_get(4)?,
        branch: row.try_get(5)?,
        revision: row.try_get(6)?,
        outcome: row.try_get(7)?,
        created: row.try_get(8)?,
        ended: row.try_get(9)?,
    })
}

/// Which logs to list; what is empty takes any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Which {
    /// Of builds made at this one's time or later.
    pub since: BuildId,
    /// Of builds of this repo.
    pub repo: String,
    /// Of this builder.
    pub builder: String,
    /// Of this branch.
    pub branch: String,
    /// Of builds that ended like this.
    pub outcome: String,
}

/// Lists logs that are kept, the newest builds first, after a place in that order.
///
/// # Errors
/// The database's.
pub async fn list(
    on: &mut impl Conn,
    which: &Which,
    after: Option<(BuildId, AttemptId)>,
    limit: u32,
) -> Result<Vec<IndexedLog>, StoreError> {
    let end = || (END.to_owned(), END.to_owned());
    let (build, attempt) =
        after.map_or_else(end, |(build, attempt)| (build.to_string(), attempt.to_string()));
    let query = LIST.query().bind(build).bind(attempt).bind(which.since).bind(&*which.repo);
    let query = query.bind(&*which.builder).bind(&*which.branch).bind(&*which.outcome);
    query.bind(i64::from(limit)).fetch_all(on.conn()).await?.iter().map(row).collect()
}

/// Lists finished logs that are not in the index, the newest first.
///
/// # Errors
/// The database's.
pub async fn wanted(on: &mut impl Conn, limit: u32) -> Result<Vec<AttemptId>, StoreError> {
    let rows = WANTED.query().bind(i64::from(limit)).fetch_all(on.conn()).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Puts a finished log into the index. It never changes, so the first filter is as good as any.
///
/// # Errors
/// The database's.
pub async fn put(tx: &mut Tx, attempt: AttemptId, filter: &[u8], now: Micros) -> Result<(), StoreError> {
    PUT.query().bind(attempt).bind(filter).bind(now).execute(tx.conn()).await?;
    DONE.query().bind(attempt).execute(tx.conn()).await?;
    Ok(())
}

/// Takes a log that is kept no more out of the index.
///
/// # Errors
/// The database's.
pub async fn remove(tx: &mut Tx, attempt: AttemptId) -> Result<(), StoreError> {
    REMOVE.query().bind(attempt).execute(tx.conn()).await?;
    Ok(())
}
