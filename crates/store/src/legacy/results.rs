//! `legacy_results`: what the original's builders report.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::statement::{among, among_list, statements};
use crate::{Conn, Micros, StoreError, Tx};

statements! {
    PUT = "legacy_results.put", "INSERT INTO legacy_results (dash, package, hash, builder, go_hash, seq, ok, log_hash, \
        run_time_ns, time_us) VALUES ($1, $2, $3, $4, $5, (SELECT COALESCE(MAX(seq), 0) + 1 FROM legacy_results \
        WHERE dash = $1 AND package = $2 AND hash = $3), $6, $7, $8, $9) \
        ON CONFLICT (dash, package, hash, builder, go_hash) DO UPDATE SET ok = excluded.ok, \
        log_hash = excluded.log_hash, run_time_ns = excluded.run_time_ns, time_us = excluded.time_us";
    GET = "legacy_results.get", "SELECT hash, builder, go_hash, ok, log_hash, seq FROM legacy_results \
        WHERE dash = $1 AND package = $2 AND hash = $3 AND builder = $4 AND go_hash = $5";
    OF = "legacy_results.of", concat!("SELECT hash, builder, go_hash, ok, log_hash, seq FROM legacy_results \
        WHERE dash = $1 AND package = $34 AND hash IN ", among_list!());
    CLEAR = "legacy_results.clear", "DELETE FROM legacy_results \
        WHERE dash = $1 AND package = $2 AND hash = $3 AND builder = $4";
}

/// The most results that a commit shows; older ones are kept and not shown.
pub const SHOWN: usize = 1000;

/// A row of `legacy_results` as lists show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultRow {
    /// The commit.
    pub hash: String,
    /// The builder.
    pub builder: String,
    /// The main repository's commit, empty for its own results.
    pub go_hash: String,
    /// Whether it passed.
    pub ok: bool,
    /// The SHA-1 of its log, or empty.
    pub log_hash: String,
    /// Where it is in the order of the commit's results.
    pub seq: i64,
}

/// A result as it is posted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewResult {
    /// What lists show; `seq` is ignored.
    pub row: ResultRow,
    /// How long it took, in nanoseconds, as the builder says.
    pub run_time_ns: i64,
    /// When it came.
    pub time: Micros,
}

fn row(row: &AnyRow) -> Result<ResultRow, StoreError> {
    Ok(ResultRow {
        hash: row.try_get(0)?,
        builder: row.try_get(1)?,
        go_hash: row.try_get(2)?,
        ok: row.try_get::<i64, _>(3)? != 0,
        log_hash: row.try_get(4)?,
        seq: row.try_get(5)?,
    })
}

/// Writes a result, in the place of the one before it.
///
/// # Errors
/// The database's.
pub async fn put(tx: &mut Tx, dash: &str, package: &str, new: &NewResult) -> Result<(), StoreError> {
    let query = PUT.query().bind(dash).bind(package).bind(&*new.row.hash).bind(&*new.row.builder);
    let query = query.bind(&*new.row.go_hash).bind(i64::from(new.row.ok)).bind(&*new.row.log_hash);
    query.bind(new.run_time_ns).bind(new.time).execute(tx.conn()).await?;
    Ok(())
}

/// Returns one result.
///
/// # Errors
/// The database's.
pub async fn get(
    on: &mut impl Conn,
    dash: &str,
    package: &str,
    hash: &str,
    builder: &str,
    go_hash: &str,
) -> Result<Option<ResultRow>, StoreError> {
    let query = GET.query().bind(dash).bind(package).bind(hash).bind(builder).bind(go_hash);
    query.fetch_optional(on.conn()).await?.as_ref().map(row).transpose()
}

/// Returns the results of some commits, of each the newest [`SHOWN`], in the order of their first coming.
///
/// # Errors
/// The database's.
pub async fn of(
    on: &mut impl Conn,
    dash: &str,
    package: &str,
    hashes: &[&str],
) -> Result<Vec<ResultRow>, StoreError> {
    let mut found = Vec::new();
    for some in hashes.chunks(among::WIDTH) {
        let query = among::bind(OF.query().bind(dash), some).bind(package);
        for found_row in query.fetch_all(on.conn()).await? {
            found.push(row(&found_row)?);
        }
    }
    found.sort_by(|a, b| (&a.hash, std::cmp::Reverse(a.seq)).cmp(&(&b.hash, std::cmp::Reverse(b.seq))));
    let mut kept: Vec<ResultRow> = Vec::with_capacity(found.len());
    let mut same = 0;
    for result in found {
        same = if kept.last().is_some_and(|last| last.hash == result.hash) { same + 1 } else { 0 };
        if same < SHOWN {
            kept.push(result);
        }
    }
    kept.sort_by(|a, b| (&a.hash, a.seq).cmp(&(&b.hash, b.seq)));
    Ok(kept)
}

/// Removes a builder's results of a commit, and returns how many there were.
///
/// # Errors
/// The database's.
pub async fn clear(
    tx: &mut Tx,
    dash: &str,
    package: &str,
    hash: &str,
    builder: &str,
) -> Result<u64, StoreError> {
    let query = CLEAR.query().bind(dash).bind(package).bind(hash).bind(builder);
    Ok(query.execute(tx.conn()).await?.rows_affected())
}
