//! What is kept no more: statements over the dashboard's tables, of builds that are done.
//!
//! Each step is a transaction of its own and can be done again: first rows say that they are expired, later the objects
//! that they name are deleted, and then the rows say that they are cleared.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::statement::statements;
use crate::{AttemptId, BuildId, Conn, Micros, StoreError, Tx};

statements! {
    HELD = "retention.held", "SELECT build_id, builder, repo, branch, outcome, ended_us, \
        (SELECT COUNT(*) FROM logs WHERE logs.build_id = results.build_id AND logs.expired_us IS NULL), \
        (SELECT CAST(COALESCE(SUM(logs.bytes), 0) AS BIGINT) FROM logs WHERE logs.build_id = results.build_id \
            AND logs.expired_us IS NULL), \
        (SELECT COUNT(*) FROM artifacts WHERE artifacts.build_id = results.build_id \
            AND artifacts.expired_us IS NULL), \
        (SELECT CAST(COALESCE(SUM(artifacts.size), 0) AS BIGINT) FROM artifacts \
            WHERE artifacts.build_id = results.build_id AND artifacts.expired_us IS NULL), \
        (SELECT COUNT(*) FROM test_results WHERE test_results.build_id = results.build_id) \
        FROM results WHERE build_id > $1 AND state = 'done' AND ended_us < $2 ORDER BY build_id LIMIT $3";
    GREEN = "retention.green", "SELECT build_id FROM results WHERE builder = $1 AND repo = $2 AND branch = $3 \
        AND sample = 0 AND state = 'done' AND outcome = 'ok' ORDER BY build_id DESC LIMIT $4";
    EXPIRE_LOGS = "retention.expire_logs", "UPDATE logs SET expired_us = $2 WHERE build_id = $1 \
        AND expired_us IS NULL AND EXISTS (SELECT 1 FROM results WHERE results.build_id = $1 \
        AND results.state = 'done' AND results.ended_us = $3)";
    EXPIRE_ARTIFACTS = "retention.expire_artifacts", "UPDATE artifacts SET expired_us = $2 WHERE build_id = $1 \
        AND expired_us IS NULL AND EXISTS (SELECT 1 FROM results WHERE results.build_id = $1 \
        AND results.state = 'done' AND results.ended_us = $3)";
    EXPIRE_TESTS = "retention.expire_tests", "DELETE FROM test_results WHERE build_id = $1 \
        AND EXISTS (SELECT 1 FROM results WHERE results.build_id = $1 AND results.state = 'done' \
        AND results.ended_us = $2)";
    EXPIRE_NAMES = "retention.expire_names", "DELETE FROM test_names WHERE last_build = $1 \
        AND NOT EXISTS (SELECT 1 FROM test_results WHERE test_results.build_id = $1)";
    LOGS_TO_CLEAR = "retention.logs_to_clear", "SELECT attempt, bytes FROM logs WHERE expired_us IS NOT NULL \
        AND cleared = 0 AND expired_us < $1 ORDER BY expired_us, attempt LIMIT $2";
    CHUNKS = "retention.chunks", "SELECT n, object FROM log_chunks WHERE attempt = $1 AND n > $2 ORDER BY n LIMIT $3";
    DROP_CHUNKS = "retention.drop_chunks", "DELETE FROM log_chunks WHERE attempt = $1 AND n <= $2 \
        AND EXISTS (SELECT 1 FROM logs WHERE logs.attempt = $1 AND logs.expired_us IS NOT NULL)";
    LOG_CLEARED = "retention.log_cleared", "UPDATE logs SET cleared = 1 WHERE attempt = $1 \
        AND expired_us IS NOT NULL";
    ARTIFACTS_TO_CLEAR = "retention.artifacts_to_clear", "SELECT attempt, name, object, size FROM artifacts \
        WHERE expired_us IS NOT NULL AND cleared = 0 AND expired_us < $1 ORDER BY expired_us, attempt, name LIMIT $2";
    ARTIFACT_CLEARED = "retention.artifact_cleared", "UPDATE artifacts SET cleared = 1 WHERE attempt = $1 \
        AND name = $2 AND expired_us IS NOT NULL";
    NAMED = "retention.artifact_named", "SELECT COUNT(*) FROM artifacts WHERE object = $1 AND cleared = 0 \
        AND (expired_us IS NULL OR expired_us >= $2)";
}

/// A build that is done, and what of it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The build.
    pub build: BuildId,
    /// Its builder.
    pub builder: String,
    /// The subject's repo.
    pub repo: String,
    /// The branch.
    pub branch: String,
    /// How it ended.
    pub outcome: String,
    /// When.
    pub ended: Micros,
    /// Logs that are kept, and their bytes.
    pub logs: (i64, i64),
    /// Artefacts that are kept, and their bytes.
    pub artifacts: (i64, i64),
    /// Test results.
    pub tests: i64,
}

fn held_row(row: &AnyRow) -> Result<Held, StoreError> {
    Ok(Held {
        build: row.try_get(0)?,
        builder: row.try_get(1)?,
        repo: row.try_get(2)?,
        branch: row.try_get(3)?,
        outcome: row.try_get::<Option<String>, _>(4)?.unwrap_or_default(),
        ended: row.try_get(5)?,
        logs: (row.try_get(6)?, row.try_get(7)?),
        artifacts: (row.try_get(8)?, row.try_get(9)?),
        tests: row.try_get(10)?,
    })
}

