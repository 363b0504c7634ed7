//! The dashboard's `logs`: one row an attempt. Its fence guards every write to what belongs to the attempt.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::statement::statements;
use crate::{AttemptId, BuildId, Conn, Micros, StoreError, Tx};

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT attempt, build_id, fence, next_n, bytes, lines, raw_end, finished, gap_first, gap_end, \
             gap_first_line, gap_end_line, updated_us, expired_us FROM logs ",
            $rest
        )
    };
}

statements! {
    OPEN = "logs.open", "INSERT INTO logs (attempt, build_id, fence, next_n, bytes, lines, raw_end, finished, \
        gap_first, gap_end, gap_first_line, gap_end_line, created_us, updated_us) \
        VALUES ($1, $2, $3, 0, 0, 0, 0, 0, 0, 0, 0, 0, $4, $4) \
        ON CONFLICT (attempt) DO UPDATE SET fence = excluded.fence WHERE logs.fence <= excluded.fence \
        AND logs.build_id = excluded.build_id";
    GET = "logs.get", select!("WHERE attempt = $1");
    OF_BUILD = "logs.of_build", select!("WHERE build_id = $1 ORDER BY created_us, attempt");
    GUARD = "logs.guard", "UPDATE logs SET fence = fence WHERE attempt = $1 AND fence = $2";
    APPEND = "logs.append", "UPDATE logs SET next_n = next_n + 1, bytes = bytes + $4, lines = lines + $5, \
        raw_end = $6, updated_us = $7 WHERE attempt = $1 AND fence = $2 AND next_n = $3 AND finished = 0 \
        AND expired_us IS NULL";
    FINISH = "logs.finish", "UPDATE logs SET finished = 1, updated_us = $3 WHERE attempt = $1 AND fence = $2";
    GAP = "logs.gap", "UPDATE logs SET gap_first = $3, gap_end = $4, gap_first_line = $5, gap_end_line = $6 \
        WHERE attempt = $1 AND fence = $2";
}

/// A row of `logs`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRow {
    /// The attempt.
    pub attempt: AttemptId,
    /// Its build.
    pub build: BuildId,
    /// The newest owner's token: lower ones write nothing.
    pub fence: i64,
    /// Number of the next chunk.
    pub next_n: i64,
    /// Bytes so far.
    pub bytes: i64,
    /// Ends of lines so far.
    pub lines: i64,
    /// How far the worker's own output is in it.
    pub raw_end: i64,
    /// Whether it is whole.
    pub finished: bool,
    /// What is not kept, where it is not empty.
    pub gap: Gap,
    /// The last change.
    pub updated: Micros,
    /// When it came to its end by the rules of retention.
    pub expired: Option<Micros>,
}

/// A part of a log that is not kept, as bytes and ends of lines. Empty if `first` is `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Gap {
    /// First byte left out.
    pub first: i64,
    /// First byte that is there again.
    pub end: i64,
    /// Ends of lines before it.
    pub first_line: i64,
    /// Ends of lines before what is there again.
    pub end_line: i64,
}

impl Gap {
    /// Says whether nothing is left out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.first == self.end
    }
}

fn row(row: &AnyRow) -> Result<LogRow, StoreError> {
    Ok(LogRow {
        attempt: row.try_get(0)?,
        build: row.try_get(1)?,
        fence: row.try_get(2)?,
        next_n: row.try_get(3)?,
        bytes: row.try_get(4)?,
        lines: row.try_get(5)?,
        raw_end: row.try_get(6)?,
        finished: row.try_get::<i64, _>(7)? != 0,
        gap: Gap {
            first: row.try_get(8)?,
            end: row.try_get(9)?,
            first_line: row.try_get(10)?,
            end_line: row.try_get(11)?,
        },
        updated: row.try_get(12)?,
        expired: row.try_get(13)?,
    })
}

/// Opens an attempt's log for a fence, and returns it as it is.
///
/// # Errors
/// [`StoreError::Stale`] if a higher fence has it, or if the attempt belongs to another build.
pub async fn open(
    tx: &mut Tx,
    attempt: AttemptId,
    build: BuildId,
    fence: i64,
    now: Micros,
) -> Result<LogRow, StoreError> {
    let opened = OPEN.query().bind(attempt).bind(build).bind(fence).bind(now).execute(tx.conn()).await?;
    if opened.rows_affected() != 1 {
        return Err(StoreError::Stale);
    }
    row(&GET.query().bind(attempt).fetch_one(tx.conn()).await?)
}

/// Returns an attempt's log.
///
/// # Errors
/// The database's.
pub async fn get(on: &mut impl Conn, attempt: AttemptId) -> Result<Option<LogRow>, StoreError> {
    GET.query().bind(attempt).fetch_optional(on.conn()).await?.as_ref().map(row).transpose()
}

/// Lists the logs of a build's attempts, in the order in which they were opened.
///
/// # Errors
/// The database's.
pub async fn of_build(on: &mut impl Conn, build: BuildId) -> Result<Vec<LogRow>, StoreError> {
    OF_BUILD.query().bind(build).fetch_all(on.conn()).await?.iter().map(row).collect()
}

/// Locks an attempt's log for this transaction and checks that the fence still has it.
///
/// # Errors
/// [`StoreError::Stale`] if not.
pub async fn guard(tx: &mut Tx, attempt: AttemptId, fence: i64) -> Result<(), StoreError> {
    one(GUARD.query().bind(attempt).bind(fence).execute(tx.conn()).await?.rows_affected())
}

/// What a chunk adds to a log.
#[derive(Debug, Clone, Copy)]
pub struct Added {
    /// Bytes.
    pub bytes: i64,
    /// Ends of lines.
    pub lines: i64,
    /// How far the worker's own output is in the log with it.
    pub raw_end: i64,
}

/// Counts chunk `n` in.
///
/// # Errors
/// [`StoreError::Stale`] if the fence has lost the log, the chunk is not the next, or the log is finished.
pub async fn append(
    tx: &mut Tx,
    attempt: AttemptId,
    fence: i64,
    n: i64,
    added: Added,
    now: Micros,
) -> Result<(), StoreError> {
    let query = APPEND.query().bind(attempt).bind(fence).bind(n).bind(added.bytes).bind(added.lines);
    one(query.bind(added.raw_end).bind(now).execute(tx.conn()).await?.rows_affected())
}

/// Says that a log is whole.
///
/// # Errors
/// [`StoreError::Stale`] if the fence has lost it.
pub async fn finish(tx: &mut Tx, attempt: AttemptId, fence: i64, now: Micros) -> Result<(), StoreError> {
    one(FINISH.query().bind(attempt).bind(fence).bind(now).execute(tx.conn()).await?.rows_affected())
}

/// Notes what is not kept.
///
/// # Errors
/// [`StoreError::Stale`] if the fence has lost the log.
pub async fn set_gap(tx: &mut Tx, attempt: AttemptId, fence: i64, gap: Gap) -> Result<(), StoreError> {
    let query = GAP.query().bind(attempt).bind(fence).bind(gap.first).bind(gap.end);
    one(query.bind(gap.first_line).bind(gap.end_line).execute(tx.conn()).await?.rows_affected())
}

fn one(rows: u64) -> Result<(), StoreError> {
    if rows == 1 { Ok(()) } else { Err(StoreError::Stale) }
}
