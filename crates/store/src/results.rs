//! The dashboard's `results`: the newest report of each build.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::statement::{Hidden, among, among_list, among_list_2, seen, statements, with_hidden};
use crate::{BuildId, Conn, Micros, StoreError, Tx};

macro_rules! select {
    ($rest:literal) => {
        select!($rest, "")
    };
    ($rest:literal, $more:expr) => {
        concat!(
            "SELECT build_id, builder, repo, branch, subject, revision, class, state, outcome, cause, recipe, \
             attempts, fence, version, created_us, started_us, ended_us, expected_us, sample FROM results ",
            $rest,
            $more
        )
    };
}

statements! {
    PUT = "results.put", "INSERT INTO results (build_id, builder, repo, branch, subject, revision, class, state, \
        outcome, cause, recipe, attempts, fence, version, created_us, started_us, ended_us, expected_us, doc, sample) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20) \
        ON CONFLICT (build_id) DO UPDATE SET builder = excluded.builder, repo = excluded.repo, \
        branch = excluded.branch, subject = excluded.subject, revision = excluded.revision, \
        class = excluded.class, state = excluded.state, outcome = excluded.outcome, cause = excluded.cause, \
        recipe = excluded.recipe, attempts = excluded.attempts, fence = excluded.fence, \
        version = excluded.version, created_us = excluded.created_us, started_us = excluded.started_us, \
        ended_us = excluded.ended_us, expected_us = excluded.expected_us, doc = excluded.doc, sample = excluded.sample \
        WHERE results.fence < excluded.fence \
        OR (results.fence = excluded.fence AND results.version < excluded.version)";
    GET = "results.get", select!("WHERE build_id = $1");
    DOC = "results.doc", "SELECT doc FROM results WHERE build_id = $1";
    REVISION = "results.revision", "SELECT revision FROM results WHERE build_id = $1";
    LIST = "results.list", select!("WHERE sample = 0 AND build_id < $1 AND ($2 = '' OR repo = $2) AND ($3 = '' OR branch = $3) \
        AND ($4 = '' OR state = $4) AND ($5 = '' OR outcome = $5) ORDER BY build_id DESC LIMIT $6");
    BY_BUILDER = "results.by_builder", select!("WHERE sample = 0 AND builder = $7 AND build_id < $1 AND ($2 = '' OR repo = $2) \
        AND ($3 = '' OR branch = $3) AND ($4 = '' OR state = $4) AND ($5 = '' OR outcome = $5) \
        ORDER BY build_id DESC LIMIT $6");
    BY_SUBJECT = "results.by_subject", select!("WHERE sample = 0 AND repo = $2 AND subject = $7 AND ($8 = '' OR builder = $8) \
        AND build_id < $1 AND ($3 = '' OR branch = $3) AND ($4 = '' OR state = $4) \
        AND ($5 = '' OR outcome = $5) ORDER BY build_id DESC LIMIT $6");
    OF_SUBJECTS = "results.of_subjects", select!("WHERE sample = 0 AND repo = $1 AND subject IN ", among_list!());
    OF_COLUMNS = "results.of_columns", select!("WHERE sample = 0 AND repo = $1 AND subject IN ",
        concat!(among_list!(), " AND builder IN ", among_list_2!()));
    STATISTICS = "results.statistics", concat!(with_hidden!("$4"), "SELECT builder, COUNT(*), SUM(CASE WHEN outcome = 'ok' THEN 1 ELSE 0 END), \
        SUM(CASE WHEN outcome = 'failed' THEN 1 ELSE 0 END), \
        SUM(CASE WHEN outcome = 'infra_failed' THEN 1 ELSE 0 END), \
        SUM(CASE WHEN attempts > 1 THEN 1 ELSE 0 END), \
        CAST(AVG(started_us - created_us) AS BIGINT), CAST(AVG(ended_us - started_us) AS BIGINT) \
        FROM results WHERE sample = 0 AND build_id >= $1 AND ($2 = '' OR repo = $2) AND state = 'done' \
        AND ", seen!("revision"), " GROUP BY builder ORDER BY builder LIMIT $3");
    DAYS = "results.days", concat!(with_hidden!("$4"), "SELECT builder, (created_us - created_us % 86400000000) / 86400000000 AS day, \
        COUNT(*), SUM(CASE WHEN outcome = 'ok' THEN 1 ELSE 0 END), SUM(CASE WHEN outcome = 'failed' THEN 1 ELSE 0 END), \
        SUM(CASE WHEN outcome = 'infra_failed' THEN 1 ELSE 0 END), SUM(CASE WHEN attempts > 1 THEN 1 ELSE 0 END), \
        COUNT(started_us), CAST(SUM(started_us - created_us) AS BIGINT), CAST(SUM(ended_us - started_us) AS BIGINT) \
        FROM results WHERE sample = 0 AND build_id >= $1 AND ($2 = '' OR repo = $2) AND state = 'done' AND ", seen!("revision"),
        " GROUP BY builder, (created_us - created_us % 86400000000) / 86400000000 ORDER BY 2, builder LIMIT $3");
    QUEUED = "results.queued", "SELECT COUNT(*) FROM results WHERE repo = $1 AND branch = $2 AND state = 'queued' AND sample = 0";
    EXPECTED = "results.expected", "SELECT ended_us - started_us FROM results WHERE builder = $1 AND repo = $2 \
        AND outcome = 'ok' AND ($3 = '' OR recipe = $3) AND started_us IS NOT NULL AND ended_us IS NOT NULL \
        ORDER BY ended_us DESC LIMIT $4";
}

