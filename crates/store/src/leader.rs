//! Who leads: one row a role. Every write of a leader begins with [`guard`], which takes the row's lock, so that of two
//! coordinators only the one with the newest epoch can commit anything.

use sqlx::Row as _;

use crate::statement::statements;
use crate::{Conn, Micros, StoreError, Tx};

/// The role of the service that owns all machines.
pub const COORDINATOR: &str = "coordinator";
/// The role of the one that stores hints.
pub const PUBSUBHELPER: &str = "pubsubhelper";

statements! {
    GET = "leadership.get", "SELECT epoch, holder, until_us FROM leadership WHERE role = $1";
    INSERT = "leadership.insert", "INSERT INTO leadership (role, epoch, holder, until_us) VALUES ($1, 1, $2, $3) ON CONFLICT (role) DO NOTHING";
    TAKE = "leadership.take", "UPDATE leadership SET epoch = epoch + 1, holder = $2, until_us = $3 WHERE role = $1 AND epoch = $4";
    RENEW = "leadership.renew", "UPDATE leadership SET until_us = $3 WHERE role = $1 AND epoch = $2";
    GUARD = "leadership.guard", "UPDATE leadership SET epoch = epoch WHERE role = $1 AND epoch = $2";
}

/// What a leader took over under: each take-over has a higher one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Epoch(pub i64);

/// Who leads now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leader {
    /// Under which epoch.
    pub epoch: Epoch,
    /// Who, in words.
    pub holder: String,
    /// Until when unless renewed.
    pub until: Micros,
}

/// Returns who leads, or led last.
///
/// # Errors
/// The database's.
pub async fn current(on: &mut impl Conn, role: &str) -> Result<Option<Leader>, StoreError> {
    let row = GET.query().bind(role.to_owned()).fetch_optional(on.conn()).await?;
    row.map(|row| {
        Ok(Leader { epoch: Epoch(row.try_get(0)?), holder: row.try_get(1)?, until: row.try_get(2)? })
    })
    .transpose()
}

/// Takes the lead from `before` (as [`current`] told it; `None` where nobody ever led). The caller decides whether
/// that one's time is over.
///
/// # Errors
/// [`StoreError::Stale`] if somebody else was faster.
pub async fn take(
    tx: &mut Tx,
    role: &str,
    before: Option<Epoch>,
    holder: &str,
    until: Micros,
) -> Result<Epoch, StoreError> {
    let (role, holder) = (role.to_owned(), holder.to_owned());
    let done = match before {
        None => INSERT.query().bind(role).bind(holder).bind(until).execute(tx.conn()).await?,
        Some(epoch) => {
            TAKE.query().bind(role).bind(holder).bind(until).bind(epoch.0).execute(tx.conn()).await?
        }
    };
    match done.rows_affected() {
        1 => Ok(Epoch(before.map_or(1, |epoch| epoch.0 + 1))),
        _ => Err(StoreError::Stale),
    }
}

/// Goes on leading until `until`.
///
/// # Errors
/// [`StoreError::Stale`] if somebody else leads.
pub async fn renew(tx: &mut Tx, role: &str, epoch: Epoch, until: Micros) -> Result<(), StoreError> {
    let done = RENEW.query().bind(role.to_owned()).bind(epoch.0).bind(until).execute(tx.conn()).await?;
    one(done.rows_affected())
}

/// Locks the role's row for this transaction and checks that the epoch still leads.
///
/// # Errors
/// [`StoreError::Stale`] if somebody else leads.
pub async fn guard(tx: &mut Tx, role: &str, epoch: Epoch) -> Result<(), StoreError> {
    let done = GUARD.query().bind(role.to_owned()).bind(epoch.0).execute(tx.conn()).await?;
    one(done.rows_affected())
}

/// A guarded update must have touched its one row.
pub(crate) fn one(rows: u64) -> Result<(), StoreError> {
    if rows == 1 { Ok(()) } else { Err(StoreError::Stale) }
}
