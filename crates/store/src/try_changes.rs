//! The coordinator's `try_changes`: what a change under review is tried together with; and by which rules its builds are made.

use std::collections::BTreeMap;

use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::statement::statements;
use crate::{BuildId, Conn, StoreError, TryRunId, Tx};

statements! {
    PUT = "try_changes.put", "INSERT INTO try_changes (try_run, review, repo, branch, patch_set, commit_hash, how, approved) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (try_run, review, how) DO NOTHING";
    OF_RUN = "try_changes.of_run", "SELECT review, repo, branch, patch_set, commit_hash, how, approved FROM try_changes \
        WHERE try_run = $1 ORDER BY review, how";
    SET_RULES = "try_builds.set_rules", "UPDATE try_builds SET rules = $3 WHERE try_run = $1 AND build = $2";
    RULES = "try_builds.rules", "SELECT build, rules FROM try_builds WHERE try_run = $1 AND rules <> ''";
}

/// What stands in a run's way has this in the place of why it is tried too.
pub const REFUSED: &str = "refused";

/// A row of `try_changes`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TryChangeRow {
    /// The forge's own name of the change.
    pub review: String,
    /// The repo that the change is of.
    pub repo: String,
    /// The branch that it is to go to.
    pub branch: String,
    /// The patch set, from 1.
    pub patch_set: i64,
    /// Its commit; empty of what is in the run's way.
    pub commit: String,
    /// `chain`, `depends` or `topic`; [`REFUSED`].
    pub how: String,
    /// Whether somebody had approved that very patch set by itself.
    pub approved: bool,
}

fn row(row: &AnyRow) -> Result<TryChangeRow, StoreError> {
    Ok(TryChangeRow {
        review: row.try_get("review")?,
        repo: row.try_get("repo")?,
        branch: row.try_get("branch")?,
        patch_set: row.try_get("patch_set")?,
        commit: row.try_get("commit_hash")?,
        how: row.try_get("how")?,
        approved: row.try_get::<i64, _>("approved")? != 0,
    })
}

/// Writes down that a change is one of a run. One that is there stays as it is.
///
/// # Errors
/// The database's.
pub async fn put(tx: &mut Tx, run: TryRunId, change: &TryChangeRow) -> Result<(), StoreError> {
    let query = PUT.query().bind(run).bind(change.review.clone()).bind(change.repo.clone());
    let query = query.bind(change.branch.clone()).bind(change.patch_set).bind(change.commit.clone());
    query.bind(change.how.clone()).bind(i64::from(change.approved)).execute(tx.conn()).await?;
    Ok(())
}

/// Returns the changes of a run beside its own, by their names.
///
/// # Errors
/// The database's.
pub async fn of_run(on: &mut impl Conn, run: TryRunId) -> Result<Vec<TryChangeRow>, StoreError> {
    OF_RUN.query().bind(run).fetch_all(on.conn()).await?.iter().map(row).collect()
}

/// Notes by which rules a build of a run is to be made.
///
/// # Errors
/// The database's.
pub async fn set_rules(tx: &mut Tx, run: TryRunId, build: BuildId, rules: &str) -> Result<(), StoreError> {
    SET_RULES.query().bind(run).bind(build).bind(rules.to_owned()).execute(tx.conn()).await?;
    Ok(())
}

/// Returns by which rules the builds of a run are to be made, as far as that was noted.
///
/// # Errors
/// The database's.
pub async fn rules(on: &mut impl Conn, run: TryRunId) -> Result<BTreeMap<BuildId, String>, StoreError> {
    let one = |row: &AnyRow| Ok((row.try_get(0)?, row.try_get(1)?));
    RULES.query().bind(run).fetch_all(on.conn()).await?.iter().map(one).collect()
}
