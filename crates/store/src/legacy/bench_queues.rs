//! `legacy_bench_queues`: which commits a builder is to measure, the last one next.

use sqlx::Row as _;

use crate::statement::statements;
use crate::{Conn, StoreError, Tx};

statements! {
    PUT = "legacy_bench_queues.put", "INSERT INTO legacy_bench_queues (dash, builder, nums) VALUES ($1, $2, $3) \
        ON CONFLICT (dash, builder) DO UPDATE SET nums = excluded.nums";
    GET = "legacy_bench_queues.get", "SELECT nums FROM legacy_bench_queues WHERE dash = $1 AND builder = $2";
    LIST = "legacy_bench_queues.list", "SELECT builder, nums FROM legacy_bench_queues WHERE dash = $1 ORDER BY builder";
    DELETE = "legacy_bench_queues.delete", "DELETE FROM legacy_bench_queues WHERE dash = $1 AND builder = $2";
}

fn read(text: &str) -> Result<Vec<i64>, StoreError> {
    let number =
        |word: &str| word.parse().map_err(|_| StoreError::Corrupt(format!("a queue holds {word:?}")));
    text.split_ascii_whitespace().map(number).collect()
}

/// Writes a builder's queue.
///
/// # Errors
/// The database's.
pub async fn put(tx: &mut Tx, dash: &str, builder: &str, nums: &[i64]) -> Result<(), StoreError> {
    let text = nums.iter().map(i64::to_string).collect::<Vec<_>>().join(" ");
    PUT.query().bind(dash).bind(builder).bind(text).execute(tx.conn()).await?;
    Ok(())
}

/// Returns a builder's queue, `None` if it was never made.
///
/// # Errors
/// The database's.
pub async fn get(on: &mut impl Conn, dash: &str, builder: &str) -> Result<Option<Vec<i64>>, StoreError> {
    let row = GET.query().bind(dash).bind(builder).fetch_optional(on.conn()).await?;
    row.map(|row| read(row.try_get(0)?)).transpose()
}

/// Lists all queues with their builders.
///
/// # Errors
/// The database's.
pub async fn list(on: &mut impl Conn, dash: &str) -> Result<Vec<(String, Vec<i64>)>, StoreError> {
    let rows = LIST.query().bind(dash).fetch_all(on.conn()).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, read(row.try_get(1)?)?))).collect()
}

/// Forgets a builder's queue: it is made anew when it is asked for.
///
/// # Errors
/// The database's.
pub async fn delete(tx: &mut Tx, dash: &str, builder: &str) -> Result<(), StoreError> {
    DELETE.query().bind(dash).bind(builder).execute(tx.conn()).await?;
    Ok(())
}
