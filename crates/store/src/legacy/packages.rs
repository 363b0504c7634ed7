//! `legacy_packages`: the number that the next commit of a package gets.

use sqlx::Row as _;

use crate::statement::statements;
use crate::{Conn, StoreError, Tx};

statements! {
    ENSURE = "legacy_packages.ensure", "INSERT INTO legacy_packages (dash, package, next_num) VALUES ($1, $2, 1) \
        ON CONFLICT (dash, package) DO UPDATE SET next_num = legacy_packages.next_num";
    GET = "legacy_packages.get", "SELECT next_num FROM legacy_packages WHERE dash = $1 AND package = $2";
    SET = "legacy_packages.set", "UPDATE legacy_packages SET next_num = $3 WHERE dash = $1 AND package = $2";
}

/// Locks a package for this transaction, making it if there is none, and returns the number of its next commit.
///
/// # Errors
/// The database's.
pub async fn lock(tx: &mut Tx, dash: &str, package: &str) -> Result<i64, StoreError> {
    ENSURE.query().bind(dash).bind(package).execute(tx.conn()).await?;
    Ok(GET.query().bind(dash).bind(package).fetch_one(tx.conn()).await?.try_get(0)?)
}

/// Returns the number of a package's next commit, 1 if nothing was ever posted to it.
///
/// # Errors
/// The database's.
pub async fn next_num(on: &mut impl Conn, dash: &str, package: &str) -> Result<i64, StoreError> {
    let row = GET.query().bind(dash).bind(package).fetch_optional(on.conn()).await?;
    row.map_or(Ok(1), |row| Ok(row.try_get(0)?))
}

/// Sets the number of a package's next commit.
///
/// # Errors
/// The database's.
pub async fn set_next_num(tx: &mut Tx, dash: &str, package: &str, num: i64) -> Result<(), StoreError> {
    SET.query().bind(dash).bind(package).bind(num).execute(tx.conn()).await?;
    Ok(())
}
