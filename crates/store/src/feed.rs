//! The dashboard's `feed`: what happened to builds and branches, numbered in the order in which it became visible.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::statement::statements;
use crate::{Conn, Micros, StoreError, Tx};

statements! {
    NEXT = "feed.next", "INSERT INTO feed_last (id, seq) VALUES (1, 1) \
        ON CONFLICT (id) DO UPDATE SET seq = feed_last.seq + 1 RETURNING seq";
    INSERT = "feed.insert", "INSERT INTO feed (seq, time_us, kind, repo, branch, builder, build_id, revision, outcome) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    LAST = "feed.last", "SELECT CAST(COALESCE(MAX(seq), 0) AS BIGINT) FROM feed_last";
    FIRST = "feed.first", "SELECT CAST(COALESCE(MIN(seq), 0) AS BIGINT) FROM feed";
    AFTER = "feed.after", "SELECT seq, time_us, kind, repo, branch, builder, build_id, revision, outcome FROM feed \
        WHERE seq > $1 ORDER BY seq LIMIT $2";
    FORGET = "feed.forget", "DELETE FROM feed WHERE seq <= $1";
}

/// A row of `feed`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedRow {
    /// Its number; given when it is written.
    pub seq: i64,
    /// When it happened.
    pub time: Micros,
    /// `queued`, `started`, `finished` or `commit`.
    pub kind: String,
    /// The repo.
    pub repo: String,
    /// The branch.
    pub branch: String,
    /// The builder's name; empty where it is not about a build.
    pub builder: String,
    /// The build; empty where it is not about one.
    pub build: String,
    /// The revision, `repo@commit+repo@commit`.
    pub revision: String,
    /// How the build ended.
    pub outcome: Option<String>,
}

fn row(row: &AnyRow) -> Result<FeedRow, StoreError> {
    Ok(FeedRow {
        seq: row.try_get(0)?,
        time: row.try_get(1)?,
        kind: row.try_get(2)?,
        repo: row.try_get(3)?,
        branch: row.try_get(4)?,
        builder: row.try_get(5)?,
        build: row.try_get(6)?,
        revision: row.try_get(7)?,
        outcome: row.try_get(8)?,
    })
}

/// Adds an event under the next number, and forgets what is more than `kept` numbers old. The last thing that a
/// transaction does: from here on other writers wait for its end.
///
/// # Errors
/// The database's.
pub async fn add(tx: &mut Tx, event: &FeedRow, kept: i64) -> Result<i64, StoreError> {
    let seq: i64 = NEXT.query().fetch_one(tx.conn()).await?.try_get(0)?;
    let query = INSERT.query().bind(seq).bind(event.time).bind(&*event.kind).bind(&*event.repo);
    let query = query.bind(&*event.branch).bind(&*event.builder).bind(&*event.build).bind(&*event.revision);
    query.bind(event.outcome.as_deref()).execute(tx.conn()).await?;
    if seq > kept {
        FORGET.query().bind(seq - kept).execute(tx.conn()).await?;
    }
    Ok(seq)
}

/// Returns the first and the last number that is known; the last is 0 where nothing has happened, the first one more than
/// the last where all is forgotten.
///
/// # Errors
/// The database's.
pub async fn ends(on: &mut impl Conn) -> Result<(i64, i64), StoreError> {
    let last: i64 = LAST.query().fetch_one(on.conn()).await?.try_get(0)?;
    let first: i64 = FIRST.query().fetch_one(on.conn()).await?.try_get(0)?;
    Ok((if first == 0 { last + 1 } else { first }, last))
}

/// Returns up to `limit` events after `seq`, in order.
///
/// # Errors
/// The database's.
pub async fn after(on: &mut impl Conn, seq: i64, limit: u32) -> Result<Vec<FeedRow>, StoreError> {
    let query = AFTER.query().bind(seq).bind(i64::from(limit));
    query.fetch_all(on.conn()).await?.iter().map(row).collect()
}
