//! The dashboard's `log_chunks`: the parts of each log, in the row if they are small, else as an object.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::statement::statements;
use crate::{AttemptId, Conn, Micros, StoreError, Tx};

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT n, fence, first_byte, first_line, bytes, lines, raw_end, crc32c, time_us, inline, object \
             FROM log_chunks ",
            $rest
        )
    };
}

statements! {
    INSERT = "log_chunks.insert", "INSERT INTO log_chunks (attempt, n, fence, first_byte, first_line, bytes, lines, \
        raw_end, crc32c, time_us, inline, object) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
    GET = "log_chunks.get", select!("WHERE attempt = $1 AND n = $2");
    FROM = "log_chunks.from", select!("WHERE attempt = $1 AND n >= $2 ORDER BY n LIMIT $3");
    AT_BYTE = "log_chunks.at_byte", "SELECT n FROM log_chunks WHERE attempt = $1 AND first_byte <= $2 \
        ORDER BY first_byte DESC, n DESC LIMIT 1";
    AT_LINE = "log_chunks.at_line", "SELECT n FROM log_chunks WHERE attempt = $1 AND first_line < $2 \
        ORDER BY n DESC LIMIT 1";
    DELETE = "log_chunks.delete", "DELETE FROM log_chunks WHERE attempt = $1 AND n = $2";
}

/// A row of `log_chunks`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkRow {
    /// Counts from 0.
    pub n: i64,
    /// The fence that wrote it.
    pub fence: i64,
    /// Offset of its first byte in the log.
    pub first_byte: i64,
    /// Ends of lines before it.
    pub first_line: i64,
    /// Its bytes as written.
    pub bytes: i64,
    /// Ends of lines in it.
    pub lines: i64,
    /// How far the worker's own output is in the log with it.
    pub raw_end: i64,
    /// CRC-32C of its bytes as written.
    pub crc32c: i64,
    /// When it came.
    pub time: Micros,
    /// Its content, a zstd frame, or
    pub inline: Option<Vec<u8>>,
    /// the object that holds it.
    pub object: Option<String>,
}

fn row(row: &AnyRow) -> Result<ChunkRow, StoreError> {
    Ok(ChunkRow {
        n: row.try_get(0)?,
        fence: row.try_get(1)?,
        first_byte: row.try_get(2)?,
        first_line: row.try_get(3)?,
        bytes: row.try_get(4)?,
        lines: row.try_get(5)?,
        raw_end: row.try_get(6)?,
        crc32c: row.try_get(7)?,
        time: row.try_get(8)?,
        inline: row.try_get(9)?,
        object: row.try_get(10)?,
    })
}

/// Writes a chunk. [`crate::logs::append`] in the same transaction is what guards it.
///
/// # Errors
/// [`StoreError::Conflict`] if there is one of this number.
pub async fn insert(tx: &mut Tx, attempt: AttemptId, chunk: &ChunkRow) -> Result<(), StoreError> {
    let query = INSERT.query().bind(attempt).bind(chunk.n).bind(chunk.fence).bind(chunk.first_byte);
    let query = query.bind(chunk.first_line).bind(chunk.bytes).bind(chunk.lines).bind(chunk.raw_end);
    let query = query.bind(chunk.crc32c).bind(chunk.time).bind(chunk.inline.as_deref());
    query.bind(chunk.object.as_deref()).execute(tx.conn()).await?;
    Ok(())
}

/// Returns one chunk.
///
/// # Errors
/// The database's.
pub async fn get(on: &mut impl Conn, attempt: AttemptId, n: i64) -> Result<Option<ChunkRow>, StoreError> {
    GET.query().bind(attempt).bind(n).fetch_optional(on.conn()).await?.as_ref().map(row).transpose()
}

/// Returns up to `limit` chunks from number `n` on, in order.
///
/// # Errors
/// The database's.
pub async fn from(
    on: &mut impl Conn,
    attempt: AttemptId,
    n: i64,
    limit: u32,
) -> Result<Vec<ChunkRow>, StoreError> {
    let query = FROM.query().bind(attempt).bind(n).bind(i64::from(limit));
    query.fetch_all(on.conn()).await?.iter().map(row).collect()
}

/// Returns the number of the last chunk that begins at or before a byte.
///
/// # Errors
/// The database's.
pub async fn at_byte(on: &mut impl Conn, attempt: AttemptId, byte: i64) -> Result<Option<i64>, StoreError> {
    let row = AT_BYTE.query().bind(attempt).bind(byte).fetch_optional(on.conn()).await?;
    row.map(|row| Ok(row.try_get(0)?)).transpose()
}

/// Returns the number of the last chunk with fewer than `line` ends of lines before it: if line number
/// `line` (from 0, but not 0 itself) begins anywhere, it begins in this chunk or right after it.
///
/// # Errors
/// The database's.
pub async fn at_line(on: &mut impl Conn, attempt: AttemptId, line: i64) -> Result<Option<i64>, StoreError> {
    let row = AT_LINE.query().bind(attempt).bind(line).fetch_optional(on.conn()).await?;
    row.map(|row| Ok(row.try_get(0)?)).transpose()
}

/// Deletes a chunk that falls into the gap of its log.
///
/// # Errors
/// The database's.
pub async fn delete(tx: &mut Tx, attempt: AttemptId, n: i64) -> Result<(), StoreError> {
    DELETE.query().bind(attempt).bind(n).execute(tx.conn()).await?;
    Ok(())
}
