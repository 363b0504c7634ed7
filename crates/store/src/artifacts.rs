//! The dashboard's `artifacts`: files that builds made, kept by digest.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::statement::statements;
use crate::{AttemptId, BuildId, Conn, Micros, StoreError, Tx};

macro_rules! select {
    ($rest:literal) => {
        concat!("SELECT attempt, name, size, sha256, object, time_us, expired_us FROM artifacts ", $rest)
    };
}

statements! {
    PUT = "artifacts.put", "INSERT INTO artifacts (attempt, name, build_id, size, sha256, object, time_us) \
        VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (attempt, name) DO UPDATE SET size = excluded.size, \
        sha256 = excluded.sha256, object = excluded.object, time_us = excluded.time_us, \
        expired_us = NULL, cleared = 0";
    GET = "artifacts.get", select!("WHERE attempt = $1 AND name = $2");
    OF_BUILD = "artifacts.of_build", select!("WHERE build_id = $1 ORDER BY attempt, name");
}

/// A row of `artifacts`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtifactRow {
    /// The attempt that made it.
    pub attempt: AttemptId,
    /// Its name.
    pub name: String,
    /// Its size in bytes.
    pub size: i64,
    /// Its digest, hexadecimal.
    pub sha256: String,
    /// The object that holds it.
    pub object: String,
    /// When it came in.
    pub time: Micros,
    /// When it came to its end by the rules of retention.
    pub expired: Option<Micros>,
}

fn row(row: &AnyRow) -> Result<ArtifactRow, StoreError> {
    Ok(ArtifactRow {
        attempt: row.try_get(0)?,
        name: row.try_get(1)?,
        size: row.try_get(2)?,
        sha256: row.try_get(3)?,
        object: row.try_get(4)?,
        time: row.try_get(5)?,
        expired: row.try_get(6)?,
    })
}

/// Writes an artefact, replacing one of the same attempt and name.
///
/// # Errors
/// The database's.
pub async fn put(tx: &mut Tx, build: BuildId, artifact: &ArtifactRow) -> Result<(), StoreError> {
    let query = PUT.query().bind(artifact.attempt).bind(&*artifact.name).bind(build).bind(artifact.size);
    query.bind(&*artifact.sha256).bind(&*artifact.object).bind(artifact.time).execute(tx.conn()).await?;
    Ok(())
}

/// Returns an artefact.
///
/// # Errors
/// The database's.
pub async fn get(
    on: &mut impl Conn,
    attempt: AttemptId,
    name: &str,
) -> Result<Option<ArtifactRow>, StoreError> {
    GET.query().bind(attempt).bind(name).fetch_optional(on.conn()).await?.as_ref().map(row).transpose()
}

/// Lists a build's artefacts by attempt and name.
///
/// # Errors
/// The database's.
pub async fn of_build(on: &mut impl Conn, build: BuildId) -> Result<Vec<ArtifactRow>, StoreError> {
    OF_BUILD.query().bind(build).fetch_all(on.conn()).await?.iter().map(row).collect()
}
