//! Tells the dashboard of builds: a queue of those whose report has changed, and the task that sends them.
//!
//! Reports on the way are sent when there is time, the newest only; the final one is sent until the dashboard has it, and
//! across restarts, because a build that is done stays `reported = 0` until then.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dashboard::api::{
    AttemptReport, BuildReport, BuildState, Cause, JobReport, JobSource, JobStep, Outcome, Span, StepReport,
    Wait,
};
use jiff::Timestamp;
use serde_json::Value;
use store::attempts::AttemptRow;
use store::builds::BuildRow;
use store::spans::SpanRow;
use store::{BuildId, Micros, StoreError, attempts, builds, spans};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::attempt::Shared;
use crate::job::Job;
use crate::ledger::{pause, transition};

/// How long news of a build that is not done may gather before they are sent.
const GATHER: Duration = Duration::from_millis(200);

/// Builds whose report has changed; never more than there are builds.
#[derive(Debug, Clone, Default)]
pub struct ReportQueue {
    inner: Arc<(Mutex<Changed>, Notify)>,
}

#[derive(Debug, Default)]
struct Changed {
    /// Under way, with the moment of the first news.
    under_way: BTreeMap<BuildId, Instant>,
    /// Done: somebody waits for these.
    done: BTreeSet<BuildId>,
}

impl ReportQueue {
    /// Notes that the report of a build that is under way has changed.
    pub fn note(&self, build: BuildId) {
        if let Ok(mut changed) = self.inner.0.lock() {
            changed.under_way.entry(build).or_insert_with(Instant::now);
        }
        self.inner.1.notify_one();
    }

    /// Notes that a build is done.
    pub fn note_done(&self, build: BuildId) {
        if let Ok(mut changed) = self.inner.0.lock() {
            changed.under_way.remove(&build);
            changed.done.insert(build);
        }
        self.inner.1.notify_one();
    }

    /// Those that are done, at once; those under way after a while, so that a build of a few milliseconds is told of
    /// once.
    async fn take(&self) -> BTreeSet<BuildId> {
        loop {
            let mut next = None;
            if let Ok(mut changed) = self.inner.0.lock() {
                let mut taken = std::mem::take(&mut changed.done);
                let now = Instant::now();
                changed.under_way.retain(|build, since| {
                    let due = *since + GATHER <= now;
                    if due {
                        taken.insert(*build);
                    }
                    !due
                });
                if !taken.is_empty() {
                    return taken;
                }
                next = changed.under_way.values().min().map(|since| *since + GATHER);
            }
            match next {
                Some(due) => {
                    let _ = tokio::time::timeout_at(due, self.inner.1.notified()).await;
                }
                None => self.inner.1.notified().await,
            }
        }
    }
}

