//! The coordinator's `try_runs` and `try_builds`: the builds of a change under review, and what became of them.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::statement::statements;
use crate::{BuildId, Conn, Micros, StoreError, TryRunId, Tx};

statements! {
    PUT = "try_runs.put", "INSERT INTO try_runs (id, review, repo, branch, patch_set, commit_hash, change_id, title, asked_by, \
        terms, left_out, rules, state, reason, settled, began_us, ended_us) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17) ON CONFLICT (id) DO NOTHING";
    ADD = "try_builds.put", "INSERT INTO try_builds (try_run, build) VALUES ($1, $2) ON CONFLICT (try_run, build) DO NOTHING";
    END = "try_runs.end", "UPDATE try_runs SET state = $2, reason = $3, settled = $4, ended_us = $5 \
        WHERE id = $1 AND state = 'running'";
    SETTLE = "try_runs.settle", "UPDATE try_runs SET settled = 1 WHERE id = $1 AND state <> 'running'";
    OPEN = "try_runs.open", "SELECT id, review, repo, branch, patch_set, commit_hash, change_id, title, asked_by, terms, \
        left_out, rules, state, reason, settled, began_us, ended_us FROM try_runs WHERE settled = 0 ORDER BY id";
    GET = "try_runs.get", "SELECT id, review, repo, branch, patch_set, commit_hash, change_id, title, asked_by, terms, \
        left_out, rules, state, reason, settled, began_us, ended_us FROM try_runs WHERE id = $1";
    OF_REVIEW = "try_runs.of_review", "SELECT id, review, repo, branch, patch_set, commit_hash, change_id, title, asked_by, \
        terms, left_out, rules, state, reason, settled, began_us, ended_us FROM try_runs WHERE review = $1 AND id < $2 ORDER BY id DESC LIMIT $3";
    BEFORE = "try_runs.before", "SELECT id, review, repo, branch, patch_set, commit_hash, change_id, title, asked_by, \
        terms, left_out, rules, state, reason, settled, began_us, ended_us FROM try_runs WHERE id < $1 ORDER BY id DESC LIMIT $2";
    BY_COMMIT = "try_runs.by_commit", "SELECT id, review, repo, branch, patch_set, commit_hash, change_id, title, asked_by, \
        terms, left_out, rules, state, reason, settled, began_us, ended_us FROM try_runs \
        WHERE commit_hash >= $1 AND commit_hash < $2 ORDER BY id DESC LIMIT 1";
    BUILDS = "try_builds.of_run", "SELECT build FROM try_builds WHERE try_run = $1 ORDER BY build";
    NEEDED = "try_builds.needed", "SELECT t.id FROM try_builds b JOIN try_runs t ON t.id = b.try_run \
        WHERE b.build = $1 AND t.state = 'running' AND t.id <> $2 LIMIT 1";
}

/// A row of `try_runs`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TryRunRow {
    /// Its id.
    pub id: TryRunId,
    /// The forge's own name of the change: of a Gerrit `SERVER/PROJECT~NUMBER`.
    pub review: String,
    /// The repo that the change is of.
    pub repo: String,
    /// The branch that it is to go to.
    pub branch: String,
    /// The patch set, from 1.
    pub patch_set: i64,
    /// The one commit that was approved.
    pub commit: String,
    /// The change's own id, where it has one.
    pub change_id: String,
    /// The first line of what it says of itself.
    pub title: String,
    /// Who approved that commit, as the forge names them.
    pub asked_by: String,
    /// JSON of the terms that were asked for, and of those that nobody knows.
    pub terms: String,
    /// JSON of the builders that were left out, each with the reason.
    pub left_out: String,
    /// The digest of the configuration by whose rules its builds were chosen.
    pub rules: String,
    /// `running`, `passed`, `failed`, `unknown` or `cancelled`.
    pub state: String,
    /// Why, in words.
    pub reason: Option<String>,
    /// Whether the same commit may be asked for again.
    pub settled: bool,
    /// When it began.
    pub began: Micros,
    /// When it was over.
    pub ended: Option<Micros>,
}

fn row(row: &AnyRow) -> Result<TryRunRow, StoreError> {
    Ok(TryRunRow {
        id: row.try_get("id")?,
        review: row.try_get("review")?,
        repo: row.try_get("repo")?,
        branch: row.try_get("branch")?,
        patch_set: row.try_get("patch_set")?,
        commit: row.try_get("commit_hash")?,
        change_id: row.try_get("change_id")?,
        title: row.try_get("title")?,
        asked_by: row.try_get("asked_by")?,
        terms: row.try_get("terms")?,
        left_out: row.try_get("left_out")?,
        rules: row.try_get("rules")?,
        state: row.try_get("state")?,
        reason: row.try_get("reason")?,
        settled: row.try_get::<i64, _>("settled")? != 0,
        began: row.try_get("began_us")?,
        ended: row.try_get("ended_us")?,
    })
}

