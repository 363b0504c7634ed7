//! `legacy_bench_results`: what the original's builders measured.

use sqlx::Row as _;

use crate::statement::{among, among_list, statements};
use crate::{Conn, StoreError, Tx};

statements! {
    PUT = "legacy_bench_results.put", "INSERT INTO legacy_bench_results (dash, hash, builder, benchmark, seq, data) \
        VALUES ($1, $2, $3, $4, (SELECT COALESCE(MAX(seq), 0) + 1 FROM legacy_bench_results \
        WHERE dash = $1 AND hash = $2), $5) \
        ON CONFLICT (dash, hash, builder, benchmark) DO UPDATE SET data = excluded.data";
    OF = "legacy_bench_results.of", "SELECT benchmark FROM legacy_bench_results \
        WHERE dash = $1 AND hash = $2 AND builder = $3 ORDER BY seq";
    MANY = "legacy_bench_results.many", concat!("SELECT hash, builder, benchmark, data FROM legacy_bench_results \
        WHERE dash = $1 AND hash IN ", among_list!(), " ORDER BY builder, benchmark, hash");
    KNOWN = "legacy_bench_results.known", "SELECT 1 FROM legacy_bench_results \
        WHERE dash = $1 AND builder = $2 \
        AND (benchmark = $3 OR substr(benchmark, 1, length($3) + 1) = $3 || '-') LIMIT 1";
}

/// What was measured.
#[derive(Debug, Clone, Copy)]
pub struct Measured<'a> {
    /// The commit.
    pub hash: &'a str,
    /// The builder.
    pub builder: &'a str,
    /// The benchmark.
    pub benchmark: &'a str,
}

/// Writes what was measured, in the place of what was there.
///
/// # Errors
/// The database's.
pub async fn put(tx: &mut Tx, dash: &str, what: Measured<'_>, data: &str) -> Result<(), StoreError> {
    let query = PUT.query().bind(dash).bind(what.hash).bind(what.builder).bind(what.benchmark);
    query.bind(data).execute(tx.conn()).await?;
    Ok(())
}

/// Lists what a builder has measured of a commit, in the order of its first coming.
///
/// # Errors
/// The database's.
pub async fn of(
    on: &mut impl Conn,
    dash: &str,
    hash: &str,
    builder: &str,
) -> Result<Vec<String>, StoreError> {
    let rows = OF.query().bind(dash).bind(hash).bind(builder).fetch_all(on.conn()).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// A measurement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultRow {
    /// The commit.
    pub hash: String,
    /// The builder.
    pub builder: String,
    /// The benchmark.
    pub benchmark: String,
    /// JSON: whether it went well, metrics, hashes of files.
    pub data: String,
}

/// Returns all measurements of some commits.
///
/// # Errors
/// The database's.
pub async fn many(on: &mut impl Conn, dash: &str, hashes: &[&str]) -> Result<Vec<ResultRow>, StoreError> {
    let mut found = Vec::new();
    for some in hashes.chunks(among::WIDTH) {
        for row in among::bind(MANY.query().bind(dash), some).fetch_all(on.conn()).await? {
            found.push(ResultRow {
                hash: row.try_get(0)?,
                builder: row.try_get(1)?,
                benchmark: row.try_get(2)?,
                data: row.try_get(3)?,
            });
        }
    }
    Ok(found)
}

/// Says whether a builder has ever run a benchmark, on however many processors (`NAME-N`).
///
/// # Errors
/// The database's.
pub async fn known(
    on: &mut impl Conn,
    dash: &str,
    builder: &str,
    benchmark: &str,
) -> Result<bool, StoreError> {
    let query = KNOWN.query().bind(dash).bind(builder).bind(benchmark);
    Ok(query.fetch_optional(on.conn()).await?.is_some())
}
