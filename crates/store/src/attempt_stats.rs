//! The dashboard's `attempt_stats`: on which machine each attempt ran, and whether it was for nothing.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::statement::{Hidden, seen, statements, with_hidden};
use crate::{BuildId, Conn, Micros, StoreError, Tx};

statements! {
    FORGET = "attempt_stats.forget", "DELETE FROM attempt_stats WHERE build_id = $1";
    INSERT = "attempt_stats.insert", "INSERT INTO attempt_stats (build_id, number, builder, repo, revision, host, machine, \
        lost, flaked, created_us, waited_us, took_us) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
    MACHINES = "attempt_stats.machines", concat!(with_hidden!("$4"), "SELECT host, machine, \
        (created_us - created_us % 86400000000) / 86400000000 AS day, COUNT(*), CAST(SUM(lost) AS BIGINT), \
        CAST(SUM(flaked) AS BIGINT), CAST(SUM(took_us) AS BIGINT) FROM attempt_stats \
        WHERE build_id >= $1 AND ($2 = '' OR repo = $2) AND ", seen!("revision"),
        " GROUP BY host, machine, (created_us - created_us % 86400000000) / 86400000000 \
        ORDER BY host, machine, 3 LIMIT $3");
    BUILDERS = "attempt_stats.builders", concat!(with_hidden!("$4"), "SELECT builder, \
        (created_us - created_us % 86400000000) / 86400000000 AS day, COUNT(*), CAST(SUM(lost) AS BIGINT), \
        COUNT(DISTINCT CASE WHEN flaked = 1 THEN build_id END), CAST(SUM(waited_us) AS BIGINT) FROM attempt_stats \
        WHERE build_id >= $1 AND ($2 = '' OR repo = $2) AND ", seen!("revision"),
        " GROUP BY builder, (created_us - created_us % 86400000000) / 86400000000 ORDER BY 2, builder LIMIT $3");
}

/// An attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptStat {
    /// From 1.
    pub number: i64,
    /// The machine's host.
    pub host: String,
    /// What the machine calls itself; its host, if the server has made it.
    pub machine: String,
    /// Whether the machine lost it.
    pub lost: bool,
    /// Whether it failed, and one after it at the same build did not.
    pub flaked: bool,
    /// How long it was queued, microseconds.
    pub waited: i64,
    /// From its begin to its end, microseconds.
    pub took: i64,
}

/// What they are attempts at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Of<'a> {
    /// The build.
    pub build: BuildId,
    /// Its builder.
    pub builder: &'a str,
    /// Its repo.
    pub repo: &'a str,
    /// Its revision's canonical text.
    pub revision: &'a str,
    /// When it was made.
    pub created: Micros,
}

/// What a machine did on a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineDay {
    /// Its host.
    pub host: String,
    /// What it calls itself.
    pub machine: String,
    /// The day, UTC, counted from 1970-01-01, on which the builds were made.
    pub day: i64,
    /// Attempts that it had.
    pub attempts: i64,
    /// Those that it lost.
    pub lost: i64,
    /// Those that failed on it, where a later one at the same build did not.
    pub flaked: i64,
    /// How long all took together, microseconds.
    pub took: i64,
}

/// What became of a builder's attempts on a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuilderDay {
    /// The builder.
    pub builder: String,
    /// The day, UTC, counted from 1970-01-01, on which the builds were made.
    pub day: i64,
    /// Attempts.
    pub attempts: i64,
    /// Those that machines lost.
    pub lost: i64,
    /// Builds with an attempt that failed before one that did not.
    pub flaked: i64,
    /// How long all were queued together, microseconds.
    pub waited: i64,
}

/// Keeps the attempts at a build, in place of what was known of it.
///
/// # Errors
/// The database's.
pub async fn put(tx: &mut Tx, of: Of<'_>, attempts: &[AttemptStat]) -> Result<(), StoreError> {
    FORGET.query().bind(of.build).execute(tx.conn()).await?;
    for one in attempts {
        let query = INSERT.query().bind(of.build).bind(one.number).bind(of.builder).bind(of.repo);
        let query = query.bind(of.revision).bind(&*one.host).bind(&*one.machine).bind(i64::from(one.lost));
        let query = query.bind(i64::from(one.flaked)).bind(of.created).bind(one.waited).bind(one.took);
        query.execute(tx.conn()).await?;
    }
    Ok(())
}

/// Counts what machines did at builds since one, of a repo or (if it is empty) of all, by machine and day; builds of hidden repos
/// count nowhere. Up to `limit` rows, by host, machine and day.
///
/// # Errors
/// The database's.
pub async fn machines(
    on: &mut impl Conn,
    repo: &str,
    since: BuildId,
    limit: u32,
    hidden: &Hidden,
) -> Result<Vec<MachineDay>, StoreError> {
    let query = MACHINES.query().bind(since).bind(repo).bind(i64::from(limit)).bind(hidden.text());
    let day = |row: &AnyRow| {
        Ok(MachineDay {
            host: row.try_get(0)?,
            machine: row.try_get(1)?,
            day: row.try_get(2)?,
            attempts: row.try_get(3)?,
            lost: row.try_get(4)?,
            flaked: row.try_get(5)?,
            took: row.try_get(6)?,
        })
    };
    query.fetch_all(on.conn()).await?.iter().map(day).collect()
}

/// As [`machines`], by day and builder.
///
/// # Errors
/// The database's.
pub async fn builders(
    on: &mut impl Conn,
    repo: &str,
    since: BuildId,
    limit: u32,
    hidden: &Hidden,
) -> Result<Vec<BuilderDay>, StoreError> {
    let query = BUILDERS.query().bind(since).bind(repo).bind(i64::from(limit)).bind(hidden.text());
    let day = |row: &AnyRow| {
        Ok(BuilderDay {
            builder: row.try_get(0)?,
            day: row.try_get(1)?,
            attempts: row.try_get(2)?,
            lost: row.try_get(3)?,
            flaked: row.try_get(4)?,
            waited: row.try_get(5)?,
        })
    };
    query.fetch_all(on.conn()).await?.iter().map(day).collect()
}
