//! `sessions` and `login_links`: what browsers hold, and what makes it, by their hashes.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::statement::statements;
use crate::{Conn, Micros, StoreError, Tx};

statements! {
    INSERT = "sessions.insert", "INSERT INTO sessions (hash, person, role, created_us, expires_us) \
        VALUES ($1, $2, $3, $4, $5)";
    VALID = "sessions.valid", "SELECT hash, person, role, created_us, expires_us FROM sessions \
        WHERE hash = $1 AND expires_us > $2";
    ROLES = "sessions.roles", "SELECT DISTINCT role FROM sessions WHERE person = $1 AND expires_us > $2 ORDER BY role";
    END = "sessions.end", "DELETE FROM sessions WHERE hash = $1";
    SWEEP = "sessions.sweep", "DELETE FROM sessions WHERE expires_us <= $1";
    LINK = "login_links.insert", "INSERT INTO login_links (hash, person, role, created_us, expires_us) \
        VALUES ($1, $2, $3, $4, $5)";
    USE = "login_links.use", "UPDATE login_links SET used_us = $2 \
        WHERE hash = $1 AND used_us IS NULL AND expires_us > $2";
    OF_LINK = "login_links.get", "SELECT hash, person, role, created_us, expires_us FROM login_links \
        WHERE hash = $1";
    SWEEP_LINKS = "login_links.sweep", "DELETE FROM login_links WHERE expires_us <= $1";
}

/// A row of `sessions`, or of `login_links`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRow {
    /// SHA-256 of what the browser or the link holds, in hexadecimal digits.
    pub hash: String,
    /// Who.
    pub person: String,
    /// What they may do.
    pub role: String,
    /// When it was made.
    pub created: Micros,
    /// When it ends.
    pub expires: Micros,
}

fn row(row: &AnyRow) -> Result<SessionRow, StoreError> {
    Ok(SessionRow {
        hash: row.try_get(0)?,
        person: row.try_get(1)?,
        role: row.try_get(2)?,
        created: row.try_get(3)?,
        expires: row.try_get(4)?,
    })
}

async fn write(tx: &mut Tx, into: &'static crate::Statement, session: &SessionRow) -> Result<(), StoreError> {
    let query = into.query().bind(&*session.hash).bind(&*session.person).bind(&*session.role);
    query.bind(session.created).bind(session.expires).execute(tx.conn()).await?;
    Ok(())
}

/// Writes a new session.
///
/// # Errors
/// The database's.
pub async fn insert(tx: &mut Tx, session: &SessionRow) -> Result<(), StoreError> {
    write(tx, INSERT, session).await
}

/// Returns the session with this hash, unless it is over at `now`.
///
/// # Errors
/// The database's.
pub async fn valid(on: &mut impl Conn, hash: &str, now: Micros) -> Result<Option<SessionRow>, StoreError> {
    VALID.query().bind(hash).bind(now).fetch_optional(on.conn()).await?.as_ref().map(row).transpose()
}

/// Lists the roles by which a person is signed in at `now`.
///
/// # Errors
/// The database's.
pub async fn roles(on: &mut impl Conn, person: &str, now: Micros) -> Result<Vec<String>, StoreError> {
    let rows = ROLES.query().bind(person).bind(now).fetch_all(on.conn()).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Ends a session.
///
/// # Errors
/// The database's.
pub async fn end(tx: &mut Tx, hash: &str) -> Result<(), StoreError> {
    END.query().bind(hash).execute(tx.conn()).await?;
    Ok(())
}

/// Writes a new login link.
///
/// # Errors
/// The database's.
pub async fn insert_link(tx: &mut Tx, link: &SessionRow) -> Result<(), StoreError> {
    write(tx, LINK, link).await
}

/// Uses a login link up, and returns it if this was the first time and in time.
///
/// # Errors
/// The database's.
pub async fn use_link(tx: &mut Tx, hash: &str, now: Micros) -> Result<Option<SessionRow>, StoreError> {
    if USE.query().bind(hash).bind(now).execute(tx.conn()).await?.rows_affected() == 0 {
        return Ok(None);
    }
    OF_LINK.query().bind(hash).fetch_optional(tx.conn()).await?.as_ref().map(row).transpose()
}

/// Removes sessions and links that are over at `now`.
///
/// # Errors
/// The database's.
pub async fn sweep(tx: &mut Tx, now: Micros) -> Result<(), StoreError> {
    SWEEP.query().bind(now).execute(tx.conn()).await?;
    SWEEP_LINKS.query().bind(now).execute(tx.conn()).await?;
    Ok(())
}
