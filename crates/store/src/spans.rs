//! The coordinator's `spans`: the timed steps of an attempt.

use sqlx::Row as _;

use crate::statement::statements;
use crate::{AttemptId, Conn, Micros, StoreError, Tx};

statements! {
    PUT = "spans.put", "INSERT INTO spans (attempt, n, name, detail, start_us, end_us, error) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (attempt, n) DO UPDATE SET end_us = excluded.end_us, error = excluded.error, detail = excluded.detail";
    PUT_TWO = "spans.put_two", "INSERT INTO spans (attempt, n, name, detail, start_us, end_us, error) VALUES ($1, $2, $3, $4, $5, $6, $7), ($1, $8, $9, $10, $11, $12, $13) ON CONFLICT (attempt, n) DO UPDATE SET end_us = excluded.end_us, error = excluded.error, detail = excluded.detail";
    PUT_THREE = "spans.put_three", "INSERT INTO spans (attempt, n, name, detail, start_us, end_us, error) VALUES ($1, $2, $3, $4, $5, $6, $7), ($1, $8, $9, $10, $11, $12, $13), ($1, $14, $15, $16, $17, $18, $19) ON CONFLICT (attempt, n) DO UPDATE SET end_us = excluded.end_us, error = excluded.error, detail = excluded.detail";
    OF_ATTEMPT = "spans.of_attempt", "SELECT n, name, detail, start_us, end_us, error FROM spans WHERE attempt = $1 ORDER BY n";
}

/// A row of `spans`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpanRow {
    /// Its place in the attempt, from 0.
    pub n: i64,
    /// What was done.
    pub name: String,
    /// To what.
    pub detail: String,
    /// When it began.
    pub start: Micros,
    /// When it ended.
    pub end: Option<Micros>,
    /// How it failed.
    pub error: Option<String>,
}

/// Notes spans of an attempt, or their ends; each has a place of its own.
///
/// A transition ends one span or two and begins another: they go in one statement.
///
/// # Errors
/// The database's.
pub async fn put(tx: &mut Tx, attempt: AttemptId, spans: &[SpanRow]) -> Result<(), StoreError> {
    for some in spans.chunks(3) {
        let mut query = match some.len() {
            1 => PUT.query(),
            2 => PUT_TWO.query(),
            _ => PUT_THREE.query(),
        }
        .bind(attempt);
        for span in some {
            query = query.bind(span.n).bind(span.name.clone()).bind(span.detail.clone());
            query = query.bind(span.start).bind(span.end).bind(span.error.clone());
        }
        query.execute(tx.conn()).await?;
    }
    Ok(())
}

/// Returns an attempt's spans, in order.
///
/// # Errors
/// The database's.
pub async fn of_attempt(on: &mut impl Conn, attempt: AttemptId) -> Result<Vec<SpanRow>, StoreError> {
    let rows = OF_ATTEMPT.query().bind(attempt).fetch_all(on.conn()).await?;
    rows.iter()
        .map(|row| {
            Ok(SpanRow {
                n: row.try_get(0)?,
                name: row.try_get(1)?,
                detail: row.try_get(2)?,
                start: row.try_get(3)?,
                end: row.try_get(4)?,
                error: row.try_get(5)?,
            })
        })
        .collect()
}
