//! The coordinator's `own_rules`: files of rules that have not landed, by which builds of the changes to them are made.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::statement::statements;
use crate::{Conn, Micros, StoreError, Tx};

statements! {
    PUT = "own_rules.put", "INSERT INTO own_rules (digest, repo, file_text, noted_us) VALUES ($1, $2, $3, $4) \
        ON CONFLICT (digest) DO NOTHING";
    GET = "own_rules.get", "SELECT repo, file_text FROM own_rules WHERE digest = $1";
}

/// A row of `own_rules`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnRulesRow {
    /// What builds name it by.
    pub digest: String,
    /// The repo whose file it is.
    pub repo: String,
    /// The file.
    pub text: String,
}

/// Writes a file down. One that is there stays as it is.
///
/// # Errors
/// The database's.
pub async fn put(tx: &mut Tx, rules: &OwnRulesRow, now: Micros) -> Result<(), StoreError> {
    let query = PUT.query().bind(&*rules.digest).bind(&*rules.repo).bind(&*rules.text).bind(now);
    query.execute(tx.conn()).await?;
    Ok(())
}

/// Returns a file by what builds name it by.
///
/// # Errors
/// The database's.
pub async fn get(on: &mut impl Conn, digest: &str) -> Result<Option<OwnRulesRow>, StoreError> {
    let found = GET.query().bind(digest.to_owned()).fetch_optional(on.conn()).await?;
    let row = |row: &AnyRow| {
        Ok(OwnRulesRow {
            digest: digest.to_owned(),
            repo: row.try_get("repo")?,
            text: row.try_get("file_text")?,
        })
    };
    found.as_ref().map(row).transpose()
}
