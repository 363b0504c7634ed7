//! The coordinator's `standings`: how each builder does on each branch.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::statement::statements;
use crate::{BuildId, Conn, Micros, StoreError, Tx};

statements! {
    GET = "standings.get", "SELECT builder, repo, branch, toolchain_branch, state, was_ok, told, build, newest_us, \
        since_build, since_revision, since_us FROM standings \
        WHERE builder = $1 AND repo = $2 AND branch = $3 AND toolchain_branch = $4";
    PUT = "standings.put", "INSERT INTO standings (builder, repo, branch, toolchain_branch, state, was_ok, told, build, \
        newest_us, since_build, since_revision, since_us) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) \
        ON CONFLICT (builder, repo, branch, toolchain_branch) DO UPDATE SET state = excluded.state, \
        was_ok = excluded.was_ok, told = excluded.told, build = excluded.build, newest_us = excluded.newest_us, \
        since_build = excluded.since_build, since_revision = excluded.since_revision, since_us = excluded.since_us";
}

/// Which builder on which branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The builder.
    pub builder: String,
    /// The repo.
    pub repo: String,
    /// The branch.
    pub branch: String,
    /// The branch of the toolchain's repo; empty where there is none.
    pub toolchain_branch: String,
}

/// A row of `standings`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandingRow {
    /// Of what.
    pub place: Place,
    /// `ok`, `suspect` or `failed`.
    pub state: String,
    /// Whether it was ever ok.
    pub was_ok: bool,
    /// Whether it was told that it is broken.
    pub told: bool,
    /// The newest build that counts.
    pub build: BuildId,
    /// The time of its commit.
    pub newest: Micros,
    /// The first build of this state; of `failed`, the first that failed.
    pub since_build: BuildId,
    /// That build's revision.
    pub since_revision: String,
    /// When that build ended.
    pub since: Micros,
}

fn row(row: &AnyRow) -> Result<StandingRow, StoreError> {
    Ok(StandingRow {
        place: Place {
            builder: row.try_get(0)?,
            repo: row.try_get(1)?,
            branch: row.try_get(2)?,
            toolchain_branch: row.try_get(3)?,
        },
        state: row.try_get(4)?,
        was_ok: row.try_get::<i64, _>(5)? != 0,
        told: row.try_get::<i64, _>(6)? != 0,
        build: row.try_get(7)?,
        newest: row.try_get(8)?,
        since_build: row.try_get(9)?,
        since_revision: row.try_get(10)?,
        since: row.try_get(11)?,
    })
}

/// Returns how a builder does on a branch, if that is known.
///
/// # Errors
/// The database's.
pub async fn get(on: &mut impl Conn, place: &Place) -> Result<Option<StandingRow>, StoreError> {
    let query = GET.query().bind(&*place.builder).bind(&*place.repo).bind(&*place.branch);
    query.bind(&*place.toolchain_branch).fetch_optional(on.conn()).await?.as_ref().map(row).transpose()
}

/// Notes how a builder does on a branch.
///
/// # Errors
/// The database's.
pub async fn put(tx: &mut Tx, new: &StandingRow) -> Result<(), StoreError> {
    let place = &new.place;
    let query = PUT.query().bind(&*place.builder).bind(&*place.repo).bind(&*place.branch);
    let query = query.bind(&*place.toolchain_branch).bind(&*new.state).bind(i64::from(new.was_ok));
    let query = query.bind(i64::from(new.told)).bind(new.build).bind(new.newest).bind(new.since_build);
    query.bind(&*new.since_revision).bind(new.since).execute(tx.conn()).await?;
    Ok(())
}
