//! `legacy_notices`: which commit broke which builder first. Sending it is another's task.

use sqlx::Row as _;

use crate::statement::statements;
use crate::{Conn, Micros, StoreError, Tx};

statements! {
    INSERT = "legacy_notices.insert", "INSERT INTO legacy_notices (dash, hash, builder, log_hash, time_us) \
        VALUES ($1, $2, $3, $4, $5) ON CONFLICT (dash, hash) DO NOTHING";
    LIST = "legacy_notices.list", "SELECT hash, builder, log_hash, time_us FROM legacy_notices WHERE dash = $1 \
        ORDER BY time_us, hash LIMIT $2";
}

/// A row of `legacy_notices`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticeRow {
    /// The commit.
    pub hash: String,
    /// The builder that it broke.
    pub builder: String,
    /// The SHA-1 of the log that shows it, or empty.
    pub log_hash: String,
    /// When that was found.
    pub time: Micros,
}

/// Writes a notice unless there is one of this commit.
///
/// # Errors
/// The database's.
pub async fn insert(tx: &mut Tx, dash: &str, notice: &NoticeRow) -> Result<(), StoreError> {
    let query = INSERT.query().bind(dash).bind(&*notice.hash).bind(&*notice.builder);
    query.bind(&*notice.log_hash).bind(notice.time).execute(tx.conn()).await?;
    Ok(())
}

/// Lists notices, the oldest first.
///
/// # Errors
/// The database's.
pub async fn list(on: &mut impl Conn, dash: &str, limit: u32) -> Result<Vec<NoticeRow>, StoreError> {
    let rows = LIST.query().bind(dash).bind(i64::from(limit)).fetch_all(on.conn()).await?;
    rows.iter()
        .map(|row| {
            Ok(NoticeRow {
                hash: row.try_get(0)?,
                builder: row.try_get(1)?,
                log_hash: row.try_get(2)?,
                time: row.try_get(3)?,
            })
        })
        .collect()
}
