//! The dashboard's `test_results`: one row a test, benchmark included, in an attempt.

mod many;

use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::results::END;
use crate::statement::{Hidden, among, among_list, seen, statements, with_hidden};
use crate::{AttemptId, BuildId, Conn, StoreError, Tx};

pub use many::put_all;

/// What is told of a run of a test.
macro_rules! runs {
    () => {
        "SELECT t.build_id, t.outcome, t.duration_us, r.repo, r.branch, r.subject, t.attempt, t.variant, r.builder, \
            t.id, t.signature, r.class FROM test_results t JOIN results r ON r.build_id = t.build_id "
    };
}

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
    PAGE = "test_results.page", "SELECT attempt, id, variant, kind, outcome, duration_us, first_byte, \
        last_byte, value, unit, message, signature FROM test_results WHERE build_id = $1 AND ($2 = '' OR outcome = $2) \
        AND ($3 = '' OR LOWER(id) LIKE $3 ESCAPE '!') AND outcome >= $4 AND (outcome > $4 OR id > $5 \
        OR (id = $5 AND (attempt > $6 OR (attempt = $6 AND variant > $7)))) \
        ORDER BY outcome, id, attempt, variant LIMIT $8";
    HISTORY = "test_results.history", concat!(with_hidden!("$5"), runs!(), "WHERE t.id = $1 \
        AND r.sample = 0 AND ($2 = '' OR r.builder = $2) AND r.repo = $3 AND t.build_id <= $6 AND (t.build_id < $6 OR t.attempt < $7 \
        OR (t.attempt = $7 AND t.variant < $8)) AND ", seen!("r.revision"),
        " ORDER BY t.build_id DESC, t.attempt DESC, t.variant DESC LIMIT $4");
    ALIKE = "test_results.alike", concat!(with_hidden!("$4"), runs!(), "WHERE t.signature = $1 \
        AND t.signature IS NOT NULL AND t.build_id < $2 AND ", seen!("r.revision"),
        " ORDER BY t.build_id DESC, t.attempt DESC, t.variant DESC LIMIT $3");
    FIND = "test_names.find", concat!(with_hidden!("$5"), "SELECT n.id, n.last_build FROM test_names n \
        JOIN results r ON r.build_id = n.last_build WHERE n.repo = $1 AND n.id > $2 \
        AND ($3 = '' OR LOWER(n.id) LIKE $3 ESCAPE '!') AND ", seen!("r.revision"), " ORDER BY n.id LIMIT $4");
    BAD_OF = "test_results.bad_of", concat!("SELECT DISTINCT id FROM test_results \
        WHERE outcome IN ('failed', 'unfinished') AND build_id IN ", among_list!(), " ORDER BY id LIMIT $1");
    CELLS = "test_results.cells", concat!("SELECT build_id, attempt, variant, outcome, duration_us FROM test_results \
        WHERE id = $1 AND build_id IN ", among_list!(), " ORDER BY build_id, attempt, variant");
}

/// The statements of many rows.
pub(crate) const MANY: &[&crate::Statement] = &[many::PUT_MANY];

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
    many::bound(PUT.query(), build, test).execute(tx.conn()).await?;
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

/// Where a page of a build's results begins: after this one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct After {
    /// How that one ended.
    pub outcome: String,
    /// Its test.
    pub id: String,
    /// Its attempt.
    pub attempt: String,
    /// Its variant.
    pub variant: String,
}

/// Lists up to `limit` results of a build by outcome, name, attempt and variant, those that failed first: with this outcome
/// and these words in their name, if they are not empty.
///
/// # Errors
/// The database's.
pub async fn page(
    on: &mut impl Conn,
    build: BuildId,
    outcome: &str,
    words: &str,
    after: &After,
    limit: u32,
) -> Result<Vec<TestRow>, StoreError> {
    let query = PAGE.query().bind(build).bind(outcome).bind(pattern(words)).bind(&*after.outcome);
    let query = query.bind(&*after.id).bind(&*after.attempt).bind(&*after.variant).bind(i64::from(limit));
    query.fetch_all(on.conn()).await?.iter().map(row).collect()
}

