//! `legacy_logs`: logs that were posted whole, by the SHA-1 of their text.

use sqlx::Row as _;

use crate::statement::statements;
use crate::{Conn, Micros, StoreError, Tx};

statements! {
    PUT = "legacy_logs.put", "INSERT INTO legacy_logs (sha1, bytes, inline, object, time_us) \
        VALUES ($1, $2, $3, $4, $5) ON CONFLICT (sha1) DO NOTHING";
    GET = "legacy_logs.get", "SELECT bytes, inline, object FROM legacy_logs WHERE sha1 = $1";
}

/// A row of `legacy_logs`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRow {
    /// Its size, in bytes as written.
    pub bytes: i64,
    /// Its content, a zstd frame, or
    pub inline: Option<Vec<u8>>,
    /// the object that holds it.
    pub object: Option<String>,
}

/// Writes a log unless it is there: a text has one SHA-1.
///
/// # Errors
/// The database's.
pub async fn put(tx: &mut Tx, sha1: &str, log: &LogRow, now: Micros) -> Result<(), StoreError> {
    let query = PUT.query().bind(sha1).bind(log.bytes).bind(log.inline.as_deref());
    query.bind(log.object.as_deref()).bind(now).execute(tx.conn()).await?;
    Ok(())
}

/// Returns a log.
///
/// # Errors
/// The database's.
pub async fn get(on: &mut impl Conn, sha1: &str) -> Result<Option<LogRow>, StoreError> {
    let row = GET.query().bind(sha1).fetch_optional(on.conn()).await?;
    let log = |row: sqlx::any::AnyRow| {
        Ok(LogRow { bytes: row.try_get(0)?, inline: row.try_get(1)?, object: row.try_get(2)? })
    };
    row.map(log).transpose()
}
