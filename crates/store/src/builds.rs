//! The coordinator's `builds`: one row a cell that was taken into the scheduler's window.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::leader::one;
use crate::statement::statements;
use crate::{BuildId, Conn, Micros, StoreError, Tx};

statements! {
    INSERT = "builds.insert", "INSERT INTO builds (id, builder, repo, branch, toolchain_branch, revision, class, priority, commit_time_us, state, fence, version, attempts, retried_from, not_before_us, created_us, queued_us, reported, untrusted, sample, avoid, rules) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'queued', 0, 1, 0, 0, 0, $10, $10, 0, $11, $12, $13, $14) ON CONFLICT (builder, revision, sample) DO NOTHING";
    GET = "builds.get", "SELECT id, builder, repo, branch, toolchain_branch, revision, class, priority, commit_time_us, state, outcome, cause, fence, version, attempts, retried_from, not_before_us, cancel, created_us, queued_us, started_us, ended_us, reported, untrusted, sample, avoid, rules FROM builds WHERE id = $1";
    BY_CELL = "builds.by_cell", "SELECT id, builder, repo, branch, toolchain_branch, revision, class, priority, commit_time_us, state, outcome, cause, fence, version, attempts, retried_from, not_before_us, cancel, created_us, queued_us, started_us, ended_us, reported, untrusted, sample, avoid, rules FROM builds WHERE builder = $1 AND revision = $2 AND sample = $3";
    OPEN = "builds.open", "SELECT id, builder, repo, branch, toolchain_branch, revision, class, priority, commit_time_us, state, outcome, cause, fence, version, attempts, retried_from, not_before_us, cancel, created_us, queued_us, started_us, ended_us, reported, untrusted, sample, avoid, rules FROM builds WHERE reported = 0 ORDER BY id";
    FAILED = "builds.failed", "SELECT id, builder, repo, branch, toolchain_branch, revision, class, priority, commit_time_us, state, outcome, cause, fence, version, attempts, retried_from, not_before_us, cancel, created_us, queued_us, started_us, ended_us, reported, untrusted, sample, avoid, rules FROM builds WHERE outcome = 'failed' AND ended_us >= $1 AND untrusted = 0 AND sample = '' AND (class = 'post_submit' OR class = 'backfill') ORDER BY ended_us LIMIT $2";
    LEASE = "builds.lease", "UPDATE builds SET state = 'leased', fence = $2, version = version + 1, attempts = attempts + 1, started_us = COALESCE(started_us, $3) WHERE id = $1 AND state = 'queued'";
    REFENCE = "builds.refence", "UPDATE builds SET fence = $3, version = version + 1 WHERE id = $1 AND fence = $2";
    ADVANCE = "builds.advance", "UPDATE builds SET state = $3, version = version + 1 WHERE id = $1 AND fence = $2 AND state <> 'queued' AND state <> 'done'";
    REQUEUE = "builds.requeue", "UPDATE builds SET state = 'queued', version = version + 1, not_before_us = $3, queued_us = $4 WHERE id = $1 AND fence = $2 AND state <> 'queued' AND state <> 'done'";
    FINISH = "builds.finish", "UPDATE builds SET state = 'done', version = version + 1, outcome = $3, cause = $4, ended_us = $5 WHERE id = $1 AND fence = $2 AND state <> 'done'";
    REPORTED = "builds.reported", "UPDATE builds SET reported = 1 WHERE id = $1 AND version = $2";
    CANCEL = "builds.cancel", "UPDATE builds SET cancel = $2, version = version + 1 WHERE id = $1 AND state <> 'done' AND cancel IS NULL";
    RETRY = "builds.retry", "UPDATE builds SET state = 'queued', version = version + 1, outcome = NULL, cause = NULL, cancel = NULL, retried_from = attempts, not_before_us = 0, queued_us = $2, class = $3, priority = $4, started_us = NULL, ended_us = NULL, reported = 0 WHERE id = $1 AND state = 'done'";
}

