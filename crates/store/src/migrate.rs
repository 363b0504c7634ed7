//! Numbered migrations that are only ever added to, each applied once, in its own transaction.

use sha2::{Digest, Sha256};
use sqlx::{AssertSqlSafe, Row};

use crate::db::{Db, Dialect, OpenError};
use crate::statement::statements;
use crate::{Conn, Micros, StoreError};

/// One step of the schema. Its text never changes once it is in a release.
#[derive(Debug)]
pub struct Migration {
    /// Counts from 1 without gaps.
    pub version: i64,
    /// Says what it adds.
    pub name: &'static str,
    /// SQL for both databases; `{BLOB}` stands for the type of bytes.
    pub sql: &'static str,
}

macro_rules! migrations {
    ($($version:literal $name:literal),* $(,)?) => {
        &[$(Migration {
            version: $version,
            name: $name,
            sql: include_str!(concat!("../migrations/", $name, ".sql")),
        }),*]
    };
}

/// All migrations, in order.
pub const MIGRATIONS: &[Migration] = migrations![
    1 "0001_dashboard",
    2 "0002_coordinator",
    3 "0003_environment",
    4 "0004_legacy",
    5 "0005_pages",
    6 "0006_access",
    7 "0007_tree",
    8 "0008_retention",
    9 "0009_feed",
    10 "0010_gomotes",
    11 "0011_machines",
    12 "0012_seals",
    13 "0013_wanted_holds",
    14 "0014_more_seals",
    15 "0015_pubsub_events",
    16 "0016_try_runs",
    17 "0017_outbox",
    18 "0018_test_results",
    19 "0019_log_index",
    20 "0020_pulls",
    21 "0021_statistics",
    22 "0022_durations",
    23 "0023_try_changes",
    24 "0024_verdicts",
    25 "0025_own_rules",
];

/// Returns the version of the schema that this program writes.
#[must_use]
pub fn newest_version() -> i64 {
    MIGRATIONS.len() as i64
}

statements! {
    APPLIED = "schema_version.list", "SELECT version, name, sha256 FROM schema_version ORDER BY version";
    RECORD = "schema_version.insert",
        "INSERT INTO schema_version (version, name, sha256, applied_us) VALUES ($1, $2, $3, $4)";
}

const CREATE: &str = "CREATE TABLE IF NOT EXISTS schema_version (
    version BIGINT PRIMARY KEY, name TEXT NOT NULL, sha256 TEXT NOT NULL, applied_us BIGINT NOT NULL)";

/// Two servers that start at once on one PostgreSQL must not both migrate it.
const LOCK_POSTGRES: &str = "SELECT pg_advisory_xact_lock(7061644215716937728)";

/// Brings the database to [`newest_version`], or says why it can't be.
pub(crate) async fn run(db: &Db, migrations: &[Migration], now: Micros) -> Result<(), OpenError> {
    let mut tx = db.begin().await?;
    if db.dialect() == Dialect::Postgres {
        sqlx::raw_sql(LOCK_POSTGRES).execute(tx.conn()).await.map_err(StoreError::from)?;
    }
    sqlx::raw_sql(CREATE).execute(tx.conn()).await.map_err(StoreError::from)?;
    let rows = APPLIED.query().fetch_all(tx.conn()).await.map_err(StoreError::from)?;
    let newest = migrations.len() as i64;
    for (at, row) in rows.iter().enumerate() {
        let version: i64 = row.try_get(0).map_err(StoreError::from)?;
        let name: String = row.try_get(1).map_err(StoreError::from)?;
        let sha256: String = row.try_get(2).map_err(StoreError::from)?;
        let Some(ours) = migrations.get(at) else {
            let has = rows.len() as i64;
            return Err(OpenError::Newer { has, newest });
        };
        if ours.version != version || digest(ours.sql) != sha256 {
            return Err(OpenError::Diverged { version, name });
        }
    }
    for migration in &migrations[rows.len()..] {
        let text = migration.sql.replace("{BLOB}", db.dialect().blob());
        sqlx::raw_sql(AssertSqlSafe(text))
            .execute(tx.conn())
            .await
            .map_err(|source| OpenError::Migration { name: migration.name, source: source.into() })?;
        RECORD
            .query()
            .bind(migration.version)
            .bind(migration.name)
            .bind(digest(migration.sql))
            .bind(now)
            .execute(tx.conn())
            .await
            .map_err(StoreError::from)?;
    }
    tx.commit().await?;
    Ok(())
}

/// Returns the version of a database's schema.
///
/// # Errors
/// [`OpenError::Newer`] if this program does not know it.
pub(crate) async fn version(on: &mut impl Conn) -> Result<i64, OpenError> {
    let rows = APPLIED.query().fetch_all(on.conn()).await.map_err(StoreError::from)?;
    let (has, newest) = (rows.len() as i64, newest_version());
    if has > newest { Err(OpenError::Newer { has, newest }) } else { Ok(has) }
}

fn digest(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_count_from_one_and_carry_their_number() {
        for (at, migration) in MIGRATIONS.iter().enumerate() {
            assert_eq!(migration.version, at as i64 + 1);
            assert!(migration.name.starts_with(&format!("{:04}_", migration.version)));
        }
    }
}
