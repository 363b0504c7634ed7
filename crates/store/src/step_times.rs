//! The dashboard's `step_times`: how long the timed parts of builds took.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::statement::{Hidden, seen, statements, with_hidden};
use crate::{BuildId, Conn, StoreError, Tx};

statements! {
    FORGET = "step_times.forget", "DELETE FROM step_times WHERE build_id = $1";
    INSERT = "step_times.insert", "INSERT INTO step_times (build_id, n, builder, repo, step, took_us) \
        VALUES ($1, $2, $3, $4, $5, $6)";
    INSERT_FOUR = "step_times.insert_four", "INSERT INTO step_times (build_id, n, builder, repo, step, took_us) \
        VALUES ($1, $2, $3, $4, $5, $6), ($1, $7, $3, $4, $8, $9), ($1, $10, $3, $4, $11, $12), \
        ($1, $13, $3, $4, $14, $15)";
    QUANTILES = "step_times.quantiles", concat!(with_hidden!("$4"), ", ranked AS (SELECT builder, step, n, took_us, \
        ROW_NUMBER() OVER (PARTITION BY builder, step ORDER BY took_us) AS place, \
        COUNT(*) OVER (PARTITION BY builder, step) AS times FROM step_times \
        WHERE build_id >= $1 AND ($2 = '' OR repo = $2) AND ($4 = '' OR EXISTS (SELECT 1 FROM results r \
        WHERE r.build_id = step_times.build_id AND ", seen!("r.revision"), "))) \
        SELECT builder, step, MAX(times), MAX(CASE WHEN place = (times + 1) / 2 THEN took_us END), \
        MAX(CASE WHEN place = (times * 9 + 9) / 10 THEN took_us END) FROM ranked \
        GROUP BY builder, step ORDER BY builder, MIN(n), step LIMIT $3");
    DAYS = "step_times.days", concat!(with_hidden!("$4"), "SELECT s.builder, s.step, \
        (r.created_us - r.created_us % 86400000000) / 86400000000 AS day, COUNT(*), CAST(SUM(s.took_us) AS BIGINT) \
        FROM step_times s JOIN results r ON r.build_id = s.build_id \
        WHERE s.build_id >= $1 AND ($2 = '' OR s.repo = $2) AND ", seen!("r.revision"),
        " GROUP BY s.builder, s.step, (r.created_us - r.created_us % 86400000000) / 86400000000 \
        ORDER BY 3, s.builder, MIN(s.n), s.step LIMIT $3");
}

/// A timed part of a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepTime {
    /// Its name.
    pub step: String,
    /// How long it took, microseconds.
    pub took: i64,
}

/// How long a step takes on a builder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepQuantiles {
    /// The builder's name.
    pub builder: String,
    /// The step's name.
    pub step: String,
    /// How often it was timed.
    pub times: i64,
    /// Half of them took at most so long, microseconds.
    pub median: i64,
    /// Nine in ten took at most so long, microseconds.
    pub p90: i64,
}

/// Keeps how long the parts of a build took, in place of what was known of it.
///
/// # Errors
/// The database's.
pub async fn put(
    tx: &mut Tx,
    build: BuildId,
    builder: &str,
    repo: &str,
    steps: &[StepTime],
) -> Result<(), StoreError> {
    FORGET.query().bind(build).execute(tx.conn()).await?;
    let (fours, rest) = steps.as_chunks::<4>();
    for (n, [a, b, c, d]) in (0_i64..).step_by(4).zip(fours) {
        let mut query = INSERT_FOUR.query().bind(build).bind(n).bind(builder).bind(repo);
        query = query.bind(&*a.step).bind(a.took).bind(n + 1).bind(&*b.step).bind(b.took);
        query = query.bind(n + 2).bind(&*c.step).bind(c.took).bind(n + 3).bind(&*d.step).bind(d.took);
        query.execute(tx.conn()).await?;
    }
    for (n, step) in (4 * fours.len() as i64..).zip(rest) {
        let query = INSERT.query().bind(build).bind(n).bind(builder).bind(repo);
        query.bind(&*step.step).bind(step.took).execute(tx.conn()).await?;
    }
    Ok(())
}

/// Returns median and ninth decile of each step of each builder since a build, of a repo or (if it is empty) of all, by
/// nearest rank; builds of hidden repos count nowhere.
///
/// # Errors
/// The database's.
pub async fn quantiles(
    on: &mut impl Conn,
    repo: &str,
    since: BuildId,
    limit: u32,
    hidden: &Hidden,
) -> Result<Vec<StepQuantiles>, StoreError> {
    let query = QUANTILES.query().bind(since).bind(repo).bind(i64::from(limit)).bind(hidden.text());
    let quantiles = |row: &AnyRow| {
        Ok(StepQuantiles {
            builder: row.try_get(0)?,
            step: row.try_get(1)?,
            times: row.try_get(2)?,
            median: row.try_get(3)?,
            p90: row.try_get(4)?,
        })
    };
    query.fetch_all(on.conn()).await?.iter().map(quantiles).collect()
}

/// How long a step took on a builder on a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepDay {
    /// The builder's name.
    pub builder: String,
    /// The step's name.
    pub step: String,
    /// The day, UTC, counted from 1970-01-01, on which the builds were made.
    pub day: i64,
    /// How often it was timed.
    pub times: i64,
    /// How long all took together, microseconds.
    pub took: i64,
}

/// As [`quantiles`], by day, builder and step.
///
/// # Errors
/// The database's.
pub async fn days(
    on: &mut impl Conn,
    repo: &str,
    since: BuildId,
    limit: u32,
    hidden: &Hidden,
) -> Result<Vec<StepDay>, StoreError> {
    let query = DAYS.query().bind(since).bind(repo).bind(i64::from(limit)).bind(hidden.text());
    let day = |row: &AnyRow| {
        Ok(StepDay {
            builder: row.try_get(0)?,
            step: row.try_get(1)?,
            day: row.try_get(2)?,
            times: row.try_get(3)?,
            took: row.try_get(4)?,
        })
    };
    query.fetch_all(on.conn()).await?.iter().map(day).collect()
}
