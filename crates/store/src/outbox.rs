//! The coordinator's `outbox`: messages to the world outside, each put once, and sent until it is there or given up.
//!
//! A row is `waiting`, then `taken` under a fence, then `sent`, `given_up` or `waiting` again. One that is `taken` under a fence
//! below the coordinator's epoch was being sent by one that is no more: whether it arrived is not known.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::leader::one;
use crate::statement::statements;
use crate::{Conn, Micros, StoreError, Tx};

/// The longest key, bytes.
pub const LONGEST_KEY: usize = 300;
/// The longest name of a target, bytes.
pub const LONGEST_TARGET: usize = 1000;
/// The longest body, bytes.
pub const LONGEST_BODY: usize = 1 << 20;
/// The longest error that is kept, characters.
const LONGEST_ERROR: usize = 1000;

statements! {
    PUT = "outbox.put", "INSERT INTO outbox (key, marker, seq, channel, target, body, state, fence, attempts, not_before_us, created_us) \
        VALUES ($1, $2, (SELECT COALESCE(MAX(seq), 0) + 1 FROM outbox), $3, $4, $5, 'waiting', 0, 0, $6, $6) \
        ON CONFLICT (key) DO NOTHING";
    GET = "outbox.get", "SELECT key, marker, seq, channel, target, body, state, fence, attempts, not_before_us, last_error, created_us, ended_us \
        FROM outbox WHERE key = $1";
    // The oldest open one of each target, if it can go out now.
    DUE = "outbox.due", "SELECT key, marker, seq, channel, target, body, state, fence, attempts, not_before_us, last_error, created_us, ended_us \
        FROM outbox o WHERE o.channel = $1 AND o.state IN ('waiting', 'taken') AND o.not_before_us <= $2 \
        AND (o.state = 'waiting' OR o.fence < $3) \
        AND NOT EXISTS (SELECT 1 FROM outbox e WHERE e.channel = o.channel AND e.target = o.target AND e.seq < o.seq \
        AND e.state IN ('waiting', 'taken')) ORDER BY o.seq LIMIT $4";
    TAKE = "outbox.take", "UPDATE outbox SET state = 'taken', fence = $2, attempts = attempts + 1 \
        WHERE key = $1 AND (state = 'waiting' OR (state = 'taken' AND fence < $3))";
    SENT = "outbox.sent", "UPDATE outbox SET state = 'sent', ended_us = $3, last_error = $4 \
        WHERE key = $1 AND fence = $2 AND state = 'taken'";
    PUT_OFF = "outbox.put_off", "UPDATE outbox SET state = 'waiting', not_before_us = $3, last_error = $4 \
        WHERE key = $1 AND fence = $2 AND state = 'taken'";
    GIVE_UP = "outbox.give_up", "UPDATE outbox SET state = 'given_up', ended_us = $3, last_error = $4 \
        WHERE key = $1 AND fence = $2 AND state = 'taken'";
    REVIVE = "outbox.revive", "UPDATE outbox SET state = 'waiting', not_before_us = $2, ended_us = NULL \
        WHERE key = $1 AND state = 'given_up'";
    HURRY = "outbox.hurry", "UPDATE outbox SET not_before_us = $2 WHERE key = $1 AND state = 'waiting' AND not_before_us > $2";
    OPEN = "outbox.open", "SELECT key, marker, seq, channel, target, body, state, fence, attempts, not_before_us, last_error, created_us, ended_us \
        FROM outbox WHERE state IN ('waiting', 'taken') ORDER BY seq LIMIT $1";
    SENT_LAST = "outbox.sent_last", "SELECT key, marker, seq, channel, target, body, state, fence, attempts, not_before_us, last_error, created_us, ended_us \
        FROM outbox WHERE state = 'sent' ORDER BY ended_us DESC LIMIT $1";
    COUNTS = "outbox.counts", "SELECT channel, state, CAST(COUNT(*) AS BIGINT), \
        CAST(SUM(CASE WHEN last_error IS NULL THEN 0 ELSE 1 END) AS BIGINT), CAST(MIN(created_us) AS BIGINT) FROM outbox \
        WHERE state IN ('waiting', 'taken', 'given_up') GROUP BY channel, state ORDER BY channel, state";
    TROUBLED = "outbox.troubled", "SELECT key, marker, seq, channel, target, body, state, fence, attempts, not_before_us, last_error, created_us, ended_us \
        FROM outbox WHERE state = 'given_up' OR (state IN ('waiting', 'taken') AND last_error IS NOT NULL) ORDER BY seq DESC LIMIT $1";
    PRUNE = "outbox.prune", "DELETE FROM outbox WHERE state IN ('sent', 'given_up') AND ended_us < $1";
}

