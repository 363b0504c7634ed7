//! The dashboard's `test_results`: one row a test, benchmark included, in an attempt.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::statement::{Hidden, seen, statements, with_hidden};
use crate::{AttemptId, BuildId, Conn, StoreError, Tx};

statements! {
    PUT = "test_results.put", "INSERT INTO test_results (attempt, id, variant, kind, build_id, outcome, duration_us, \
        first_byte, last_byte, value, unit, message, signature) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) \
        ON CONFLICT (attempt, id, variant, kind) DO UPDATE SET outcome = excluded.outcome, \
        duration_us = excluded.duration_us, first_byte = excluded.first_byte, last_byte = excluded.last_byte, \
        value = excluded.value, unit = excluded.unit, message = excluded.message, signature = excluded.signature";
    NAME = "test_names.put", "INSERT INTO test_names (repo, id, last_build) SELECT DISTINCT r.repo, t.id, t.build_id \
        FROM test_results t JOIN results r ON r.build_id = t.build_id WHERE t.attempt = $1 AND t.build_id = $2 \
        ON CONFLICT (repo, id) DO UPDATE SET last_build = excluded.last_build \
        WHERE test_names.last_build < excluded.last_build";
    OF_BUILD = "test_results.of_build", "SELECT attempt, id, variant, kind, outcome, duration_us, first_byte, \
        last_byte, value, unit, message, signature FROM test_results WHERE build_id = $1 ORDER BY attempt, id, variant, kind \
        LIMIT $2";
    OUTCOMES = "test_results.outcomes", "SELECT outcome, COUNT(*) FROM test_results WHERE build_id = $1 \
        GROUP BY outcome ORDER BY outcome";
    NOT_OK = "test_results.not_ok", "SELECT attempt, id, variant, kind, outcome, duration_us, first_byte, \
        last_byte, value, unit, message, signature FROM test_results WHERE build_id = $1 AND outcome <> 'ok' \
        AND outcome <> 'skipped' ORDER BY attempt, id, variant, kind LIMIT $2";
    HISTORY = "test_results.history", concat!(with_hidden!("$5"), "SELECT t.build_id, t.outcome, t.duration_us, r.repo, r.branch, r.subject, \
        t.attempt, t.variant FROM test_results t JOIN results r ON r.build_id = t.build_id WHERE t.id = $1 \
        AND ($2 = '' OR r.builder = $2) AND r.repo = $3 AND ", seen!("r.revision"),
        " ORDER BY t.build_id DESC, t.attempt DESC LIMIT $4");
}

/// A row of `test_results`.
#[derive(Debug, Clone, PartialEq)]
pub struct TestRow {
    /// The attempt.
    pub attempt: AttemptId,
    /// The test's name.
    pub id: String,
    /// Tells apart the same test run in several ways.
    pub variant: String,
    /// `test` or `benchmark`.
    pub kind: String,
    /// How it ended.
    pub outcome: String,
    /// How long it took, microseconds.
    pub duration: Option<i64>,
    /// First byte of its output in the log.
    pub first_byte: Option<i64>,
    /// Last byte of its output in the log.
    pub last_byte: Option<i64>,
    /// What a benchmark measured.
    pub value: Option<f64>,
    /// In what unit.
    pub unit: Option<String>,
    /// What a failure said.
    pub message: Option<String>,
    /// What a failure has in common with those that are alike.
    pub signature: Option<String>,
}

fn row(row: &AnyRow) -> Result<TestRow, StoreError> {
    Ok(TestRow {
        attempt: row.try_get(0)?,
        id: row.try_get(1)?,
        variant: row.try_get(2)?,
        kind: row.try_get(3)?,
        outcome: row.try_get(4)?,
        duration: row.try_get(5)?,
        first_byte: row.try_get(6)?,
        last_byte: row.try_get(7)?,
        value: row.try_get(8)?,
        unit: row.try_get(9)?,
        message: row.try_get(10)?,
        signature: row.try_get(11)?,
    })
}

/// Writes a test's result, replacing one of the same attempt, name, variant and kind.
///
/// # Errors
/// The database's.
pub async fn put(tx: &mut Tx, build: BuildId, test: &TestRow) -> Result<(), StoreError> {
    let query = PUT.query().bind(test.attempt).bind(&*test.id).bind(&*test.variant).bind(&*test.kind);
    let query = query.bind(build).bind(&*test.outcome).bind(test.duration).bind(test.first_byte);
    let query = query.bind(test.last_byte).bind(test.value).bind(test.unit.as_deref());
    query.bind(test.message.as_deref()).bind(test.signature.as_deref()).execute(tx.conn()).await?;
    Ok(())
}

/// Lists up to `limit` results of a build by attempt and name.
///
/// # Errors
/// The database's.
pub async fn of_build(on: &mut impl Conn, build: BuildId, limit: u32) -> Result<Vec<TestRow>, StoreError> {
    let query = OF_BUILD.query().bind(build).bind(i64::from(limit));
    query.fetch_all(on.conn()).await?.iter().map(row).collect()
}

/// Counts the results of a build by outcome.
///
/// # Errors
/// The database's.
pub async fn outcomes(on: &mut impl Conn, build: BuildId) -> Result<Vec<(String, i64)>, StoreError> {
    let rows = OUTCOMES.query().bind(build).fetch_all(on.conn()).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// Lists up to `limit` results of a build that are neither ok nor skipped, by attempt and name.
///
/// # Errors
/// The database's.
pub async fn not_ok(on: &mut impl Conn, build: BuildId, limit: u32) -> Result<Vec<TestRow>, StoreError> {
    let query = NOT_OK.query().bind(build).bind(i64::from(limit));
    query.fetch_all(on.conn()).await?.iter().map(row).collect()
}

/// A result of one test, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestRun {
    /// The build.
    pub build: BuildId,
    /// How it ended.
    pub outcome: String,
    /// How long it took, microseconds.
    pub duration: Option<i64>,
    /// The subject's repo.
    pub repo: String,
    /// The branch.
    pub branch: String,
    /// The subject's commit.
    pub subject: String,
    /// The attempt.
    pub attempt: AttemptId,
    /// Tells apart the same test run in several ways.
    pub variant: String,
}

/// Lists what a test of a repo did on a builder (on all, if it is empty), the newest build first, without builds of
/// hidden repos.
///
/// # Errors
/// The database's.
pub async fn history(
    on: &mut impl Conn,
    id: &str,
    builder: &str,
    repo: &str,
    limit: u32,
    hidden: &Hidden,
) -> Result<Vec<TestRun>, StoreError> {
    let query = HISTORY.query().bind(id).bind(builder).bind(repo).bind(i64::from(limit)).bind(hidden.text());
    let run = |row: &AnyRow| {
        Ok(TestRun {
            build: row.try_get(0)?,
            outcome: row.try_get(1)?,
            duration: row.try_get(2)?,
            repo: row.try_get(3)?,
            branch: row.try_get(4)?,
            subject: row.try_get(5)?,
            attempt: row.try_get(6)?,
            variant: row.try_get(7)?,
        })
    };
    query.fetch_all(on.conn()).await?.iter().map(run).collect()
}

/// Notes the names of the tests of an attempt, so that they are found. Without a report of the build there is no repo to
/// find them in: they are noted with the next one.
///
/// # Errors
/// The database's.
pub async fn name(tx: &mut Tx, build: BuildId, attempt: AttemptId) -> Result<(), StoreError> {
    NAME.query().bind(attempt).bind(build).execute(tx.conn()).await?;
    Ok(())
}
