//! `legacy_tags`: the main repository's tip, and its releases.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::statement::statements;
use crate::{Conn, StoreError, Tx};

statements! {
    PUT = "legacy_tags.put", "INSERT INTO legacy_tags (dash, id, kind, name, hash) VALUES ($1, $2, $3, $4, $5) \
        ON CONFLICT (dash, id) DO UPDATE SET kind = excluded.kind, name = excluded.name, hash = excluded.hash";
    GET = "legacy_tags.get", "SELECT kind, name, hash FROM legacy_tags WHERE dash = $1 AND id = $2";
    LIST = "legacy_tags.list", "SELECT kind, name, hash FROM legacy_tags WHERE dash = $1 ORDER BY id";
}

/// A row of `legacy_tags`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagRow {
    /// `tip` or `release`.
    pub kind: String,
    /// A release's branch.
    pub name: String,
    /// Its commit.
    pub hash: String,
}

fn id(kind: &str, name: &str) -> String {
    if kind == "tip" { "tip".to_owned() } else { format!("release-{name}") }
}

fn row(row: &AnyRow) -> Result<TagRow, StoreError> {
    Ok(TagRow { kind: row.try_get(0)?, name: row.try_get(1)?, hash: row.try_get(2)? })
}

/// Writes a tag.
///
/// # Errors
/// The database's.
pub async fn put(tx: &mut Tx, dash: &str, tag: &TagRow) -> Result<(), StoreError> {
    let query = PUT.query().bind(dash).bind(id(&tag.kind, &tag.name)).bind(&*tag.kind);
    query.bind(&*tag.name).bind(&*tag.hash).execute(tx.conn()).await?;
    Ok(())
}

/// Returns the main repository's tip.
///
/// # Errors
/// The database's.
pub async fn tip(on: &mut impl Conn, dash: &str) -> Result<Option<TagRow>, StoreError> {
    GET.query().bind(dash).bind("tip").fetch_optional(on.conn()).await?.as_ref().map(row).transpose()
}

/// Lists all tags.
///
/// # Errors
/// The database's.
pub async fn list(on: &mut impl Conn, dash: &str) -> Result<Vec<TagRow>, StoreError> {
    LIST.query().bind(dash).fetch_all(on.conn()).await?.iter().map(row).collect()
}