/// A message to put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMessage<'a> {
    /// What it is: a second one with this key is none.
    pub key: &'a str,
    /// By what it is found where it was posted.
    pub marker: &'a str,
    /// How it goes out.
    pub channel: &'a str,
    /// Whom or what it goes to.
    pub target: &'a str,
    /// JSON, of the channel's form.
    pub body: &'a str,
}

/// A row of `outbox`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageRow {
    /// What it is.
    pub key: String,
    /// By what it is found where it was posted.
    pub marker: String,
    /// Its place in the order.
    pub seq: i64,
    /// How it goes out.
    pub channel: String,
    /// Whom or what it goes to.
    pub target: String,
    /// JSON, of the channel's form.
    pub body: String,
    /// `waiting`, `taken`, `sent` or `given_up`.
    pub state: String,
    /// Of who took it last; 0 for nobody.
    pub fence: i64,
    /// How often it was taken.
    pub attempts: i64,
    /// Not tried before then.
    pub not_before: Micros,
    /// Why the last attempt came to nothing; of one that was sent, what is missing in it.
    pub last_error: Option<String>,
    /// When it was put.
    pub created: Micros,
    /// When it was sent or given up.
    pub ended: Option<Micros>,
}

/// How many messages of a channel are in a state; those that were sent are not counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CountRow {
    /// The channel.
    pub channel: String,
    /// `waiting`, `taken` or `given_up`.
    pub state: String,
    /// So many.
    pub count: i64,
    /// Of these, so many with an attempt that came to nothing.
    pub failed: i64,
    /// When the oldest of them was put.
    pub oldest: Micros,
}

fn row(row: &AnyRow) -> Result<MessageRow, StoreError> {
    Ok(MessageRow {
        key: row.try_get(0)?,
        marker: row.try_get(1)?,
        seq: row.try_get(2)?,
        channel: row.try_get(3)?,
        target: row.try_get(4)?,
        body: row.try_get(5)?,
        state: row.try_get(6)?,
        fence: row.try_get(7)?,
        attempts: row.try_get(8)?,
        not_before: row.try_get(9)?,
        last_error: row.try_get(10)?,
        created: row.try_get(11)?,
        ended: row.try_get(12)?,
    })
}

/// Puts a message, and returns whether it is new. It belongs into the transaction of what it tells, which must hold the lock of
/// [`crate::leader::guard`]: that gives messages their order on PostgreSQL.
///
/// # Errors
/// [`StoreError::Other`] for what is longer than the limits here; else the database's.
pub async fn put(tx: &mut Tx, new: &NewMessage<'_>, now: Micros) -> Result<bool, StoreError> {
    for (what, text, most) in [
        ("key", new.key, LONGEST_KEY),
        ("target", new.target, LONGEST_TARGET),
        ("body", new.body, LONGEST_BODY),
    ] {
        if text.len() > most {
            let (has, start): (_, String) = (text.len(), text.chars().take(100).collect());
            let message =
                format!("the {what} of a message to {} has {has} bytes of {most}: {start}…", new.channel);
            return Err(StoreError::Other(message.into()));
        }
    }
    let query = PUT
        .query()
        .bind(new.key)
        .bind(new.marker)
        .bind(new.channel)
        .bind(new.target)
        .bind(new.body)
        .bind(now);
    Ok(query.execute(tx.conn()).await?.rows_affected() == 1)
}

/// Returns a message.
///
/// # Errors
/// The database's.
pub async fn get(on: &mut impl Conn, key: &str) -> Result<Option<MessageRow>, StoreError> {
    GET.query().bind(key).fetch_optional(on.conn()).await?.as_ref().map(row).transpose()
}

/// Returns up to `limit` messages of a channel that can go out now, the oldest first: of each target the first alone. One that is
/// taken under a fence below `floor` is among them.
///
/// # Errors
/// The database's.
pub async fn due(
    on: &mut impl Conn,
    channel: &str,
    now: Micros,
    floor: i64,
    limit: u32,
) -> Result<Vec<MessageRow>, StoreError> {
    let query = DUE.query().bind(channel).bind(now).bind(floor).bind(i64::from(limit));
    query.fetch_all(on.conn()).await?.iter().map(row).collect()
}

