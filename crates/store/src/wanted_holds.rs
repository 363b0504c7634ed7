//! The coordinator's `wanted_holds`: builds whose machines are to be held as they are, if they fail.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::statement::statements;
use crate::{BuildId, Conn, Micros, StoreError, Tx};

statements! {
    PUT = "wanted_holds.put", "INSERT INTO wanted_holds (build, owner, wanted_us, seal) VALUES ($1, $2, $3, $4) \
        ON CONFLICT (build) DO UPDATE SET owner = $2, wanted_us = $3, seal = $4";
    REMOVE = "wanted_holds.remove", "DELETE FROM wanted_holds WHERE build = $1";
    REMOVE_OF = "wanted_holds.remove_of", "DELETE FROM wanted_holds WHERE build = $1 AND owner = $2";
    ALL = "wanted_holds.all", "SELECT build, owner, seal FROM wanted_holds ORDER BY build";
}

/// A row of `wanted_holds`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedRow {
    /// The build.
    pub build: BuildId,
    /// Who is to have its machine.
    pub owner: String,
    /// The coordinator's signature over both, in hexadecimal digits.
    pub seal: Option<String>,
}

/// Notes that somebody is to have the machine of a build if it fails, in the place of whoever was to have it before.
///
/// # Errors
/// The database's.
pub async fn put(tx: &mut Tx, row: &WantedRow, now: Micros) -> Result<(), StoreError> {
    let query = PUT.query().bind(row.build).bind(row.owner.clone()).bind(now).bind(row.seal.clone());
    query.execute(tx.conn()).await?;
    Ok(())
}

/// Notes that nobody waits for the machine of a build any more.
///
/// # Errors
/// The database's.
pub async fn remove(tx: &mut Tx, build: BuildId) -> Result<(), StoreError> {
    REMOVE.query().bind(build).execute(tx.conn()).await?;
    Ok(())
}

/// Notes that somebody does not wait for the machine of a build any more; whoever came in their place does.
///
/// # Errors
/// The database's.
pub async fn remove_of(tx: &mut Tx, build: BuildId, owner: &str) -> Result<(), StoreError> {
    REMOVE_OF.query().bind(build).bind(owner).execute(tx.conn()).await?;
    Ok(())
}

/// Returns all.
///
/// # Errors
/// The database's.
pub async fn all(on: &mut impl Conn) -> Result<Vec<WantedRow>, StoreError> {
    let row = |row: &AnyRow| {
        Ok(WantedRow { build: row.try_get(0)?, owner: row.try_get(1)?, seal: row.try_get(2)? })
    };
    ALL.query().fetch_all(on.conn()).await?.iter().map(row).collect()
}
