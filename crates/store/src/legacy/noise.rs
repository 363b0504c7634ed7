//! `legacy_noise`: changes of metrics that say nothing, as learned from what was measured.

use sqlx::Row as _;

use crate::statement::statements;
use crate::{Conn, StoreError, Tx};

statements! {
    FORGET = "legacy_noise.forget", "DELETE FROM legacy_noise WHERE dash = $1";
    INSERT = "legacy_noise.insert", "INSERT INTO legacy_noise (dash, builder, benchmark, metric, percent) \
        VALUES ($1, $2, $3, $4, $5)";
    LIST = "legacy_noise.list", "SELECT builder, benchmark, metric, percent FROM legacy_noise WHERE dash = $1 \
        ORDER BY builder, benchmark, metric";
}

/// A metric's noise.
#[derive(Debug, Clone, PartialEq)]
pub struct Noise {
    /// The builder.
    pub builder: String,
    /// The benchmark, with its number of processors.
    pub benchmark: String,
    /// The metric.
    pub metric: String,
    /// The largest change that says nothing, in percent.
    pub percent: f64,
}

/// Writes what was learned, in place of everything that was learned before.
///
/// # Errors
/// The database's.
pub async fn replace(tx: &mut Tx, dash: &str, all: &[Noise]) -> Result<(), StoreError> {
    FORGET.query().bind(dash).execute(tx.conn()).await?;
    for one in all {
        let query = INSERT.query().bind(dash).bind(&*one.builder).bind(&*one.benchmark);
        query.bind(&*one.metric).bind(one.percent).execute(tx.conn()).await?;
    }
    Ok(())
}

/// Lists what was learned.
///
/// # Errors
/// The database's.
pub async fn list(on: &mut impl Conn, dash: &str) -> Result<Vec<Noise>, StoreError> {
    let rows = LIST.query().bind(dash).fetch_all(on.conn()).await?;
    let noise = |row: &sqlx::any::AnyRow| {
        Ok(Noise {
            builder: row.try_get(0)?,
            benchmark: row.try_get(1)?,
            metric: row.try_get(2)?,
            percent: row.try_get(3)?,
        })
    };
    rows.iter().map(noise).collect()
}