/// A row of `builds`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildRow {
    /// Its id.
    pub id: BuildId,
    /// The builder's name.
    pub builder: String,
    /// The subject's repo.
    pub repo: String,
    /// The subject's branch.
    pub branch: String,
    /// The branch of the toolchain's repo that the revision was paired with.
    pub toolchain_branch: Option<String>,
    /// The revision's canonical text.
    pub revision: String,
    /// Class of work.
    pub class: String,
    /// Priority within the class, higher first.
    pub priority: i64,
    /// Time of the newest commit of the revision.
    pub commit_time: Micros,
    /// `queued`, `leased`, `preparing`, `running`, `reporting` or `done`.
    pub state: String,
    /// Set with `done`.
    pub outcome: Option<String>,
    /// JSON; set with `done` where the outcome has one.
    pub cause: Option<String>,
    /// The fence of its current or latest lease; 0 before the first.
    pub fence: i64,
    /// Counts the updates of the row.
    pub version: i64,
    /// How many attempts were begun.
    pub attempts: i64,
    /// Attempts up to this one lie before the latest retry.
    pub retried_from: i64,
    /// Not to be leased before.
    pub not_before: Micros,
    /// JSON of who asked for the end and why.
    pub cancel: Option<String>,
    /// When the row was made.
    pub created: Micros,
    /// When it was queued last.
    pub queued: Micros,
    /// When its first attempt began.
    pub started: Option<Micros>,
    /// When it was done.
    pub ended: Option<Micros>,
    /// Whether the dashboard has the final report.
    pub reported: bool,
    /// Whether nobody has reviewed it: only hosts that take such work run it, and it shares nothing with others.
    pub untrusted: bool,
    /// Whose it is, and which of its owner's, if it is made to tell why another one failed; [`sample_by_rules`] if it is made by rules
    /// that have not landed; empty for the build of its cell.
    pub sample: String,
    /// The worker that another is to be taken than, if one can be had; may be empty.
    pub avoid: String,
    /// The file of rules that it is made by ([`crate::own_rules`]); empty for those that are in effect.
    pub rules: String,
}

/// How the samples begin that are a cell's build by rules that are not in effect.
const BY_RULES: &str = "rules/";

/// What a cell's build by a file of rules ([`crate::own_rules`]) has as its sample: it is another build than that by the rules in
/// effect, and of no grid.
#[must_use]
pub fn sample_by_rules(rules: &str) -> String {
    format!("{BY_RULES}{rules}")
}

impl BuildRow {
    /// Whether it is made to tell why another one failed.
    #[must_use]
    pub fn is_to_tell(&self) -> bool {
        !self.sample.is_empty() && !self.sample.starts_with(BY_RULES)
    }
}

fn row(row: &AnyRow) -> Result<BuildRow, StoreError> {
    Ok(BuildRow {
        id: row.try_get("id")?,
        builder: row.try_get("builder")?,
        repo: row.try_get("repo")?,
        branch: row.try_get("branch")?,
        toolchain_branch: row.try_get("toolchain_branch")?,
        revision: row.try_get("revision")?,
        class: row.try_get("class")?,
        priority: row.try_get("priority")?,
        commit_time: row.try_get("commit_time_us")?,
        state: row.try_get("state")?,
        outcome: row.try_get("outcome")?,
        cause: row.try_get("cause")?,
        fence: row.try_get("fence")?,
        version: row.try_get("version")?,
        attempts: row.try_get("attempts")?,
        retried_from: row.try_get("retried_from")?,
        not_before: row.try_get("not_before_us")?,
        cancel: row.try_get("cancel")?,
        created: row.try_get("created_us")?,
        queued: row.try_get("queued_us")?,
        started: row.try_get("started_us")?,
        ended: row.try_get("ended_us")?,
        reported: row.try_get::<i64, _>("reported")? != 0,
        untrusted: row.try_get::<i64, _>("untrusted")? != 0,
        sample: row.try_get("sample")?,
        avoid: row.try_get("avoid")?,
        rules: row.try_get("rules")?,
    })
}

/// What a new row needs.
#[derive(Debug, Clone)]
pub struct NewBuild {
    /// Its id.
    pub id: BuildId,
    /// The builder's name.
    pub builder: String,
    /// The subject's repo.
    pub repo: String,
    /// The subject's branch.
    pub branch: String,
    /// The toolchain's branch.
    pub toolchain_branch: Option<String>,
    /// The revision's canonical text.
    pub revision: String,
    /// Class of work.
    pub class: &'static str,
    /// Priority within the class.
    pub priority: i64,
    /// Time of the newest commit.
    pub commit_time: Micros,
    /// Whether nobody has reviewed it.
    pub untrusted: bool,
    /// See [`BuildRow::sample`].
    pub sample: String,
    /// See [`BuildRow::avoid`].
    pub avoid: String,
    /// See [`BuildRow::rules`].
    pub rules: String,
}

/// Queues a cell. Returns whether it is new: a cell has one build, beside its samples.
///
/// # Errors
/// The database's.
pub async fn insert(tx: &mut Tx, new: &NewBuild, now: Micros) -> Result<bool, StoreError> {
    let query = INSERT.query().bind(new.id).bind(new.builder.clone()).bind(new.repo.clone());
    let query = query.bind(new.branch.clone()).bind(new.toolchain_branch.clone()).bind(new.revision.clone());
    let query = query.bind(new.class).bind(new.priority).bind(new.commit_time).bind(now);
    let query = query.bind(i64::from(new.untrusted)).bind(new.sample.clone()).bind(new.avoid.clone());
    let query = query.bind(new.rules.clone());
    Ok(query.execute(tx.conn()).await?.rows_affected() == 1)
}

/// Returns a build.
///
/// # Errors
/// The database's.
pub async fn get(on: &mut impl Conn, id: BuildId) -> Result<Option<BuildRow>, StoreError> {
    let found = GET.query().bind(id).fetch_optional(on.conn()).await?;
    found.as_ref().map(row).transpose()
}