/// Writes a run down. One that is there stays as it is.
///
/// # Errors
/// The database's.
pub async fn put(tx: &mut Tx, run: &TryRunRow) -> Result<(), StoreError> {
    let query =
        PUT.query().bind(run.id).bind(run.review.clone()).bind(run.repo.clone()).bind(run.branch.clone());
    let query = query.bind(run.patch_set).bind(run.commit.clone()).bind(run.change_id.clone());
    let query = query.bind(run.title.clone()).bind(run.asked_by.clone()).bind(run.terms.clone());
    let query = query.bind(run.left_out.clone()).bind(run.rules.clone()).bind(run.state.clone());
    let query = query.bind(run.reason.clone()).bind(i64::from(run.settled)).bind(run.began).bind(run.ended);
    query.execute(tx.conn()).await?;
    Ok(())
}

/// Makes a build one of a run.
///
/// # Errors
/// The database's.
pub async fn add_build(tx: &mut Tx, run: TryRunId, build: BuildId) -> Result<(), StoreError> {
    ADD.query().bind(run).bind(build).execute(tx.conn()).await?;
    Ok(())
}

/// Ends a run. Returns whether it was running.
///
/// # Errors
/// The database's.
pub async fn end(
    tx: &mut Tx,
    id: TryRunId,
    state: &str,
    reason: Option<&str>,
    settled: bool,
    now: Micros,
) -> Result<bool, StoreError> {
    let query = END.query().bind(id).bind(state.to_owned()).bind(reason.map(str::to_owned));
    let done = query.bind(i64::from(settled)).bind(now).execute(tx.conn()).await?;
    Ok(done.rows_affected() == 1)
}

/// Notes that the commit of a run that is over may be asked for again.
///
/// # Errors
/// The database's.
pub async fn settle(tx: &mut Tx, id: TryRunId) -> Result<(), StoreError> {
    SETTLE.query().bind(id).execute(tx.conn()).await?;
    Ok(())
}

/// Returns all that run or are not settled, oldest first.
///
/// # Errors
/// The database's.
pub async fn open(on: &mut impl Conn) -> Result<Vec<TryRunRow>, StoreError> {
    OPEN.query().fetch_all(on.conn()).await?.iter().map(row).collect()
}

/// Returns a run.
///
/// # Errors
/// The database's.
pub async fn get(on: &mut impl Conn, id: TryRunId) -> Result<Option<TryRunRow>, StoreError> {
    GET.query().bind(id).fetch_optional(on.conn()).await?.as_ref().map(row).transpose()
}

/// Returns the runs of a change before one, newest first; see [`before`].
///
/// # Errors
/// The database's.
pub async fn of_review(
    on: &mut impl Conn,
    review: &str,
    before: &str,
    most: i64,
) -> Result<Vec<TryRunRow>, StoreError> {
    let query = OF_REVIEW.query().bind(review.to_owned()).bind(before.to_owned()).bind(most);
    query.fetch_all(on.conn()).await?.iter().map(row).collect()
}

/// Returns runs before one (or the newest, before an id that none reaches), newest first.
///
/// # Errors
/// The database's.
pub async fn before(on: &mut impl Conn, id: &str, most: i64) -> Result<Vec<TryRunRow>, StoreError> {
    let query = BEFORE.query().bind(id.to_owned()).bind(most);
    query.fetch_all(on.conn()).await?.iter().map(row).collect()
}

/// Returns the newest run of a commit whose digits begin so.
///
/// # Errors
/// The database's.
pub async fn by_commit(on: &mut impl Conn, digits: &str) -> Result<Option<TryRunRow>, StoreError> {
    // Behind all hexadecimal digits.
    let query = BY_COMMIT.query().bind(digits.to_owned()).bind(format!("{digits}g"));
    query.fetch_optional(on.conn()).await?.as_ref().map(row).transpose()
}

/// Returns the builds of a run.
///
/// # Errors
/// The database's.
pub async fn builds(on: &mut impl Conn, id: TryRunId) -> Result<Vec<BuildId>, StoreError> {
    let one = |row: &AnyRow| Ok(row.try_get(0)?);
    BUILDS.query().bind(id).fetch_all(on.conn()).await?.iter().map(one).collect()
}

/// Tells whether another run than this one waits for a build.
///
/// # Errors
/// The database's.
pub async fn needed_elsewhere(
    on: &mut impl Conn,
    build: BuildId,
    than: TryRunId,
) -> Result<bool, StoreError> {
    Ok(NEEDED.query().bind(build).bind(than).fetch_optional(on.conn()).await?.is_some())
}
