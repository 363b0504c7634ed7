//! `machine_tokens`: who the machines are that dial in by a token of their own.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::statement::statements;
use crate::{Conn, Micros, StoreError, Tx};

statements! {
    INSERT = "machine_tokens.insert", "INSERT INTO machine_tokens (bootstrap, name, host, maker, created_us, expires_us) \
        VALUES ($1, $2, $3, $4, $5, $6)";
    BY_BOOTSTRAP = "machine_tokens.by_bootstrap", "SELECT bootstrap, name, host, maker, created_us, expires_us, secret, \
        joined_us, seen_us, seen_from, version, revoked_us FROM machine_tokens WHERE bootstrap = $1";
    BY_SECRET = "machine_tokens.by_secret", "SELECT bootstrap, name, host, maker, created_us, expires_us, secret, \
        joined_us, seen_us, seen_from, version, revoked_us FROM machine_tokens WHERE secret = $1";
    BY_NAME = "machine_tokens.by_name", "SELECT bootstrap, name, host, maker, created_us, expires_us, secret, \
        joined_us, seen_us, seen_from, version, revoked_us FROM machine_tokens WHERE name = $1 AND revoked_us IS NULL";
    EVER = "machine_tokens.ever", "SELECT 1 FROM machine_tokens WHERE host = $1 AND name = $2 LIMIT 1";
    LIST = "machine_tokens.list", "SELECT bootstrap, name, host, maker, created_us, expires_us, secret, \
        joined_us, seen_us, seen_from, version, revoked_us FROM machine_tokens ORDER BY created_us, bootstrap";
    JOIN = "machine_tokens.join", "UPDATE machine_tokens SET secret = $2, joined_us = $3 \
        WHERE bootstrap = $1 AND secret IS NULL AND revoked_us IS NULL AND expires_us > $3";
    SEEN = "machine_tokens.seen", "UPDATE machine_tokens SET seen_us = $2, seen_from = $3, version = $4 WHERE bootstrap = $1";
    REVOKE = "machine_tokens.revoke", "UPDATE machine_tokens SET revoked_us = $2 WHERE bootstrap = $1 AND revoked_us IS NULL";
}

/// A row of `machine_tokens`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineTokenRow {
    /// SHA-256 of the token that becomes an identity, once; it also names the row.
    pub bootstrap: String,
    /// The machine's name; of those that are not revoked each has another.
    pub name: String,
    /// The host that the machine is of.
    pub host: String,
    /// Who made it.
    pub maker: String,
    /// When it was made.
    pub created: Micros,
    /// Until when the token becomes an identity.
    pub expires: Micros,
    /// SHA-256 of what the machine shows since it has one.
    pub secret: Option<String>,
    /// When it became the machine's identity.
    pub joined: Option<Micros>,
    /// When the machine registered last.
    pub seen: Option<Micros>,
    /// From where.
    pub seen_from: Option<String>,
    /// As which version.
    pub version: Option<String>,
    /// When it was revoked.
    pub revoked: Option<Micros>,
}

fn row(row: &AnyRow) -> Result<MachineTokenRow, StoreError> {
    Ok(MachineTokenRow {
        bootstrap: row.try_get(0)?,
        name: row.try_get(1)?,
        host: row.try_get(2)?,
        maker: row.try_get(3)?,
        created: row.try_get(4)?,
        expires: row.try_get(5)?,
        secret: row.try_get(6)?,
        joined: row.try_get(7)?,
        seen: row.try_get(8)?,
        seen_from: row.try_get(9)?,
        version: row.try_get(10)?,
        revoked: row.try_get(11)?,
    })
}

/// Writes a new token, which is nobody's identity yet.
///
/// # Errors
/// [`StoreError::Conflict`] if another machine has its name.
pub async fn insert(tx: &mut Tx, token: &MachineTokenRow) -> Result<(), StoreError> {
    let query = INSERT.query().bind(&*token.bootstrap).bind(&*token.name).bind(&*token.host);
    let query = query.bind(&*token.maker).bind(token.created).bind(token.expires);
    query.execute(tx.conn()).await?;
    Ok(())
}

/// Returns the token with this hash, whatever became of it.
///
/// # Errors
/// The database's.
pub async fn by_bootstrap(on: &mut impl Conn, hash: &str) -> Result<Option<MachineTokenRow>, StoreError> {
    BY_BOOTSTRAP.query().bind(hash).fetch_optional(on.conn()).await?.as_ref().map(row).transpose()
}

/// Returns the machine whose secret has this hash, a revoked one too.
///
/// # Errors
/// The database's.
pub async fn by_secret(on: &mut impl Conn, hash: &str) -> Result<Option<MachineTokenRow>, StoreError> {
    BY_SECRET.query().bind(hash).fetch_optional(on.conn()).await?.as_ref().map(row).transpose()
}

/// Returns the token of this name that is not revoked.
///
/// # Errors
/// The database's.
pub async fn by_name(on: &mut impl Conn, name: &str) -> Result<Option<MachineTokenRow>, StoreError> {
    BY_NAME.query().bind(name).fetch_optional(on.conn()).await?.as_ref().map(row).transpose()
}

/// Says whether a machine of this host and name has, or ever had, a token.
///
/// # Errors
/// The database's.
pub async fn ever(on: &mut impl Conn, host: &str, name: &str) -> Result<bool, StoreError> {
    Ok(EVER.query().bind(host).bind(name).fetch_optional(on.conn()).await?.is_some())
}

/// Lists all tokens, the oldest first, revoked ones too.
///
/// # Errors
/// The database's.
pub async fn list(on: &mut impl Conn) -> Result<Vec<MachineTokenRow>, StoreError> {
    LIST.query().fetch_all(on.conn()).await?.iter().map(row).collect()
}

/// Makes a token the identity of the machine whose secret has this hash. Returns whether it did: not if it is used, over or
/// revoked.
///
/// # Errors
/// The database's.
pub async fn join(tx: &mut Tx, bootstrap: &str, secret: &str, now: Micros) -> Result<bool, StoreError> {
    let query = JOIN.query().bind(bootstrap).bind(secret).bind(now);
    Ok(query.execute(tx.conn()).await?.rows_affected() == 1)
}

/// Notes that a machine registered.
///
/// # Errors
/// The database's.
pub async fn seen(
    tx: &mut Tx,
    bootstrap: &str,
    now: Micros,
    from: &str,
    version: &str,
) -> Result<(), StoreError> {
    SEEN.query().bind(bootstrap).bind(now).bind(from).bind(version).execute(tx.conn()).await?;
    Ok(())
}

/// Revokes a token, and with it the identity that it became. Returns whether it was not revoked before.
///
/// # Errors
/// The database's.
pub async fn revoke(tx: &mut Tx, bootstrap: &str, now: Micros) -> Result<bool, StoreError> {
    Ok(REVOKE.query().bind(bootstrap).bind(now).execute(tx.conn()).await?.rows_affected() == 1)
}