/// A row of `results` without its document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultRow {
    /// The build.
    pub build: BuildId,
    /// The builder's name.
    pub builder: String,
    /// The subject's repo.
    pub repo: String,
    /// The branch.
    pub branch: String,
    /// The subject's commit.
    pub subject: String,
    /// The revision's canonical text.
    pub revision: String,
    /// Class of work.
    pub class: String,
    /// How far it is.
    pub state: String,
    /// How it ended.
    pub outcome: Option<String>,
    /// Why, as JSON.
    pub cause: Option<String>,
    /// Digest of its recipe.
    pub recipe: Option<String>,
    /// How many attempts were begun.
    pub attempts: i64,
    /// The owner's fencing token.
    pub fence: i64,
    /// Counts the owner's changes.
    pub version: i64,
    /// When it was made.
    pub created: Micros,
    /// When its first attempt began.
    pub started: Option<Micros>,
    /// When it ended.
    pub ended: Option<Micros>,
    /// How long it should take, microseconds.
    pub expected: Option<i64>,
    /// Whether it was made to tell why another one failed, and is not the build of its cell: no list has it.
    pub sample: bool,
}

fn row(row: &AnyRow) -> Result<ResultRow, StoreError> {
    Ok(ResultRow {
        build: row.try_get(0)?,
        builder: row.try_get(1)?,
        repo: row.try_get(2)?,
        branch: row.try_get(3)?,
        subject: row.try_get(4)?,
        revision: row.try_get(5)?,
        class: row.try_get(6)?,
        state: row.try_get(7)?,
        outcome: row.try_get(8)?,
        cause: row.try_get(9)?,
        recipe: row.try_get(10)?,
        attempts: row.try_get(11)?,
        fence: row.try_get(12)?,
        version: row.try_get(13)?,
        created: row.try_get(14)?,
        started: row.try_get(15)?,
        ended: row.try_get(16)?,
        expected: row.try_get(17)?,
        sample: row.try_get::<i64, _>(18)? != 0,
    })
}

/// Says what became of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// It is kept.
    Newer,
    /// It was there already, the same.
    Same,
}

/// Keeps a report if its (fence, version) is newer than what is there.
///
/// # Errors
/// [`StoreError::Stale`] if it is not, and differs.
pub async fn put(tx: &mut Tx, result: &ResultRow, doc: &str) -> Result<Put, StoreError> {
    let query = PUT.query().bind(result.build).bind(&*result.builder).bind(&*result.repo);
    let query =
        query.bind(&*result.branch).bind(&*result.subject).bind(&*result.revision).bind(&*result.class);
    let query = query.bind(&*result.state).bind(result.outcome.as_deref()).bind(result.cause.as_deref());
    let query = query.bind(result.recipe.as_deref()).bind(result.attempts).bind(result.fence);
    let query = query.bind(result.version).bind(result.created).bind(result.started).bind(result.ended);
    let query = query.bind(result.expected).bind(doc).bind(i64::from(result.sample));
    if query.execute(tx.conn()).await?.rows_affected() == 1 {
        return Ok(Put::Newer);
    }
    match self::doc(tx, result.build).await? {
        Some(kept) if kept == doc => Ok(Put::Same),
        _ => Err(StoreError::Stale),
    }
}

