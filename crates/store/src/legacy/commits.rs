//! `legacy_commits`: commits as the original's watcher posts them.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::statement::statements;
use crate::{Conn, Micros, StoreError, Tx};

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT hash, parent, num, author, description, time_us, branch, bench, try_patch, notified \
             FROM legacy_commits WHERE dash = $1 AND package = $2 ",
            $rest
        )
    };
}

statements! {
    GET = "legacy_commits.get", select!("AND hash = $3");
    BY_NUM = "legacy_commits.by_num", select!("AND num = $3 ORDER BY hash LIMIT 1");
    CHILD = "legacy_commits.child", select!("AND parent = $3 ORDER BY hash LIMIT 1");
    NEWEST = "legacy_commits.newest", select!("AND ($3 = '' OR branch = $3) ORDER BY num DESC, hash LIMIT $4 OFFSET $5");
    LATEST = "legacy_commits.latest", select!("ORDER BY time_us DESC, hash LIMIT 1");
    MEASURED = "legacy_commits.measured", "SELECT num, hash FROM legacy_commits WHERE dash = $1 AND package = $2 \
        AND bench = 1 ORDER BY num DESC";
    PUT = "legacy_commits.put", "INSERT INTO legacy_commits (dash, package, hash, parent, num, author, description, \
        time_us, branch, bench, try_patch, notified) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) \
        ON CONFLICT (dash, package, hash) DO UPDATE SET parent = excluded.parent, num = excluded.num, \
        author = excluded.author, description = excluded.description, time_us = excluded.time_us, \
        branch = excluded.branch, bench = excluded.bench, try_patch = excluded.try_patch";
    NOTIFIED = "legacy_commits.notified", "UPDATE legacy_commits SET notified = 1 \
        WHERE dash = $1 AND package = $2 AND hash = $3 AND notified = 0";
}

/// A row of `legacy_commits`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitRow {
    /// Its name; 40 hexadecimal digits, which nobody checks.
    pub hash: String,
    /// Its first parent; empty or zeros if there is none.
    pub parent: String,
    /// Its number in the package, from 1.
    pub num: i64,
    /// `Name <address>`.
    pub user: String,
    /// The beginning of its message.
    pub desc: String,
    /// When it was committed.
    pub time: Micros,
    /// Its branch.
    pub branch: String,
    /// Whether it is to be measured.
    pub bench: bool,
    /// Whether it is of a try run.
    pub try_patch: bool,
    /// Whether a failure of it was told.
    pub notified: bool,
}

fn row(row: &AnyRow) -> Result<CommitRow, StoreError> {
    let truth = |at: usize| Ok::<_, StoreError>(row.try_get::<i64, _>(at)? != 0);
    Ok(CommitRow {
        hash: row.try_get(0)?,
        parent: row.try_get(1)?,
        num: row.try_get(2)?,
        user: row.try_get(3)?,
        desc: row.try_get(4)?,
        time: row.try_get(5)?,
        branch: row.try_get(6)?,
        bench: truth(7)?,
        try_patch: truth(8)?,
        notified: truth(9)?,
    })
}

/// Returns a commit.
///
/// # Errors
/// The database's.
pub async fn get(
    on: &mut impl Conn,
    dash: &str,
    package: &str,
    hash: &str,
) -> Result<Option<CommitRow>, StoreError> {
    let query = GET.query().bind(dash).bind(package).bind(hash);
    query.fetch_optional(on.conn()).await?.as_ref().map(row).transpose()
}

/// Returns the commit of a number.
///
/// # Errors
/// The database's.
pub async fn by_num(
    on: &mut impl Conn,
    dash: &str,
    package: &str,
    num: i64,
) -> Result<Option<CommitRow>, StoreError> {
    let query = BY_NUM.query().bind(dash).bind(package).bind(num);
    query.fetch_optional(on.conn()).await?.as_ref().map(row).transpose()
}

/// Returns the first commit, by hash, whose parent is `parent`.
///
/// # Errors
/// The database's.
pub async fn child(
    on: &mut impl Conn,
    dash: &str,
    package: &str,
    parent: &str,
) -> Result<Option<CommitRow>, StoreError> {
    let query = CHILD.query().bind(dash).bind(package).bind(parent);
    query.fetch_optional(on.conn()).await?.as_ref().map(row).transpose()
}

/// Returns the commits with the highest numbers; an empty `branch` takes those of all branches.
///
/// # Errors
/// The database's.
pub async fn newest(
    on: &mut impl Conn,
    dash: &str,
    package: &str,
    branch: &str,
    limit: u32,
    offset: u32,
) -> Result<Vec<CommitRow>, StoreError> {
    let query = NEWEST.query().bind(dash).bind(package).bind(branch);
    let query = query.bind(i64::from(limit)).bind(i64::from(offset));
    query.fetch_all(on.conn()).await?.iter().map(row).collect()
}

/// Returns the commit with the latest time, of several the first by hash.
///
/// # Errors
/// The database's.
pub async fn latest(on: &mut impl Conn, dash: &str, package: &str) -> Result<Option<CommitRow>, StoreError> {
    let query = LATEST.query().bind(dash).bind(package);
    query.fetch_optional(on.conn()).await?.as_ref().map(row).transpose()
}

/// Returns numbers and hashes of the commits that are to be measured, the newest first.
///
/// # Errors
/// The database's.
pub async fn measured(
    on: &mut impl Conn,
    dash: &str,
    package: &str,
) -> Result<Vec<(i64, String)>, StoreError> {
    let rows = MEASURED.query().bind(dash).bind(package).fetch_all(on.conn()).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// Writes a commit; whether a failure of it was told stays as it is.
///
/// # Errors
/// The database's.
pub async fn put(tx: &mut Tx, dash: &str, package: &str, commit: &CommitRow) -> Result<(), StoreError> {
    let query = PUT.query().bind(dash).bind(package).bind(&*commit.hash).bind(&*commit.parent);
    let query = query.bind(commit.num).bind(&*commit.user).bind(&*commit.desc).bind(commit.time);
    let query = query.bind(&*commit.branch).bind(i64::from(commit.bench));
    query.bind(i64::from(commit.try_patch)).bind(i64::from(commit.notified)).execute(tx.conn()).await?;
    Ok(())
}

/// Notes that a failure of a commit is told; returns whether nobody had noted it before.
///
/// # Errors
/// The database's.
pub async fn notified(tx: &mut Tx, dash: &str, package: &str, hash: &str) -> Result<bool, StoreError> {
    let query = NOTIFIED.query().bind(dash).bind(package).bind(hash);
    Ok(query.execute(tx.conn()).await?.rows_affected() == 1)
}
