//! The coordinator's `events`: every input of the scheduler, in order, for replay.

use sqlx::Row as _;
use sqlx::any::{Any, AnyArguments};
use sqlx::query::Query;

use crate::statement::statements;
use crate::{Conn, Micros, StoreError, Tx};

statements! {
    INSERT = "events.insert", "INSERT INTO events (seq, time_us, kind, body) VALUES ($1, $2, $3, $4)";
    INSERT_EIGHT = "events.insert_eight", "INSERT INTO events (seq, time_us, kind, body) VALUES ($1, $2, $3, $4), ($5, $6, $7, $8), ($9, $10, $11, $12), ($13, $14, $15, $16), ($17, $18, $19, $20), ($21, $22, $23, $24), ($25, $26, $27, $28), ($29, $30, $31, $32)";
    LAST = "events.last", "SELECT CAST(COALESCE(MAX(seq), 0) AS BIGINT) FROM events";
    AFTER = "events.after", "SELECT seq, time_us, kind, body FROM events WHERE seq > $1 ORDER BY seq LIMIT $2";
    STARTED = "events.started", "SELECT CAST(COALESCE(MAX(seq), 0) AS BIGINT) FROM events WHERE kind = 'started' AND time_us <= $1";
    EXPIRE = "events.expire", "DELETE FROM events WHERE time_us < $1 AND seq < (SELECT MAX(seq) FROM events)";
}

/// A row of `events`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRow {
    /// Its place in the order, from 1, without gaps.
    pub seq: i64,
    /// When it happened.
    pub time: Micros,
    /// What happened, in a word.
    pub kind: String,
    /// JSON of the event.
    pub body: String,
}

/// Appends events, eight in a statement where there are so many.
///
/// # Errors
/// [`StoreError::Conflict`] if the place of one is taken: another coordinator writes.
pub async fn insert(tx: &mut Tx, events: &[EventRow]) -> Result<(), StoreError> {
    let mut eights = events.chunks_exact(8);
    for eight in &mut eights {
        let query = eight.iter().fold(INSERT_EIGHT.query(), bind);
        query.execute(tx.conn()).await?;
    }
    for one in eights.remainder() {
        bind(INSERT.query(), one).execute(tx.conn()).await?;
    }
    Ok(())
}

fn bind<'q>(query: Query<'q, Any, AnyArguments>, event: &EventRow) -> Query<'q, Any, AnyArguments> {
    query.bind(event.seq).bind(event.time).bind(event.kind.clone()).bind(event.body.clone())
}

/// Returns the place of the newest event, 0 where there is none.
///
/// # Errors
/// The database's.
pub async fn last(on: &mut impl Conn) -> Result<i64, StoreError> {
    Ok(LAST.query().fetch_one(on.conn()).await?.try_get(0)?)
}

/// Returns the place of the last start of a coordinator up to `time`, 0 where none is recorded.
///
/// # Errors
/// The database's.
pub async fn started_before(on: &mut impl Conn, time: Micros) -> Result<i64, StoreError> {
    Ok(STARTED.query().bind(time).fetch_one(on.conn()).await?.try_get(0)?)
}

/// Returns up to `limit` events after `seq`, in order.
///
/// # Errors
/// The database's.
pub async fn after(on: &mut impl Conn, seq: i64, limit: i64) -> Result<Vec<EventRow>, StoreError> {
    let rows = AFTER.query().bind(seq).bind(limit).fetch_all(on.conn()).await?;
    rows.iter()
        .map(|row| {
            Ok(EventRow {
                seq: row.try_get(0)?,
                time: row.try_get(1)?,
                kind: row.try_get(2)?,
                body: row.try_get(3)?,
            })
        })
        .collect()
}

/// Forgets events older than `before`, and returns how many; the newest stays, since numbers go on from it.
///
/// # Errors
/// The database's.
pub async fn expire(tx: &mut Tx, before: Micros) -> Result<u64, StoreError> {
    Ok(EXPIRE.query().bind(before).execute(tx.conn()).await?.rows_affected())
}