/// Takes a message to send it: it counts as an attempt from here on.
///
/// # Errors
/// [`StoreError::Stale`] if it is not waiting, nor taken under a fence below `floor`.
pub async fn take(tx: &mut Tx, key: &str, fence: i64, floor: i64) -> Result<(), StoreError> {
    one(TAKE.query().bind(key).bind(fence).bind(floor).execute(tx.conn()).await?.rows_affected())
}

/// Notes that a message arrived, and what of it did not.
///
/// # Errors
/// [`StoreError::Stale`] if it is not taken under this fence.
pub async fn sent(
    tx: &mut Tx,
    key: &str,
    fence: i64,
    now: Micros,
    without: Option<&str>,
) -> Result<(), StoreError> {
    one(SENT
        .query()
        .bind(key)
        .bind(fence)
        .bind(now)
        .bind(without.map(cut))
        .execute(tx.conn())
        .await?
        .rows_affected())
}

/// Notes why a message did not arrive, as far as is known, and when it is tried again.
///
/// # Errors
/// [`StoreError::Stale`] if it is not taken under this fence.
pub async fn put_off(
    tx: &mut Tx,
    key: &str,
    fence: i64,
    not_before: Micros,
    error: &str,
) -> Result<(), StoreError> {
    let query = PUT_OFF.query().bind(key).bind(fence).bind(not_before).bind(cut(error));
    one(query.execute(tx.conn()).await?.rows_affected())
}

/// Notes that a message is not tried again, and why. Those behind it go on.
///
/// # Errors
/// [`StoreError::Stale`] if it is not taken under this fence.
pub async fn give_up(tx: &mut Tx, key: &str, fence: i64, now: Micros, error: &str) -> Result<(), StoreError> {
    let query = GIVE_UP.query().bind(key).bind(fence).bind(now).bind(cut(error));
    one(query.execute(tx.conn()).await?.rows_affected())
}

/// Has a message tried again that was given up; returns whether there was one.
///
/// # Errors
/// The database's.
pub async fn revive(tx: &mut Tx, key: &str, now: Micros) -> Result<bool, StoreError> {
    Ok(REVIVE.query().bind(key).bind(now).execute(tx.conn()).await?.rows_affected() == 1)
}

/// Has a message tried now that waits after an attempt that came to nothing; returns whether there was one.
///
/// # Errors
/// The database's.
pub async fn hurry(tx: &mut Tx, key: &str, now: Micros) -> Result<bool, StoreError> {
    Ok(HURRY.query().bind(key).bind(now).execute(tx.conn()).await?.rows_affected() == 1)
}

/// Returns up to `limit` messages that wait or are on their way, in their order.
///
/// # Errors
/// The database's.
pub async fn open(on: &mut impl Conn, limit: u32) -> Result<Vec<MessageRow>, StoreError> {
    OPEN.query().bind(i64::from(limit)).fetch_all(on.conn()).await?.iter().map(row).collect()
}

/// Returns up to `limit` messages that were sent, the last first.
///
/// # Errors
/// The database's.
pub async fn sent_last(on: &mut impl Conn, limit: u32) -> Result<Vec<MessageRow>, StoreError> {
    SENT_LAST.query().bind(i64::from(limit)).fetch_all(on.conn()).await?.iter().map(row).collect()
}

/// Counts messages that were not sent, by channel and state.
///
/// # Errors
/// The database's.
pub async fn counts(on: &mut impl Conn) -> Result<Vec<CountRow>, StoreError> {
    let row = |row: &AnyRow| {
        Ok(CountRow {
            channel: row.try_get(0)?,
            state: row.try_get(1)?,
            count: row.try_get(2)?,
            failed: row.try_get(3)?,
            oldest: row.try_get(4)?,
        })
    };
    COUNTS.query().fetch_all(on.conn()).await?.iter().map(row).collect()
}

/// Returns up to `limit` messages that were given up, or had an attempt that came to nothing and wait; the newest first.
///
/// # Errors
/// The database's.
pub async fn troubled(on: &mut impl Conn, limit: u32) -> Result<Vec<MessageRow>, StoreError> {
    TROUBLED.query().bind(i64::from(limit)).fetch_all(on.conn()).await?.iter().map(row).collect()
}

/// Removes what was sent or given up before then, and returns how many. Their keys are free again after it.
///
/// # Errors
/// The database's.
pub async fn prune(tx: &mut Tx, before: Micros) -> Result<u64, StoreError> {
    Ok(PRUNE.query().bind(before).execute(tx.conn()).await?.rows_affected())
}

fn cut(error: &str) -> String {
    error.chars().take(LONGEST_ERROR).collect()
}
