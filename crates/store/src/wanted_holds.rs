//! The coordinator's `wanted_holds`: builds whose machines are to be held as they are, if they fail.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::statement::statements;
use crate::{BuildId, Conn, Micros, StoreError, Tx};

statements! {
    PUT = "wanted_holds.put", "INSERT INTO wanted_holds (build, owner, wanted_us) VALUES ($1, $2, $3) \
        ON CONFLICT (build) DO UPDATE SET owner = $2, wanted_us = $3";
    REMOVE = "wanted_holds.remove", "DELETE FROM wanted_holds WHERE build = $1";
    REMOVE_OF = "wanted_holds.remove_of", "DELETE FROM wanted_holds WHERE build = $1 AND owner = $2";
    ALL = "wanted_holds.all", "SELECT build, owner FROM wanted_holds ORDER BY build";
}

/// Notes that somebody is to have the machine of a build if it fails, in the place of whoever was to have it before.
///
/// # Errors
/// The database's.
pub async fn put(tx: &mut Tx, build: BuildId, owner: &str, now: Micros) -> Result<(), StoreError> {
    PUT.query().bind(build).bind(owner).bind(now).execute(tx.conn()).await?;
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

/// Returns all, each build with who is to have its machine.
///
/// # Errors
/// The database's.
pub async fn all(on: &mut impl Conn) -> Result<Vec<(BuildId, String)>, StoreError> {
    let row = |row: &AnyRow| Ok((row.try_get(0)?, row.try_get(1)?));
    ALL.query().fetch_all(on.conn()).await?.iter().map(row).collect()
}
