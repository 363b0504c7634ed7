//! `audit`: who did what. Each row's hash covers the row before it.

use sha2::{Digest as _, Sha256};
use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::statement::statements;
use crate::{Conn, Micros, StoreError, Tx};

statements! {
    LOCK = "audit.lock", "UPDATE audit SET seq = seq WHERE seq = 0";
    LAST = "audit.last", "SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1";
    INSERT = "audit.insert", "INSERT INTO audit (seq, time_us, actor, action, target, detail, prev_hash, hash) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    AFTER = "audit.after", "SELECT seq, time_us, actor, action, target, detail, prev_hash, hash FROM audit \
        WHERE seq > $1 ORDER BY seq LIMIT $2";
    BEFORE = "audit.before", "SELECT seq, time_us, actor, action, target, detail, prev_hash, hash FROM audit \
        WHERE seq > 0 AND seq < $1 AND ($2 = '' OR actor = $2) AND ($3 = '' OR action = $3) \
        AND ($4 = '' OR REPLACE(' ' || target || ' ', ' ' || $4 || ' ', '') <> ' ' || target || ' ' \
        OR EXISTS (SELECT 1 FROM results WHERE results.build_id = audit.target AND results.repo = $4)) ORDER BY seq DESC LIMIT $5";
    ACTIONS = "audit.actions", "SELECT DISTINCT action FROM audit WHERE seq > 0 ORDER BY action LIMIT $1";
}

/// What somebody did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deed {
    /// When.
    pub time: Micros,
    /// Who.
    pub actor: String,
    /// A word.
    pub action: String,
    /// To what.
    pub target: String,
    /// More about it, as JSON; may be empty.
    pub detail: String,
}

/// A row of `audit`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    /// Counts from 1 without gaps.
    pub seq: i64,
    /// What was done.
    pub deed: Deed,
    /// Hash of the row before, empty for the first.
    pub prev_hash: String,
    /// Hash of this row.
    pub hash: String,
}

fn row(row: &AnyRow) -> Result<AuditRow, StoreError> {
    Ok(AuditRow {
        seq: row.try_get(0)?,
        deed: Deed {
            time: row.try_get(1)?,
            actor: row.try_get(2)?,
            action: row.try_get(3)?,
            target: row.try_get(4)?,
            detail: row.try_get(5)?,
        },
        prev_hash: row.try_get(6)?,
        hash: row.try_get(7)?,
    })
}

/// Hashes each part with its length before it, so that no two rows have the same bytes.
fn digest(seq: i64, deed: &Deed, prev_hash: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(seq.to_be_bytes());
    hash.update(deed.time.0.to_be_bytes());
    for part in [&*deed.actor, &*deed.action, &*deed.target, &*deed.detail, prev_hash] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Appends a row and returns it.
///
/// # Errors
/// The database's.
pub async fn append(tx: &mut Tx, deed: Deed) -> Result<AuditRow, StoreError> {
    LOCK.query().execute(tx.conn()).await?;
    let last = LAST.query().fetch_one(tx.conn()).await?;
    let (seq, prev_hash) = (last.try_get::<i64, _>(0)? + 1, last.try_get::<String, _>(1)?);
    let hash = digest(seq, &deed, &prev_hash);
    let query = INSERT.query().bind(seq).bind(deed.time).bind(&*deed.actor).bind(&*deed.action);
    let query = query.bind(&*deed.target).bind(&*deed.detail).bind(&*prev_hash).bind(&*hash);
    query.execute(tx.conn()).await?;
    Ok(AuditRow { seq, deed, prev_hash, hash })
}

/// Returns up to `limit` rows after number `seq`.
///
/// # Errors
/// The database's.
pub async fn after(on: &mut impl Conn, seq: i64, limit: u32) -> Result<Vec<AuditRow>, StoreError> {
    let query = AFTER.query().bind(seq).bind(i64::from(limit));
    query.fetch_all(on.conn()).await?.iter().map(row).collect()
}

/// What a list of rows is restricted to; an empty text lets everything through.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Who.
    pub actor: String,
    /// The word of what was done.
    pub action: String,
    /// To what: a word of the target, or the repo of the build that it is.
    pub target: String,
}

/// Returns up to `limit` rows with lower numbers than `seq`, newest first.
///
/// # Errors
/// The database's.
pub async fn before(
    on: &mut impl Conn,
    filter: &Filter,
    seq: i64,
    limit: u32,
) -> Result<Vec<AuditRow>, StoreError> {
    let query = BEFORE.query().bind(seq).bind(&*filter.actor).bind(&*filter.action);
    let query = query.bind(&*filter.target).bind(i64::from(limit));
    query.fetch_all(on.conn()).await?.iter().map(row).collect()
}

/// Returns the words of what was done, by name.
///
/// # Errors
/// The database's.
pub async fn actions(on: &mut impl Conn, limit: u32) -> Result<Vec<String>, StoreError> {
    let rows = ACTIONS.query().bind(i64::from(limit)).fetch_all(on.conn()).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// A chain that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// How many rows it has.
    pub rows: i64,
    /// The last row's hash; empty if there is none.
    pub hash: String,
}

/// Checks the whole chain. What it can't see by itself is whether rows were cut off at its end: for that give it a hash
/// that was its last one before.
///
/// # Errors
/// [`StoreError::Corrupt`] names the first row that was changed, or that follows one that is missing, or says that no row
/// has that hash.
pub async fn verify(on: &mut impl Conn, kept: Option<&str>) -> Result<Chain, StoreError> {
    let mut chain = Chain { rows: 0, hash: String::new() };
    let mut seen = kept.is_none_or(|kept| kept.is_empty());
    loop {
        let rows = after(on, chain.rows, 1000).await?;
        if rows.is_empty() {
            break;
        }
        for row in rows {
            let seq = chain.rows + 1;
            let hash = digest(seq, &row.deed, &chain.hash);
            if row.seq != seq || row.prev_hash != chain.hash || row.hash != hash {
                return Err(StoreError::Corrupt(format!("audit row {seq} is not as it was written")));
            }
            seen |= kept == Some(&*hash);
            chain = Chain { rows: seq, hash };
        }
    }
    if seen {
        Ok(chain)
    } else {
        let rows = chain.rows;
        Err(StoreError::Corrupt(format!(
            "the {rows} rows are as they were written, but none has the hash that was kept: either rows after them were cut \
             off, or it is the hash of another log"
        )))
    }
}