/// Returns a build's document.
///
/// # Errors
/// The database's.
pub async fn doc(on: &mut impl Conn, build: BuildId) -> Result<Option<String>, StoreError> {
    let row = DOC.query().bind(build).fetch_optional(on.conn()).await?;
    row.map(|row| Ok(row.try_get(0)?)).transpose()
}

/// Returns a build's row.
///
/// # Errors
/// The database's.
pub async fn get(on: &mut impl Conn, build: BuildId) -> Result<Option<ResultRow>, StoreError> {
    GET.query().bind(build).fetch_optional(on.conn()).await?.as_ref().map(row).transpose()
}

/// Returns a build's revision.
///
/// # Errors
/// The database's.
pub async fn revision(on: &mut impl Conn, build: BuildId) -> Result<Option<String>, StoreError> {
    let row = REVISION.query().bind(build).fetch_optional(on.conn()).await?;
    row.map(|row| Ok(row.try_get(0)?)).transpose()
}

/// What a list is restricted to; an empty text lets everything through.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// The repo.
    pub repo: String,
    /// The builder.
    pub builder: String,
    /// The branch.
    pub branch: String,
    /// The subject's commit; needs a repo.
    pub subject: String,
    /// The state.
    pub state: String,
    /// The outcome.
    pub outcome: String,
}

/// After the last id there is, by any collation: a ULID begins with `0` to `7`.
pub(crate) const END: &str = "8";

/// Lists builds, newest id first, that are older than `before`.
///
/// # Errors
/// The database's.
pub async fn list(
    on: &mut impl Conn,
    filter: &Filter,
    before: Option<BuildId>,
    limit: u32,
) -> Result<Vec<ResultRow>, StoreError> {
    let before = before.map_or_else(|| END.to_owned(), |id| id.to_string());
    let statement = match (filter.subject.is_empty(), filter.builder.is_empty()) {
        (false, _) => BY_SUBJECT,
        (true, false) => BY_BUILDER,
        (true, true) => LIST,
    };
    let mut query = statement.query().bind(before).bind(&*filter.repo).bind(&*filter.branch);
    query = query.bind(&*filter.state).bind(&*filter.outcome).bind(i64::from(limit));
    if !filter.subject.is_empty() {
        query = query.bind(&*filter.subject).bind(&*filter.builder);
    } else if !filter.builder.is_empty() {
        query = query.bind(&*filter.builder);
    }
    query.fetch_all(on.conn()).await?.iter().map(row).collect()
}

/// Returns all builds of some commits of a repo, in no order.
///
/// # Errors
/// The database's.
pub async fn of_subjects(
    on: &mut impl Conn,
    repo: &str,
    subjects: &[&str],
) -> Result<Vec<ResultRow>, StoreError> {
    let mut found = Vec::new();
    for some in subjects.chunks(among::WIDTH) {
        for found_row in among::bind(OF_SUBJECTS.query().bind(repo), some).fetch_all(on.conn()).await? {
            found.push(row(&found_row)?);
        }
    }
    Ok(found)
}

/// Returns all builds of some commits of a repo on some builders, in no order.
///
/// # Errors
/// The database's.
pub async fn of_columns(
    on: &mut impl Conn,
    repo: &str,
    subjects: &[&str],
    builders: &[&str],
) -> Result<Vec<ResultRow>, StoreError> {
    let mut found = Vec::new();
    for some in subjects.chunks(among::WIDTH) {
        for columns in builders.chunks(among::WIDTH) {
            let query = among::bind(among::bind(OF_COLUMNS.query().bind(repo), some), columns);
            for found_row in query.fetch_all(on.conn()).await? {
                found.push(row(&found_row)?);
            }
        }
    }
    Ok(found)
}