/// Lists builds that ended before a moment, by their ids after `after` (a text; empty for all).
///
/// # Errors
/// The database's.
pub async fn held(
    on: &mut impl Conn,
    after: &str,
    before: Micros,
    limit: u32,
) -> Result<Vec<Held>, StoreError> {
    let query = HELD.query().bind(after.to_owned()).bind(before).bind(i64::from(limit));
    query.fetch_all(on.conn()).await?.iter().map(held_row).collect()
}

/// Returns the newest builds of a builder on a branch that were green.
///
/// # Errors
/// The database's.
pub async fn green(
    on: &mut impl Conn,
    builder: &str,
    repo: &str,
    branch: &str,
    limit: u32,
) -> Result<Vec<BuildId>, StoreError> {
    let query = GREEN.query().bind(builder.to_owned()).bind(repo.to_owned()).bind(branch.to_owned());
    let rows = query.bind(i64::from(limit)).fetch_all(on.conn()).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Says of a build's logs that they are kept no more, if it is still the build that ended then.
///
/// # Errors
/// The database's.
pub async fn expire_logs(tx: &mut Tx, build: BuildId, ended: Micros, now: Micros) -> Result<u64, StoreError> {
    Ok(EXPIRE_LOGS.query().bind(build).bind(now).bind(ended).execute(tx.conn()).await?.rows_affected())
}

/// As [`expire_logs`], of its artefacts.
///
/// # Errors
/// The database's.
pub async fn expire_artifacts(
    tx: &mut Tx,
    build: BuildId,
    ended: Micros,
    now: Micros,
) -> Result<u64, StoreError> {
    Ok(EXPIRE_ARTIFACTS.query().bind(build).bind(now).bind(ended).execute(tx.conn()).await?.rows_affected())
}

/// Deletes a build's test results, if it is still the build that ended then.
///
/// # Errors
/// The database's.
pub async fn expire_tests(tx: &mut Tx, build: BuildId, ended: Micros) -> Result<u64, StoreError> {
    let gone = EXPIRE_TESTS.query().bind(build).bind(ended).execute(tx.conn()).await?.rows_affected();
    // Tests of which there is no newer result are found no more.
    EXPIRE_NAMES.query().bind(build).execute(tx.conn()).await?;
    Ok(gone)
}

/// Lists logs that expired before a moment and are not cleared, with their bytes.
///
/// # Errors
/// The database's.
pub async fn logs_to_clear(
    on: &mut impl Conn,
    before: Micros,
    limit: u32,
) -> Result<Vec<(AttemptId, i64)>, StoreError> {
    let rows = LOGS_TO_CLEAR.query().bind(before).bind(i64::from(limit)).fetch_all(on.conn()).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// Lists the numbers of a log's chunks after number `n`, and the objects of those that have one.
///
/// # Errors
/// The database's.
pub async fn chunks(
    on: &mut impl Conn,
    attempt: AttemptId,
    n: i64,
    limit: u32,
) -> Result<Vec<(i64, Option<String>)>, StoreError> {
    let query = CHUNKS.query().bind(attempt).bind(n).bind(i64::from(limit));
    let rows = query.fetch_all(on.conn()).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// Deletes the chunks of an expired log up to number `n`.
///
/// # Errors
/// The database's.
pub async fn drop_chunks(tx: &mut Tx, attempt: AttemptId, n: i64) -> Result<u64, StoreError> {
    Ok(DROP_CHUNKS.query().bind(attempt).bind(n).execute(tx.conn()).await?.rows_affected())
}

/// Says that nothing of a log is left.
///
/// # Errors
/// The database's.
pub async fn log_cleared(tx: &mut Tx, attempt: AttemptId) -> Result<(), StoreError> {
    LOG_CLEARED.query().bind(attempt).execute(tx.conn()).await?;
    Ok(())
}

/// An artefact that is kept no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expired {
    /// The attempt that made it.
    pub attempt: AttemptId,
    /// Its name.
    pub name: String,
    /// The object that holds it, and maybe others too.
    pub object: String,
    /// Its size in bytes.
    pub size: i64,
}

/// Lists artefacts that expired before a moment and are not cleared.
///
/// # Errors
/// The database's.
pub async fn artifacts_to_clear(
    on: &mut impl Conn,
    before: Micros,
    limit: u32,
) -> Result<Vec<Expired>, StoreError> {
    let rows = ARTIFACTS_TO_CLEAR.query().bind(before).bind(i64::from(limit)).fetch_all(on.conn()).await?;
    rows.iter()
        .map(|row| {
            Ok(Expired {
                attempt: row.try_get(0)?,
                name: row.try_get(1)?,
                object: row.try_get(2)?,
                size: row.try_get(3)?,
            })
        })
        .collect()
}

/// Says whether an object is the content of an artefact that is kept, or that expired at this moment or later and is not
/// cleared.
///
/// # Errors
/// The database's.
pub async fn is_named(on: &mut impl Conn, object: &str, since: Micros) -> Result<bool, StoreError> {
    let query = NAMED.query().bind(object.to_owned()).bind(since);
    Ok(query.fetch_one(on.conn()).await?.try_get::<i64, _>(0)? > 0)
}

/// Says that an artefact's content is not kept for it any more.
///
/// # Errors
/// The database's.
pub async fn artifact_cleared(tx: &mut Tx, artifact: &Expired) -> Result<(), StoreError> {
    let query = ARTIFACT_CLEARED.query().bind(artifact.attempt).bind(artifact.name.clone());
    query.execute(tx.conn()).await?;
    Ok(())
}
