//! Reads what is recorded from the database, beside the server that writes it.

use std::collections::HashMap;

use store::builds::{self, BuildRow};
use store::{BuildId, Db, Micros, StoreError, events};

use super::record::{Recorded, Unreadable};
use super::trace::{Reading, Trace};

/// Rows at a time.
const ROWS: i64 = 4096;

/// Why nothing can be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The database's word.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A row is not what this program writes.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
}

/// Reads from the last start of a coordinator before `since` on, or from the first row that is kept.
///
/// # Errors
/// See [`ReadError`].
pub async fn read(db: &Db, since: Micros) -> Result<Trace, ReadError> {
    let mut reading = Reading::default();
    let mut at = {
        let mut reader = db.read().await?;
        events::started_before(&mut reader, since).await?.saturating_sub(1)
    };
    loop {
        // A read of its own each, so that no moment of the database is held for as long as all of it takes.
        let mut reader = db.read().await?;
        let rows = events::after(&mut reader, at.max(0), ROWS).await?;
        drop(reader);
        let Some(last) = rows.last() else { break };
        at = last.seq;
        for row in rows {
            reading.take(Recorded::read(row.seq, row.time, &row.kind, &row.body)?);
        }
    }
    Ok(reading.finish())
}

/// Reads the rows of all builds that were queued; machines that people hold or that help have none.
///
/// # Errors
/// The database's.
pub async fn rows(db: &Db, trace: &Trace) -> Result<HashMap<BuildId, BuildRow>, StoreError> {
    let mut rows = HashMap::new();
    let mut reader = db.read().await?;
    for build in trace.course.asked.keys() {
        if let Some(row) = builds::get(&mut reader, *build).await? {
            rows.insert(*build, row);
        }
    }
    Ok(rows)
}

/// Of these cells, as builder and revision, those that were built at any time.
///
/// # Errors
/// The database's.
pub async fn built(db: &Db, cells: &[(String, String)]) -> Result<Vec<bool>, StoreError> {
    let mut built = Vec::with_capacity(cells.len());
    let mut reader = db.read().await?;
    for (builder, revision) in cells {
        built.push(builds::by_cell(&mut reader, builder, revision).await?.is_some());
    }
    Ok(built)
}