/// Counts the builds of a branch that wait.
///
/// # Errors
/// The database's.
pub async fn queued(on: &mut impl Conn, repo: &str, branch: &str) -> Result<i64, StoreError> {
    Ok(QUEUED.query().bind(repo).bind(branch).fetch_one(on.conn()).await?.try_get(0)?)
}

/// What became of a builder's builds, in numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuilderCounts {
    /// The builder's name.
    pub builder: String,
    /// Builds that are done.
    pub builds: i64,
    /// Those that were ok.
    pub ok: i64,
    /// Those that failed.
    pub failed: i64,
    /// Those that were not judged.
    pub infra_failed: i64,
    /// Those with more than one attempt.
    pub retried: i64,
    /// From made to begun, microseconds, on average.
    pub queued: Option<i64>,
    /// From begun to ended, microseconds, on average.
    pub took: Option<i64>,
}

/// Counts what became of the builds since one, of a repo or (if it is empty) of all, by builder; builds of hidden repos
/// count nowhere.
///
/// # Errors
/// The database's.
pub async fn statistics(
    on: &mut impl Conn,
    repo: &str,
    since: BuildId,
    limit: u32,
    hidden: &Hidden,
) -> Result<Vec<BuilderCounts>, StoreError> {
    let query = STATISTICS.query().bind(since).bind(repo).bind(i64::from(limit)).bind(hidden.text());
    let counts = |row: &AnyRow| {
        Ok(BuilderCounts {
            builder: row.try_get(0)?,
            builds: row.try_get(1)?,
            ok: row.try_get(2)?,
            failed: row.try_get(3)?,
            infra_failed: row.try_get(4)?,
            retried: row.try_get(5)?,
            queued: row.try_get(6)?,
            took: row.try_get(7)?,
        })
    };
    query.fetch_all(on.conn()).await?.iter().map(counts).collect()
}

/// What became of a builder's builds of a day, in numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuilderDay {
    /// The builder's name.
    pub builder: String,
    /// The day, UTC, counted from 1970-01-01, on which they were made.
    pub day: i64,
    /// Builds that are done.
    pub builds: i64,
    /// Those that were ok.
    pub ok: i64,
    /// Those that failed.
    pub failed: i64,
    /// Those that were not judged.
    pub infra_failed: i64,
    /// Those with more than one attempt.
    pub retried: i64,
    /// Those that were begun.
    pub begun: i64,
    /// From made to begun, microseconds, all together.
    pub queued: i64,
    /// From begun to ended, microseconds, all together.
    pub took: i64,
}

/// As [`statistics`], by day and builder; up to `limit` rows.
///
/// # Errors
/// The database's.
pub async fn days(
    on: &mut impl Conn,
    repo: &str,
    since: BuildId,
    limit: u32,
    hidden: &Hidden,
) -> Result<Vec<BuilderDay>, StoreError> {
    let query = DAYS.query().bind(since).bind(repo).bind(i64::from(limit)).bind(hidden.text());
    let day = |row: &AnyRow| {
        Ok(BuilderDay {
            builder: row.try_get(0)?,
            day: row.try_get(1)?,
            builds: row.try_get(2)?,
            ok: row.try_get(3)?,
            failed: row.try_get(4)?,
            infra_failed: row.try_get(5)?,
            retried: row.try_get(6)?,
            begun: row.try_get(7)?,
            queued: row.try_get::<Option<i64>, _>(8)?.unwrap_or(0),
            took: row.try_get::<Option<i64>, _>(9)?.unwrap_or(0),
        })
    };
    query.fetch_all(on.conn()).await?.iter().map(day).collect()
}

/// Returns how long the last builds took that were ok, in microseconds, the newest first. An empty `recipe`
/// takes any.
///
/// # Errors
/// The database's.
pub async fn durations(
    on: &mut impl Conn,
    builder: &str,
    repo: &str,
    recipe: &str,
    limit: u32,
) -> Result<Vec<i64>, StoreError> {
    let query = EXPECTED.query().bind(builder).bind(repo).bind(recipe).bind(i64::from(limit));
    query.fetch_all(on.conn()).await?.iter().map(|row| Ok(row.try_get(0)?)).collect()
}