/// Words anywhere in a name, whatever their case, as a pattern; empty for none.
fn pattern(words: &str) -> String {
    if words.is_empty() {
        return String::new();
    }
    let mut pattern = "%".to_owned();
    for c in words.to_lowercase().chars() {
        if matches!(c, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
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
    /// The builder.
    pub builder: String,
    /// The test.
    pub id: String,
    /// What a failure has in common with those that are alike.
    pub signature: Option<String>,
    /// Class of work of the build.
    pub class: String,
}

fn run(row: &AnyRow) -> Result<TestRun, StoreError> {
    Ok(TestRun {
        build: row.try_get(0)?,
        outcome: row.try_get(1)?,
        duration: row.try_get(2)?,
        repo: row.try_get(3)?,
        branch: row.try_get(4)?,
        subject: row.try_get(5)?,
        attempt: row.try_get(6)?,
        variant: row.try_get(7)?,
        builder: row.try_get(8)?,
        id: row.try_get(9)?,
        signature: row.try_get(10)?,
        class: row.try_get(11)?,
    })
}

/// Where a page of a test's history begins: before this run, which is newer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Before {
    /// Its build.
    pub build: String,
    /// Its attempt.
    pub attempt: String,
    /// Its variant.
    pub variant: String,
}

impl Default for Before {
    /// At the newest.
    fn default() -> Self {
        Self { build: END.to_owned(), attempt: String::new(), variant: String::new() }
    }
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
    before: &Before,
    limit: u32,
    hidden: &Hidden,
) -> Result<Vec<TestRun>, StoreError> {
    let query = HISTORY.query().bind(id).bind(builder).bind(repo).bind(i64::from(limit)).bind(hidden.text());
    let query = query.bind(&*before.build).bind(&*before.attempt).bind(&*before.variant);
    query.fetch_all(on.conn()).await?.iter().map(run).collect()
}

/// Lists failures of tests with one signature, the newest build first, without builds of hidden repos.
///
/// # Errors
/// The database's.
pub async fn alike(
    on: &mut impl Conn,
    signature: &str,
    before: Option<BuildId>,
    limit: u32,
    hidden: &Hidden,
) -> Result<Vec<TestRun>, StoreError> {
    let before = before.map_or_else(|| END.to_owned(), |build| build.to_string());
    let query = ALIKE.query().bind(signature).bind(before).bind(i64::from(limit)).bind(hidden.text());
    query.fetch_all(on.conn()).await?.iter().map(run).collect()
}

/// Lists up to `limit` tests of a repo whose names come after one and hold these words, each with the newest build that ran
/// it. One whose newest build is of a hidden repo is left out.
///
/// # Errors
/// The database's.
pub async fn find(
    on: &mut impl Conn,
    repo: &str,
    words: &str,
    after: &str,
    limit: u32,
    hidden: &Hidden,
) -> Result<Vec<(String, BuildId)>, StoreError> {
    let query = FIND.query().bind(repo).bind(after).bind(pattern(words)).bind(i64::from(limit));
    let rows = query.bind(hidden.text()).fetch_all(on.conn()).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// The most builds that [`bad_of`] and [`cells`] look at.
pub const MOST_BUILDS: usize = among::WIDTH;

/// Names up to `limit` tests that failed or did not end in one of some builds, at most [`MOST_BUILDS`].
///
/// # Errors
/// The database's.
pub async fn bad_of(on: &mut impl Conn, builds: &[&str], limit: u32) -> Result<Vec<String>, StoreError> {
    if builds.is_empty() {
        return Ok(Vec::new());
    }
    let query = among::bind(BAD_OF.query().bind(i64::from(limit)), builds);
    query.fetch_all(on.conn()).await?.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// What a test did in one build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestCell {
    /// The build.
    pub build: BuildId,
    /// The attempt.
    pub attempt: AttemptId,
    /// Tells apart the same test run in several ways.
    pub variant: String,
    /// How it ended.
    pub outcome: String,
    /// How long it took, microseconds.
    pub duration: Option<i64>,
}

/// Lists what a test did in some builds, at most [`MOST_BUILDS`].
///
/// # Errors
/// The database's.
pub async fn cells(on: &mut impl Conn, id: &str, builds: &[&str]) -> Result<Vec<TestCell>, StoreError> {
    if builds.is_empty() {
        return Ok(Vec::new());
    }
    let rows = among::bind(CELLS.query().bind(id), builds).fetch_all(on.conn()).await?;
    let cell = |row: &AnyRow| {
        Ok(TestCell {
            build: row.try_get(0)?,
            attempt: row.try_get(1)?,
            variant: row.try_get(2)?,
            outcome: row.try_get(3)?,
            duration: row.try_get(4)?,
        })
    };
    rows.iter().map(cell).collect()
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