/// Sends reports until the task is dropped.
pub(crate) async fn run(shared: Arc<Shared>, why: impl AsyncFn(BuildId) -> Option<Wait>) {
    let mut failures = 0;
    loop {
        let mut told = Vec::new();
        for build in shared.reports.take().await {
            match send(&shared, build, &why).await {
                Ok(version) => {
                    failures = 0;
                    told.extend(version.map(|version| (build, version)));
                }
                Err(error) => {
                    tracing::warn!(%build, %error, "a report could not be sent; trying again");
                    shared.reports.note(build);
                    tokio::time::sleep(pause(failures)).await;
                    failures += 1;
                }
            }
        }
        // One transaction for all that ended meanwhile. What it fails to note is told once more at the next start.
        if let Some((first, _)) = told.first() {
            let noted = transition!(&shared.ledger, "reported", first, |tx| {
                for (build, version) in &told {
                    builds::reported(&mut tx, *build, *version).await?;
                }
            });
            if let Err(error) = noted {
                tracing::warn!(%error, "reports were sent, but that could not be noted");
            }
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum SendError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Call(#[from] transport::CallError),
}

/// Sends a report; returns the version of a build whose end is told with it.
async fn send(
    shared: &Shared,
    id: BuildId,
    why: &impl AsyncFn(BuildId) -> Option<Wait>,
) -> Result<Option<i64>, SendError> {
    let mut reader = shared.ledger.db().read().await?;
    let Some(build) = builds::get(&mut reader, id).await? else { return Ok(None) };
    let mut rows = Vec::new();
    for attempt in attempts::of_build(&mut reader, id).await? {
        let timed = spans::of_attempt(&mut reader, attempt.id).await?;
        rows.push((attempt, timed));
    }
    drop(reader);
    let jobs: Vec<_> = rows.iter().map(|(attempt, _)| job(shared, attempt)).collect();
    let done = build.state == "done";
    let wait = if build.state == "queued" { why(id).await } else { None };
    let expected_ms = match done {
        true => None,
        false => shared.usual.one(&shared.dashboard, &build.builder, &build.repo).await,
    };
    let mut report = compose(&build, &rows, wait, expected_ms);
    for (attempt, job) in report.attempts.iter_mut().zip(jobs) {
        attempt.job = job;
    }
    match shared.dashboard.put_build(&report).await {
        Ok(()) => {}
        // It has a newer report, of us or of the coordinator that took over.
        Err(error) if error.is_code("stale") => {}
        Err(error) => return Err(error.into()),
    }
    if done {
        // Nobody needs to follow.
        if !report.sample {
            let _ = shared.ended.send(Arc::new(report));
        }
        shared.usual.forget_unknown(&build.builder, &build.repo).await;
    }
    Ok((done && !build.reported).then_some(build.version))
}

/// What an attempt was to do. A secret that the configuration has in plain, too, is taken out.
fn job(shared: &Shared, attempt: &AttemptRow) -> Option<JobReport> {
    let job: Job = serde_json::from_str(&attempt.job).ok()?;
    let secrets = shared.secrets.compiled(&shared.secrets.of(&job));
    let clean = |text: String| if secrets.is_empty() { text } else { secrets.clean(&text) };
    let sources = job.sources.into_iter().map(|source| JobSource {
        repo: source.repo,
        commit: source.commit,
        dir: source.dir,
        git: source.git,
    });
    let steps = job.steps.into_iter().map(|step| JobStep {
        name: step.name,
        command: clean(step.run),
        dir: step.dir,
        env: step.env.into_iter().map(|(name, value)| (name, clean(value))).collect(),
        for_toolchain: step.for_toolchain,
        lists: step.lists,
    });
    Some(JobReport {
        sources: sources.collect(),
        steps: steps.collect(),
        secrets: job.secrets.into_iter().map(|used| used.variable).collect(),
        env_pass: job.env_pass,
    })
}

fn time(micros: Micros) -> Timestamp {
    Timestamp::from_microsecond(micros.0).unwrap_or_default()
}

fn cause(text: Option<&str>) -> Option<Cause> {
    let text = text?;
    let plain = || Cause { kind: text.to_owned(), detail: String::new() };
    Some(serde_json::from_str(text).unwrap_or_else(|_| plain()))
}

fn outcome(text: Option<&str>) -> Option<Outcome> {
    text?.parse().ok()
}

/// A build's report, from its rows.
pub(crate) fn compose(
    build: &BuildRow,
    rows: &[(AttemptRow, Vec<SpanRow>)],
    wait: Option<Wait>,
    expected_ms: Option<u64>,
) -> BuildReport {
    let attempts = rows.iter().map(|(attempt, timed)| compose_attempt(attempt, timed)).collect::<Vec<_>>();
    let recipe = attempts
        .last()
        .and_then(|attempt: &AttemptReport| attempt.inputs.get("digest")?.as_str().map(str::to_owned));
    BuildReport {
        id: build.id.to_string(),
        builder: build.builder.clone(),
        repo: build.repo.clone(),
        branch: build.branch.clone(),
        revision: build.revision.clone(),
        class: build.class.clone(),
        state: build.state.parse().unwrap_or(BuildState::Queued),
        outcome: outcome(build.outcome.as_deref()),
        cause: cause(build.cause.as_deref()),
        fence: build.fence.unsigned_abs(),
        version: build.version.unsigned_abs(),
        created: time(build.created),
        started: build.started.map(time),
        ended: build.ended.map(time),
        expected_ms,
        recipe,
        wait,
        attempts,
        trigger: None,
        url: None,
        failure: None,
        sample: !build.sample.is_empty(),
    }
}

fn compose_attempt(attempt: &AttemptRow, timed: &[SpanRow]) -> AttemptReport {
    let mut inputs: std::collections::BTreeMap<String, Value> =
        serde_json::from_str(&attempt.inputs).unwrap_or_default();
    let steps =
        inputs.remove("steps").and_then(|steps| serde_json::from_value::<Vec<StepReport>>(steps).ok());
    let spread = inputs.remove("spread").and_then(|spread| serde_json::from_value(spread).ok());
    let spans = timed.iter().map(|span| Span {
        name: span.name.clone(),
        detail: span.detail.clone(),
        start: time(span.start),
        end: span.end.map(time),
        error: span.error.clone(),
    });
    AttemptReport {
        id: attempt.id.to_string(),
        number: u32::try_from(attempt.number).unwrap_or(u32::MAX),
        worker: Some(attempt.worker.to_string()),
        host: Some(attempt.host.clone()),
        state: attempt.state.parse().ok(),
        outcome: outcome(attempt.outcome.as_deref()),
        cause: cause(attempt.cause.as_deref()),
        started: Some(time(attempt.started)),
        ended: attempt.ended.map(time),
        spans: spans.collect(),
        inputs,
        warnings: serde_json::from_str(&attempt.warnings).unwrap_or_default(),
        steps: steps.unwrap_or_default(),
        job: None,
        spread,
    }
}
