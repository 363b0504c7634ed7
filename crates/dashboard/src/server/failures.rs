//! Where builds failed: found in the log once, then remembered.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use axum::Json;
use axum::extract::State;
use futures::StreamExt as _;
use sha2::{Digest as _, Sha256};
use store::BuildId;
use store::failures::FailureRow;
use store::logs::LogRow;
use transport::Viewer;

use super::refusal::{Answer, Path};
use super::{Dashboard, builds, logs, logstore, visible};
use crate::api::{BuildReport, Failure, Outcome};
use crate::extract::{Extractor, likeness};

/// So much of a log's beginning and of its end is looked at.
const LOOKED_AT: u64 = 8 << 20;
/// Longest text of a failure that is kept for comparison, in characters.
const LONGEST: usize = 500;
/// How many failures are remembered.
const REMEMBERED: usize = 2000;

/// Failures by build.
#[derive(Debug, Default)]
pub(super) struct FailureCache(Mutex<HashMap<BuildId, Known>>);

/// A failure, or that none was found, and the report it belongs to.
#[derive(Debug)]
struct Known {
    fence: u64,
    version: u64,
    failure: Option<Failure>,
}

impl FailureCache {
    fn get(&self, build: BuildId, report: &BuildReport) -> Option<Option<Failure>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = kept.get(&build)?;
        ((known.fence, known.version) == (report.fence, report.version)).then(|| known.failure.clone())
    }

    fn put(&self, build: BuildId, report: &BuildReport, failure: Option<Failure>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= REMEMBERED {
            kept.clear();
        }
        kept.insert(build, Known { fence: report.fence, version: report.version, failure });
    }
}

/// `GET /api/v1/builds/{id}/failure`
pub(super) async fn get(
    State(dashboard): State<Dashboard>,
    viewer: Viewer,
    Path(build): Path<String>,
) -> Answer<Json<Option<Failure>>> {
    let build = visible::build(&dashboard, &viewer, &build).await?;
    let report = builds::load(&dashboard, build).await?;
    Ok(Json(of(&dashboard, build, &report).await?))
}

/// Finds where a build failed, if it did and has a log.
pub(super) async fn of(
    dashboard: &Dashboard,
    build: BuildId,
    report: &BuildReport,
) -> Answer<Option<Failure>> {
    if !matches!(report.outcome, Some(Outcome::Failed | Outcome::InfraFailed)) {
        return Ok(None);
    }
    if let Some(known) = dashboard.failures().get(build, report) {
        return Ok(known);
    }
    let mut logs = store::logs::of_build(&mut dashboard.db().read().await?, build).await?;
    let Some(log) = logs.pop() else { return Ok(None) };
    logstore::kept(&log)?;
    let (from, to) = failing_part(report, &log);
    let mut extractor = Extractor::default();
    let parts = match to - from {
        size if size <= 2 * LOOKED_AT => vec![(from, to)],
        _ => vec![(from, from + LOOKED_AT), (to - LOOKED_AT, to)],
    };
    for (from, to) in parts {
        let mut lines = std::pin::pin!(logs::lines(dashboard, &log, from, to));
        while let Some(line) = lines.next().await {
            let line = line?;
            extractor.line(line.number, &String::from_utf8_lossy(&line.bytes));
        }
    }
    let mut failure = extractor.finish();
    if let Some(failure) = &mut failure {
        failure.signature = Some(signature(&report.repo, failure));
    }
    if log.finished {
        dashboard.failures().put(build, report, failure.clone());
        if let Some(failure) = &failure
            && report.outcome == Some(Outcome::Failed)
            && !report.sample
            && let Err(refusal) = keep(dashboard, build, report, failure).await
        {
            // It was asked where the build failed, and that is known: a full disk is no reason not to say it.
            tracing::warn!(%build, cause = refusal.message, "a failure is not kept for comparison");
        }
    }
    Ok(failure)
}

/// Names what builds of a repo that failed alike have in common. The repo is in it, so that no repo tells of another.
fn signature(repo: &str, failure: &Failure) -> String {
    let digest = Sha256::digest(format!("{repo}\n{}", likeness(failure)));
    digest[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Keeps a failure where others are compared with it.
async fn keep(dashboard: &Dashboard, build: BuildId, report: &BuildReport, failure: &Failure) -> Answer<()> {
    let cut = |text: &str| text.chars().take(LONGEST).collect::<String>().replace('\0', "\u{fffd}");
    let subject = report.revision.split('+').next().and_then(|part| part.split_once('@'));
    let row = FailureRow {
        build,
        repo: report.repo.clone(),
        branch: report.branch.clone(),
        builder: report.builder.clone(),
        subject: subject.map(|(_, commit)| commit.to_owned()).unwrap_or_default(),
        signature: failure.signature.clone().unwrap_or_default(),
        test: failure.test.as_deref().map(cut),
        headline: cut(&failure.headline),
        line: i64::try_from(failure.line).unwrap_or(i64::MAX),
    };
    let known =
        store::failures::many(&mut dashboard.db().read().await?, &row.repo, &[&build.to_string()]).await?;
    if known.first() == Some(&row) {
        return Ok(());
    }
    let mut tx = dashboard.db().begin().await?;
    store::failures::put(&mut tx, &row).await?;
    tx.commit().await?;
    Ok(())
}

/// Finds where a build failed as soon as that was reported, so that others can be compared with it. What goes wrong here
/// is no reason to refuse the report.
pub(super) async fn reported(dashboard: &Dashboard, build: BuildId, report: &BuildReport) {
    if report.outcome == Some(Outcome::Failed)
        && let Err(refusal) = of(dashboard, build, report).await
    {
        tracing::warn!(%build, cause = refusal.message, "where it failed is not known");
    }
}

/// Where in the log the output of the step that failed lies: others, later ones among them, may complain as well. Where
/// that is not known, or it printed nothing, all that came before its end.
fn failing_part(report: &BuildReport, log: &LogRow) -> (u64, u64) {
    let size = log.bytes.unsigned_abs();
    let attempt = log.attempt.to_string();
    let step = report.attempts.iter().find(|one| one.id == attempt).and_then(|one| one.failed_step());
    let to = step.and_then(|step| step.end_byte).unwrap_or(size).min(size);
    match step.and_then(|step| step.first_byte) {
        Some(from) if from < to => (from, to),
        _ => (0, to),
    }
}
