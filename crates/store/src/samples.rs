//! The coordinator's `samples`: builds that are made to tell why another one failed.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::statement::statements;
use crate::{BuildId, Conn, StoreError, TryRunId, Tx};

statements! {
    PUT = "samples.put", "INSERT INTO samples (build, owner, place, n, counted) VALUES ($1, $2, $3, $4, 0) \
        ON CONFLICT (build) DO NOTHING";
    OF_OWNER = "samples.of_owner", "SELECT build, owner, place, n, counted FROM samples WHERE owner = $1 ORDER BY n";
    OF_RUN = "samples.of_run", "SELECT DISTINCT s.build, s.owner, s.place, s.n, s.counted FROM samples s \
        JOIN verdicts v ON v.attempt = s.owner WHERE v.try_run = $1 ORDER BY s.owner, s.n";
    COUNTED = "samples.counted", "UPDATE samples SET counted = 1 WHERE build = $1";
}

/// A row of `samples`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampleRow {
    /// The build.
    pub build: BuildId,
    /// For whom it is made: an attempt that failed, or a bisection.
    pub owner: String,
    /// `changed`, `base` or `probe`.
    pub place: String,
    /// Counts those of an owner, from 0.
    pub n: i64,
    /// Whether its owner knows what came of it.
    pub counted: bool,
}

fn row(row: &AnyRow) -> Result<SampleRow, StoreError> {
    Ok(SampleRow {
        build: row.try_get(0)?,
        owner: row.try_get(1)?,
        place: row.try_get(2)?,
        n: row.try_get(3)?,
        counted: row.try_get::<i64, _>(4)? != 0,
    })
}

/// Notes for whom a build is made; its row is inserted in the same transaction.
///
/// # Errors
/// The database's.
pub async fn put(tx: &mut Tx, sample: &SampleRow) -> Result<(), StoreError> {
    let query = PUT.query().bind(sample.build).bind(&*sample.owner).bind(&*sample.place).bind(sample.n);
    query.execute(tx.conn()).await?;
    Ok(())
}

/// Returns all that were made for an owner, in their order.
///
/// # Errors
/// The database's.
pub async fn of_owner(on: &mut impl Conn, owner: &str) -> Result<Vec<SampleRow>, StoreError> {
    OF_OWNER.query().bind(owner.to_owned()).fetch_all(on.conn()).await?.iter().map(row).collect()
}

/// Returns all that were made for the verdicts of a run.
///
/// # Errors
/// The database's.
pub async fn of_run(on: &mut impl Conn, run: TryRunId) -> Result<Vec<SampleRow>, StoreError> {
    OF_RUN.query().bind(run).fetch_all(on.conn()).await?.iter().map(row).collect()
}

/// Notes that the owner knows what came of it.
///
/// # Errors
/// The database's.
pub async fn counted(tx: &mut Tx, build: BuildId) -> Result<(), StoreError> {
    COUNTED.query().bind(build).execute(tx.conn()).await?;
    Ok(())
}
