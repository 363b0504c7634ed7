//! Which tables and columns a database has, as it says itself.

use serde::{Deserialize, Serialize};
use sqlx::Row as _;

use crate::{Conn, Dialect, StoreError};

/// What no backup holds: which migrations were applied, for a restore applies them anew; and who was signed in, for one who
/// has signed out since must not be in again; and which objects hold snapshots, for those are not in it either.
const LEFT_OUT: [&str; 4] = ["schema_version", "sessions", "login_links", "snapshots"];

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    Text,
    Integer,
    Real,
    Bytes,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Column {
    pub name: String,
    pub kind: Kind,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Table {
    pub name: String,
    pub columns: Vec<Column>,
}

impl Table {
    /// Its columns, quoted, with commas between.
    pub(super) fn column_list(&self) -> String {
        let names: Vec<String> = self.columns.iter().map(|column| quoted(&column.name)).collect();
        names.join(", ")
    }

    /// Its name, quoted.
    pub(super) fn quoted(&self) -> String {
        quoted(&self.name)
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

const SQLITE_TABLES: &str =
    "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name";
const SQLITE_COLUMNS: &str = "SELECT name, type FROM pragma_table_info($1) ORDER BY cid";
const POSTGRES_TABLES: &str = "SELECT CAST(table_name AS TEXT) FROM information_schema.tables \
    WHERE table_schema = current_schema() AND table_type = 'BASE TABLE' ORDER BY 1";
const POSTGRES_COLUMNS: &str = "SELECT CAST(column_name AS TEXT), CAST(data_type AS TEXT) \
    FROM information_schema.columns WHERE table_schema = current_schema() AND table_name = $1 \
    ORDER BY ordinal_position";

/// Returns every table that a backup holds, by name.
pub(super) async fn all(on: &mut impl Conn, dialect: Dialect) -> Result<Vec<Table>, StoreError> {
    let (tables, columns) = match dialect {
        Dialect::Sqlite => (SQLITE_TABLES, SQLITE_COLUMNS),
        Dialect::Postgres => (POSTGRES_TABLES, POSTGRES_COLUMNS),
    };
    let mut found = Vec::new();
    for row in sqlx::query(tables).fetch_all(on.conn()).await? {
        let name: String = row.try_get(0)?;
        if LEFT_OUT.contains(&&*name) {
            continue;
        }
        let rows = sqlx::query(columns).bind(&*name).fetch_all(on.conn()).await?;
        let column = |row: &sqlx::any::AnyRow| {
            let (column, kind): (String, String) = (row.try_get(0)?, row.try_get(1)?);
            let Some(kind) = kind_of(&kind) else {
                return Err(StoreError::Corrupt(format!("{name}.{column} has the unknown type {kind}")));
            };
            Ok(Column { name: column, kind })
        };
        let columns = rows.iter().map(column).collect::<Result<_, _>>()?;
        found.push(Table { name, columns });
    }
    Ok(found)
}

/// Knows the types that migrations use.
fn kind_of(declared: &str) -> Option<Kind> {
    match declared.to_ascii_uppercase().as_str() {
        "TEXT" => Some(Kind::Text),
        "BIGINT" => Some(Kind::Integer),
        "DOUBLE PRECISION" => Some(Kind::Real),
        "BLOB" | "BYTEA" => Some(Kind::Bytes),
        _ => None,
    }
}
