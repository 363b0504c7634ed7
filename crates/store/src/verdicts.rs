//! The coordinator's `verdicts`: whose fault failures in try runs are, sought or told.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::statement::statements;
use crate::{AttemptId, BuildId, Conn, Micros, StoreError, TryRunId, Tx};

statements! {
    PUT = "verdicts.put", "INSERT INTO verdicts (attempt, test, variant, try_run, build, builder, signature, base, verdict, sentence, \
        doc, began_us, ended_us) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) \
        ON CONFLICT (attempt, test, variant) DO UPDATE SET verdict = excluded.verdict, sentence = excluded.sentence, \
        doc = excluded.doc, ended_us = excluded.ended_us WHERE verdicts.verdict IS NULL";
    OF_ATTEMPT = "verdicts.of_attempt", "SELECT attempt, test, variant, try_run, build, builder, signature, base, verdict, sentence, \
        doc, began_us, ended_us FROM verdicts WHERE attempt = $1 ORDER BY test, variant";
    OF_RUN = "verdicts.of_run", "SELECT attempt, test, variant, try_run, build, builder, signature, base, verdict, sentence, \
        doc, began_us, ended_us FROM verdicts WHERE try_run = $1 ORDER BY builder, build, attempt, test, variant LIMIT $2";
    GIVE_UP = "verdicts.give_up", "UPDATE verdicts SET verdict = 'unknown', sentence = $2, ended_us = $3 \
        WHERE try_run = $1 AND verdict IS NULL";
}

/// A row of `verdicts`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerdictRow {
    /// The attempt that failed.
    pub attempt: AttemptId,
    /// The test; empty for the build as a whole.
    pub test: String,
    /// Tells apart the same test run in several ways.
    pub variant: String,
    /// For which run it was sought first.
    pub run: TryRunId,
    /// The build.
    pub build: BuildId,
    /// Its builder.
    pub builder: String,
    /// What the failure looks like.
    pub signature: String,
    /// What it is compared with, as a revision; empty if there is nothing.
    pub base: String,
    /// `caused`, `flaky`, `broken_at_base`, `unknown` or `muted`, once it is told.
    pub verdict: Option<String>,
    /// The same for people.
    pub sentence: String,
    /// JSON: the case with all its runs.
    pub doc: String,
    /// Since when it is sought.
    pub began: Micros,
    /// When it was told.
    pub ended: Option<Micros>,
}

fn row(row: &AnyRow) -> Result<VerdictRow, StoreError> {
    Ok(VerdictRow {
        attempt: row.try_get(0)?,
        test: row.try_get(1)?,
        variant: row.try_get(2)?,
        run: row.try_get(3)?,
        build: row.try_get(4)?,
        builder: row.try_get(5)?,
        signature: row.try_get(6)?,
        base: row.try_get(7)?,
        verdict: row.try_get(8)?,
        sentence: row.try_get(9)?,
        doc: row.try_get(10)?,
        began: row.try_get(11)?,
        ended: row.try_get(12)?,
    })
}

/// Writes a verdict down, or how far the search for it is. One that was told stays.
///
/// # Errors
/// The database's.
pub async fn put(tx: &mut Tx, verdict: &VerdictRow) -> Result<(), StoreError> {
    let query = PUT.query().bind(verdict.attempt).bind(&*verdict.test).bind(&*verdict.variant);
    let query = query.bind(verdict.run).bind(verdict.build).bind(&*verdict.builder);
    let query = query.bind(&*verdict.signature).bind(&*verdict.base).bind(verdict.verdict.as_deref());
    let query = query.bind(&*verdict.sentence).bind(&*verdict.doc).bind(verdict.began).bind(verdict.ended);
    query.execute(tx.conn()).await?;
    Ok(())
}

/// Returns the verdicts on what failed in an attempt.
///
/// # Errors
/// The database's.
pub async fn of_attempt(on: &mut impl Conn, attempt: AttemptId) -> Result<Vec<VerdictRow>, StoreError> {
    OF_ATTEMPT.query().bind(attempt).fetch_all(on.conn()).await?.iter().map(row).collect()
}

/// Returns the verdicts that were sought for a run, at most so many.
///
/// # Errors
/// The database's.
pub async fn of_run(on: &mut impl Conn, run: TryRunId, most: i64) -> Result<Vec<VerdictRow>, StoreError> {
    OF_RUN.query().bind(run).bind(most).fetch_all(on.conn()).await?.iter().map(row).collect()
}

/// Ends the search for the verdicts of a run, with this sentence.
///
/// # Errors
/// The database's.
pub async fn give_up(tx: &mut Tx, run: TryRunId, sentence: &str, now: Micros) -> Result<(), StoreError> {
    GIVE_UP.query().bind(run).bind(sentence.to_owned()).bind(now).execute(tx.conn()).await?;
    Ok(())
}
