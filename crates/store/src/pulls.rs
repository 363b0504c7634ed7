//! The coordinator's `pull_heads` and `pull_asks`: the heads of open pull requests, and which commit was asked for.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::statement::statements;
use crate::{Conn, StoreError, Tx};

statements! {
    HEADS = "pull_heads.all", "SELECT review, commit_hash, since_s FROM pull_heads ORDER BY review";
    PUT_HEAD = "pull_heads.put", "INSERT INTO pull_heads (review, commit_hash, since_s) VALUES ($1, $2, $3) \
        ON CONFLICT (review) DO UPDATE SET commit_hash = excluded.commit_hash, since_s = excluded.since_s";
    DROP_HEAD = "pull_heads.drop", "DELETE FROM pull_heads WHERE review = $1";
    ASKS = "pull_asks.all", "SELECT review, ask, commit_hash, kind, asked_by FROM pull_asks ORDER BY review, ask";
    PUT_ASK = "pull_asks.put", "INSERT INTO pull_asks (review, ask, commit_hash, kind, asked_by) VALUES ($1, $2, $3, $4, $5) \
        ON CONFLICT (review, ask) DO NOTHING";
    DROP_ASKS = "pull_asks.drop", "DELETE FROM pull_asks WHERE review = $1";
}

/// The head of an open pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadRow {
    /// The forge's own name of it.
    pub review: String,
    /// 40 hex digits.
    pub commit: String,
    /// The time of the first answer that had it, by the forge's clock: seconds since 1970.
    pub since: i64,
}

/// What was said of a pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskRow {
    /// The forge's own name of it.
    pub review: String,
    /// When it was said, and what it is known by; greater is later.
    pub ask: String,
    /// The one commit that it was said of.
    pub commit: String,
    /// `said`, `again` or `gone`.
    pub kind: String,
    /// Who.
    pub asked_by: String,
}

/// Returns all heads, by review.
///
/// # Errors
/// The database's.
pub async fn heads(on: &mut impl Conn) -> Result<Vec<HeadRow>, StoreError> {
    let one = |row: &AnyRow| -> Result<HeadRow, StoreError> {
        Ok(HeadRow {
            review: row.try_get("review")?,
            commit: row.try_get("commit_hash")?,
            since: row.try_get("since_s")?,
        })
    };
    HEADS.query().fetch_all(on.conn()).await?.iter().map(one).collect()
}

/// Writes a head down, in the place of the one before.
///
/// # Errors
/// The database's.
pub async fn put_head(tx: &mut Tx, head: &HeadRow) -> Result<(), StoreError> {
    let query = PUT_HEAD.query().bind(head.review.clone()).bind(head.commit.clone()).bind(head.since);
    query.execute(tx.conn()).await?;
    Ok(())
}

/// Forgets a pull request: its head and what was said of it.
///
/// # Errors
/// The database's.
pub async fn forget(tx: &mut Tx, review: &str) -> Result<(), StoreError> {
    DROP_HEAD.query().bind(review.to_owned()).execute(tx.conn()).await?;
    DROP_ASKS.query().bind(review.to_owned()).execute(tx.conn()).await?;
    Ok(())
}

/// Returns all that was said, by review and in its order.
///
/// # Errors
/// The database's.
pub async fn asks(on: &mut impl Conn) -> Result<Vec<AskRow>, StoreError> {
    let one = |row: &AnyRow| -> Result<AskRow, StoreError> {
        Ok(AskRow {
            review: row.try_get("review")?,
            ask: row.try_get("ask")?,
            commit: row.try_get("commit_hash")?,
            kind: row.try_get("kind")?,
            asked_by: row.try_get("asked_by")?,
        })
    };
    ASKS.query().fetch_all(on.conn()).await?.iter().map(one).collect()
}

/// Writes down what was said. What is there stays as it is.
///
/// # Errors
/// The database's.
pub async fn put_ask(tx: &mut Tx, ask: &AskRow) -> Result<(), StoreError> {
    let query = PUT_ASK.query().bind(ask.review.clone()).bind(ask.ask.clone()).bind(ask.commit.clone());
    query.bind(ask.kind.clone()).bind(ask.asked_by.clone()).execute(tx.conn()).await?;
    Ok(())
}
