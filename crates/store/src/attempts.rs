//! The coordinator's `attempts`: one row a try at a build on one worker.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::leader::one;
use crate::statement::statements;
use crate::{AttemptId, BuildId, Conn, LeaseId, Micros, StoreError, Tx, WorkerId};

statements! {
    INSERT = "attempts.insert", "INSERT INTO attempts (id, build, number, lease, worker, host, fence, state, step, job, inputs, warnings, started_us, seal) VALUES ($1, $2, $3, $4, $5, $6, $7, 'leased', 0, $8, $9, '[]', $10, $11)";
    OF_BUILD = "attempts.of_build", "SELECT id, build, number, lease, worker, host, fence, state, step, outcome, cause, job, inputs, warnings, started_us, ended_us, seal FROM attempts WHERE build = $1 ORDER BY number";
    REFENCE = "attempts.refence", "UPDATE attempts SET fence = $3 WHERE id = $1 AND fence = $2 AND ended_us IS NULL";
    ADVANCE = "attempts.advance", "UPDATE attempts SET state = $3, step = $4 WHERE id = $1 AND fence = $2 AND ended_us IS NULL";
    DECIDE = "attempts.decide", "UPDATE attempts SET state = 'reporting', outcome = $3, cause = $4, warnings = $5, inputs = $6 WHERE id = $1 AND fence = $2 AND ended_us IS NULL";
    FINISH = "attempts.finish", "UPDATE attempts SET state = 'done', outcome = $3, cause = $4, ended_us = $5 WHERE id = $1 AND fence = $2 AND ended_us IS NULL";
}

/// A row of `attempts`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptRow {
    /// Its id.
    pub id: AttemptId,
    /// The build that it tries.
    pub build: BuildId,
    /// From 1.
    pub number: i64,
    /// The lease under which it runs.
    pub lease: LeaseId,
    /// The worker it runs on.
    pub worker: WorkerId,
    /// The worker's host.
    pub host: String,
    /// The fence of whoever drives it.
    pub fence: i64,
    /// `leased`, `preparing`, `running`, `reporting` or `done`.
    pub state: String,
    /// Index of the step that runs, or is to run next.
    pub step: i64,
    /// Known from `reporting` on.
    pub outcome: Option<String>,
    /// JSON, where the outcome has one.
    pub cause: Option<String>,
    /// JSON of the resolved job.
    pub job: String,
    /// JSON of its inputs.
    pub inputs: String,
    /// JSON list of warnings.
    pub warnings: String,
    /// When its lease began.
    pub started: Micros,
    /// When it ended.
    pub ended: Option<Micros>,
    /// By what the coordinator knows that the job is as it wrote it.
    pub seal: Option<String>,
}

fn row(row: &AnyRow) -> Result<AttemptRow, StoreError> {
    Ok(AttemptRow {
        id: row.try_get("id")?,
        build: row.try_get("build")?,
        number: row.try_get("number")?,
        lease: row.try_get("lease")?,
        worker: row.try_get("worker")?,
        host: row.try_get("host")?,
        fence: row.try_get("fence")?,
        state: row.try_get("state")?,
        step: row.try_get("step")?,
        outcome: row.try_get("outcome")?,
        cause: row.try_get("cause")?,
        job: row.try_get("job")?,
        inputs: row.try_get("inputs")?,
        warnings: row.try_get("warnings")?,
        started: row.try_get("started_us")?,
        ended: row.try_get("ended_us")?,
        seal: row.try_get("seal")?,
    })
}

/// Begins an attempt; of `new`, what a later state sets is not read.
///
/// # Errors
/// [`StoreError::Conflict`] if the build has an attempt of that number.
pub async fn insert(tx: &mut Tx, new: &AttemptRow) -> Result<(), StoreError> {
    let query = INSERT.query().bind(new.id).bind(new.build).bind(new.number).bind(new.lease).bind(new.worker);
    let query = query.bind(new.host.clone()).bind(new.fence).bind(new.job.clone()).bind(new.inputs.clone());
    query.bind(new.started).bind(new.seal.clone()).execute(tx.conn()).await?;
    Ok(())
}

/// Returns all attempts at a build, in order.
///
/// # Errors
/// The database's.
pub async fn of_build(on: &mut impl Conn, build: BuildId) -> Result<Vec<AttemptRow>, StoreError> {
    OF_BUILD.query().bind(build).fetch_all(on.conn()).await?.iter().map(row).collect()
}

/// Gives a live attempt a new fence.
///
/// # Errors
/// [`StoreError::Stale`] if its fence is not `old`.
pub async fn refence(tx: &mut Tx, id: AttemptId, old: i64, new: i64) -> Result<(), StoreError> {
    one(REFENCE.query().bind(id).bind(old).bind(new).execute(tx.conn()).await?.rows_affected())
}

/// Moves a live attempt to a state and step.
///
/// # Errors
/// [`StoreError::Stale`] if the fence is not the row's, or the attempt has ended.
pub async fn advance(
    tx: &mut Tx,
    id: AttemptId,
    fence: i64,
    state: &'static str,
    step: i64,
) -> Result<(), StoreError> {
    one(ADVANCE.query().bind(id).bind(fence).bind(state).bind(step).execute(tx.conn()).await?.rows_affected())
}

/// What was decided of an attempt before it is reported.
#[derive(Debug, Clone)]
pub struct Decision {
    /// The outcome.
    pub outcome: String,
    /// JSON, where the outcome has one.
    pub cause: Option<String>,
    /// JSON list of warnings.
    pub warnings: String,
    /// JSON of the inputs, now complete.
    pub inputs: String,
}

/// Decides a live attempt: it is to be reported next.
///
/// # Errors
/// [`StoreError::Stale`] if the fence is not the row's, or the attempt has ended.
pub async fn decide(tx: &mut Tx, id: AttemptId, fence: i64, decision: &Decision) -> Result<(), StoreError> {
    let query =
        DECIDE.query().bind(id).bind(fence).bind(decision.outcome.clone()).bind(decision.cause.clone());
    let query = query.bind(decision.warnings.clone()).bind(decision.inputs.clone());
    one(query.execute(tx.conn()).await?.rows_affected())
}

/// Ends a live attempt.
///
/// # Errors
/// [`StoreError::Stale`] if the fence is not the row's, or the attempt has ended.
pub async fn finish(
    tx: &mut Tx,
    id: AttemptId,
    fence: i64,
    outcome: &str,
    cause: Option<&str>,
    now: Micros,
) -> Result<(), StoreError> {
    let query =
        FINISH.query().bind(id).bind(fence).bind(outcome.to_owned()).bind(cause.map(str::to_owned)).bind(now);
    one(query.execute(tx.conn()).await?.rows_affected())
}
