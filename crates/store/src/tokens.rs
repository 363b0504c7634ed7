//! `tokens`: what programs and machines show, by its hash.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::statement::statements;
use crate::{Conn, Micros, StoreError, Tx};

statements! {
    INSERT = "tokens.insert", "INSERT INTO tokens (hash, name, role, scope, maker, created_us, expires_us) \
        VALUES ($1, $2, $3, $4, $5, $6, $7)";
    VALID = "tokens.valid", "SELECT hash, name, role, scope, maker, created_us, used_us, expires_us, revoked_us \
        FROM tokens WHERE hash = $1 AND revoked_us IS NULL AND (expires_us IS NULL OR expires_us > $2)";
    NEWEST = "tokens.newest", "SELECT hash, name, role, scope, maker, created_us, used_us, expires_us, revoked_us \
        FROM tokens WHERE name = $1 ORDER BY created_us DESC, hash LIMIT 1";
    LIST = "tokens.list", "SELECT hash, name, role, scope, maker, created_us, used_us, expires_us, revoked_us \
        FROM tokens ORDER BY created_us, hash";
    USED = "tokens.used", "UPDATE tokens SET used_us = $2 WHERE hash = $1";
    REVOKE = "tokens.revoke", "UPDATE tokens SET revoked_us = $2 WHERE name = $1 AND revoked_us IS NULL RETURNING hash";
}

/// A row of `tokens`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRow {
    /// SHA-256 of the token, in hexadecimal digits.
    pub hash: String,
    /// A name for people; of those that are not revoked each has another.
    pub name: String,
    /// What it may do.
    pub role: String,
    /// Names of the only repos that it is about, apart by spaces; empty for all.
    pub scope: String,
    /// Who made it.
    pub maker: String,
    /// When it was made.
    pub created: Micros,
    /// The last time it was shown, to the minute.
    pub used: Option<Micros>,
    /// When it ends by itself.
    pub expires: Option<Micros>,
    /// When it was revoked.
    pub revoked: Option<Micros>,
}

fn row(row: &AnyRow) -> Result<TokenRow, StoreError> {
    Ok(TokenRow {
        hash: row.try_get(0)?,
        name: row.try_get(1)?,
        role: row.try_get(2)?,
        scope: row.try_get(3)?,
        maker: row.try_get(4)?,
        created: row.try_get(5)?,
        used: row.try_get(6)?,
        expires: row.try_get(7)?,
        revoked: row.try_get(8)?,
    })
}

/// Writes a new token.
///
/// # Errors
/// [`StoreError::Conflict`] if another one has its name.
pub async fn insert(tx: &mut Tx, token: &TokenRow) -> Result<(), StoreError> {
    let query = INSERT.query().bind(&*token.hash).bind(&*token.name).bind(&*token.role).bind(&*token.scope);
    let query = query.bind(&*token.maker).bind(token.created).bind(token.expires);
    query.execute(tx.conn()).await?;
    Ok(())
}

/// Returns the token with this hash, unless it is over at `now` or revoked.
///
/// # Errors
/// The database's.
pub async fn valid(on: &mut impl Conn, hash: &str, now: Micros) -> Result<Option<TokenRow>, StoreError> {
    VALID.query().bind(hash).bind(now).fetch_optional(on.conn()).await?.as_ref().map(row).transpose()
}

/// Returns the newest token of this name, over or revoked as it may be: the only one that can count.
///
/// # Errors
/// The database's.
pub async fn newest(on: &mut impl Conn, name: &str) -> Result<Option<TokenRow>, StoreError> {
    NEWEST.query().bind(name).fetch_optional(on.conn()).await?.as_ref().map(row).transpose()
}

/// Lists all tokens, the oldest first, revoked ones too.
///
/// # Errors
/// The database's.
pub async fn list(on: &mut impl Conn) -> Result<Vec<TokenRow>, StoreError> {
    LIST.query().fetch_all(on.conn()).await?.iter().map(row).collect()
}

/// Notes that a token was shown.
///
/// # Errors
/// The database's.
pub async fn used(tx: &mut Tx, hash: &str, now: Micros) -> Result<(), StoreError> {
    USED.query().bind(hash).bind(now).execute(tx.conn()).await?;
    Ok(())
}

/// Revokes the token of this name, and returns its hash if there was one.
///
/// # Errors
/// The database's.
pub async fn revoke(tx: &mut Tx, name: &str, now: Micros) -> Result<Option<String>, StoreError> {
    let revoked = REVOKE.query().bind(name).bind(now).fetch_optional(tx.conn()).await?;
    Ok(revoked.map(|row| row.try_get(0)).transpose()?)
}
