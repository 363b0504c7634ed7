//! The coordinator's `snapshots`: which object holds the built tree of a revision. A tree is uploaded under a name of its
//! attempt's own; it is a snapshot once a row says so, under the fence of whoever made it.

use sqlx::Row as _;

use crate::statement::statements;
use crate::{Conn, Micros, StoreError, Tx};

statements! {
    GET = "snapshots.get", "SELECT object FROM snapshots WHERE key = $1";
    PUT = "snapshots.put", "INSERT INTO snapshots (key, object, time_us) VALUES ($1, $2, $3) \
        ON CONFLICT (key) DO UPDATE SET object = excluded.object, time_us = excluded.time_us \
        WHERE snapshots.object = $4";
    NAMED = "snapshots.named", "SELECT COUNT(*) FROM snapshots WHERE object = $1";
}

/// Returns the object of a snapshot.
///
/// # Errors
/// The database's.
pub async fn get(on: &mut impl Conn, key: &str) -> Result<Option<String>, StoreError> {
    let row = GET.query().bind(key.to_owned()).fetch_optional(on.conn()).await?;
    row.map(|row| Ok(row.try_get(0)?)).transpose()
}

/// Gives a snapshot its object if it has none, or still has `gone`, whose content is lost. Returns the object that it has
/// then.
///
/// # Errors
/// The database's.
pub async fn put(
    tx: &mut Tx,
    key: &str,
    object: &str,
    gone: Option<&str>,
    now: Micros,
) -> Result<String, StoreError> {
    let query = PUT.query().bind(key.to_owned()).bind(object.to_owned()).bind(now);
    query.bind(gone.unwrap_or_default().to_owned()).execute(tx.conn()).await?;
    Ok(GET.query().bind(key.to_owned()).fetch_one(tx.conn()).await?.try_get(0)?)
}

/// Says whether an object is that of a snapshot.
///
/// # Errors
/// The database's.
pub async fn is_named(on: &mut impl Conn, object: &str) -> Result<bool, StoreError> {
    let row = NAMED.query().bind(object.to_owned()).fetch_one(on.conn()).await?;
    Ok(row.try_get::<i64, _>(0)? > 0)
}
