//! `legacy_building`: where a build that runs can be watched. It is believed for a while only.

use sqlx::Row as _;

use crate::statement::statements;
use crate::{Conn, Micros, StoreError, Tx};

statements! {
    PUT = "legacy_building.put", "INSERT INTO legacy_building (dash, hash, go_hash, builder, url, until_us) \
        VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (dash, hash, go_hash, builder) DO UPDATE SET \
        url = excluded.url, until_us = excluded.until_us";
    GET = "legacy_building.get", "SELECT url FROM legacy_building \
        WHERE dash = $1 AND hash = $2 AND go_hash = $3 AND builder = $4 AND until_us > $5";
    EXPIRE = "legacy_building.expire", "DELETE FROM legacy_building WHERE until_us <= $1";
}

/// What is being built.
#[derive(Debug, Clone, Copy)]
pub struct Building<'a> {
    /// The commit.
    pub hash: &'a str,
    /// The main repository's commit, empty for its own builds.
    pub go_hash: &'a str,
    /// The builder.
    pub builder: &'a str,
}

/// Notes where a build can be watched, and forgets what is over.
///
/// # Errors
/// The database's.
pub async fn put(
    tx: &mut Tx,
    dash: &str,
    building: Building<'_>,
    url: &str,
    until: Micros,
    now: Micros,
) -> Result<(), StoreError> {
    EXPIRE.query().bind(now).execute(tx.conn()).await?;
    let query = PUT.query().bind(dash).bind(building.hash).bind(building.go_hash).bind(building.builder);
    query.bind(url).bind(until).execute(tx.conn()).await?;
    Ok(())
}

/// Returns where a build can be watched, if that is known.
///
/// # Errors
/// The database's.
pub async fn get(
    on: &mut impl Conn,
    dash: &str,
    building: Building<'_>,
    now: Micros,
) -> Result<Option<String>, StoreError> {
    let query = GET.query().bind(dash).bind(building.hash).bind(building.go_hash).bind(building.builder);
    let row = query.bind(now).fetch_optional(on.conn()).await?;
    row.map(|row| Ok(row.try_get(0)?)).transpose()
}
