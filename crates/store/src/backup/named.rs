//! Which objects rows name, and what is to be said where one of them is missing.

use std::collections::HashSet;

use futures::TryStreamExt as _;
use sqlx::Row as _;

use super::BackupError;
use crate::{Conn, Db, StoreError, migrate};

/// The first schema with logs that were posted whole.
const LEGACY_SINCE: i64 = 4;
/// The first schema whose rows can expire.
const EXPIRY_SINCE: i64 = 8;
/// So many missing objects are told by name.
const TOLD: usize = 3;

const CHUNKS_EVER: &str = "SELECT object FROM log_chunks WHERE object IS NOT NULL";
const ARTIFACTS_EVER: &str = "SELECT object FROM artifacts";
const CHUNKS: &str = "SELECT object FROM log_chunks WHERE object IS NOT NULL AND NOT EXISTS \
    (SELECT 1 FROM logs WHERE logs.attempt = log_chunks.attempt AND logs.expired_us IS NOT NULL)";
const ARTIFACTS: &str = "SELECT object FROM artifacts WHERE expired_us IS NULL";
const LEGACY: &str = "SELECT object FROM legacy_logs WHERE object IS NOT NULL";

/// Returns the objects that rows name. What expired does not count: nobody is shown it, and it may be deleted already.
pub(super) async fn all(on: &mut impl Conn) -> Result<HashSet<String>, BackupError> {
    let version = migrate::version(on).await?;
    let mut texts =
        if version < EXPIRY_SINCE { vec![CHUNKS_EVER, ARTIFACTS_EVER] } else { vec![CHUNKS, ARTIFACTS] };
    if version >= LEGACY_SINCE {
        texts.push(LEGACY);
    }
    let mut named = HashSet::new();
    for text in texts {
        let mut found = sqlx::query(text).fetch(on.conn());
        while let Some(row) = found.try_next().await.map_err(StoreError::from)? {
            named.insert(row.try_get(0).map_err(StoreError::from)?);
        }
    }
    Ok(named)
}

/// Refuses if rows name one of these now; what was named a while ago may have expired meanwhile, or been dropped from a log
/// that grew too long.
pub(super) async fn refuse(db: &Db, missing: &[String]) -> Result<(), BackupError> {
    if missing.is_empty() {
        return Ok(());
    }
    let named = all(&mut db.snapshot().await?).await?;
    let mut missing: Vec<&str> =
        missing.iter().map(String::as_str).filter(|path| named.contains(*path)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    missing.sort_unstable();
    let count = missing.len();
    missing.truncate(TOLD);
    Err(BackupError::Missing { count, first: missing.join(", ") })
}