/// Returns the build of a cell.
///
/// # Errors
/// The database's.
pub async fn by_cell(
    on: &mut impl Conn,
    builder: &str,
    revision: &str,
) -> Result<Option<BuildRow>, StoreError> {
    by_sample(on, builder, revision, "").await
}

/// Returns a build beside that of its cell; by an empty sample it is the cell's own.
///
/// # Errors
/// The database's.
pub async fn by_sample(
    on: &mut impl Conn,
    builder: &str,
    revision: &str,
    sample: &str,
) -> Result<Option<BuildRow>, StoreError> {
    let query = BY_CELL.query().bind(builder.to_owned()).bind(revision.to_owned()).bind(sample.to_owned());
    query.fetch_optional(on.conn()).await?.as_ref().map(row).transpose()
}

/// Returns all builds whose end the dashboard does not know yet, oldest first.
///
/// # Errors
/// The database's.
pub async fn open(on: &mut impl Conn) -> Result<Vec<BuildRow>, StoreError> {
    OPEN.query().fetch_all(on.conn()).await?.iter().map(row).collect()
}

/// Returns builds of landed commits that failed since a moment, the one that ended first first.
///
/// # Errors
/// The database's.
pub async fn failed(on: &mut impl Conn, since: Micros, most: i64) -> Result<Vec<BuildRow>, StoreError> {
    FAILED.query().bind(since).bind(most).fetch_all(on.conn()).await?.iter().map(row).collect()
}

/// Takes a queued build into a lease.
///
/// # Errors
/// [`StoreError::Stale`] if it is not queued any more.
pub async fn lease(tx: &mut Tx, id: BuildId, fence: i64, now: Micros) -> Result<(), StoreError> {
    one(LEASE.query().bind(id).bind(fence).bind(now).execute(tx.conn()).await?.rows_affected())
}

/// Gives a leased build a new fence: its lease has a new holder.
///
/// # Errors
/// [`StoreError::Stale`] if its fence is not `old`.
pub async fn refence(tx: &mut Tx, id: BuildId, old: i64, new: i64) -> Result<(), StoreError> {
    one(REFENCE.query().bind(id).bind(old).bind(new).execute(tx.conn()).await?.rows_affected())
}

/// Moves a leased build to the next state of its life.
///
/// # Errors
/// [`StoreError::Stale`] if the fence is not the row's, or the build is not under way.
pub async fn advance(tx: &mut Tx, id: BuildId, fence: i64, state: &'static str) -> Result<(), StoreError> {
    one(ADVANCE.query().bind(id).bind(fence).bind(state).execute(tx.conn()).await?.rows_affected())
}

/// Queues a leased build again, not to be leased before `not_before`.
///
/// # Errors
/// [`StoreError::Stale`] if the fence is not the row's, or the build is not under way.
pub async fn requeue(
    tx: &mut Tx,
    id: BuildId,
    fence: i64,
    not_before: Micros,
    now: Micros,
) -> Result<(), StoreError> {
    let query = REQUEUE.query().bind(id).bind(fence).bind(not_before).bind(now);
    one(query.execute(tx.conn()).await?.rows_affected())
}

/// Ends a build.
///
/// # Errors
/// [`StoreError::Stale`] if the fence is not the row's, or the build is done already.
pub async fn finish(
    tx: &mut Tx,
    id: BuildId,
    fence: i64,
    outcome: &str,
    cause: Option<&str>,
    now: Micros,
) -> Result<(), StoreError> {
    let query =
        FINISH.query().bind(id).bind(fence).bind(outcome.to_owned()).bind(cause.map(str::to_owned)).bind(now);
    one(query.execute(tx.conn()).await?.rows_affected())
}

/// Notes that the dashboard has the report of this version of a build that is done.
///
/// # Errors
/// The database's. A newer version (a retry) makes it do nothing.
pub async fn reported(tx: &mut Tx, id: BuildId, version: i64) -> Result<(), StoreError> {
    REPORTED.query().bind(id).bind(version).execute(tx.conn()).await?;
    Ok(())
}

/// Asks for the end of a build. Returns whether this was the first ask, and the build not done.
///
/// # Errors
/// The database's.
pub async fn cancel(tx: &mut Tx, id: BuildId, who: &str) -> Result<bool, StoreError> {
    let query = CANCEL.query().bind(id).bind(who.to_owned());
    Ok(query.execute(tx.conn()).await?.rows_affected() == 1)
}

/// Queues a build that is done once more, as work of this class.
///
/// # Errors
/// [`StoreError::Stale`] if it is not done.
pub async fn retry(
    tx: &mut Tx,
    id: BuildId,
    class: &'static str,
    priority: i64,
    now: Micros,
) -> Result<(), StoreError> {
    let query = RETRY.query().bind(id).bind(now).bind(class).bind(priority);
    one(query.execute(tx.conn()).await?.rows_affected())
}
