//! A build: the failure first, then what was tried, from what, and what came out of it.

use askama::Template;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use jiff::Timestamp;
use serde_json::Value;
use store::BuildId;
use transport::{Role, Viewer};
use webui::Markup;
use webui::chart::{self, Part};

use super::super::refusal::{Answer, Path, Refusal};
use super::super::{Dashboard, builds, files, logs, visible};
use super::log::{Lines, tail};
use super::{address, first_line, micros, page, short, shown, size, so_far, subject, took, until, word};
use crate::api::{Artifact, AttemptReport, BuildReport, CommitInfo, LogInfo, TestResult};

/// So many tests that are not ok are named.
const NAMED_TESTS: u32 = 100;

/// A time for people.
fn millis(ms: &u64) -> String {
    webui::time::duration(i64::try_from(ms.saturating_mul(1000)).unwrap_or(i64::MAX))
}

#[derive(Template)]
#[template(path = "build.html")]
struct BuildPage {
    build: BuildReport,
    commit: Option<CommitInfo>,
    /// How many builds of the repo failed alike, this one included.
    alike: u64,
    attempts: Vec<Attempt>,
    /// Outcomes of tests with how many there are of each.
    counts: Vec<(String, i64)>,
    tests: Vec<TestResult>,
    artifacts: Vec<Artifact>,
    log: Option<ShownLog>,
    /// What the forms of orders carry, for those who may give them.
    orders: Option<String>,
}

/// An attempt and its spans as a chart.
struct Attempt {
    report: AttemptReport,
    chart: Option<Markup>,
    inputs: Vec<(String, String)>,
}

/// The end of a build's log.
struct ShownLog {
    info: LogInfo,
    lines: Lines,
    /// Why there are no lines, where they are kept and can't be had now, or are kept no more.
    away: Option<String>,
}

impl BuildPage {
    /// The bar of a build that runs: its start (ms since 1970) and how long it should take (ms).
    fn bar(&self) -> Option<(i64, u64)> {
        match (self.build.outcome, self.build.started, self.build.expected_ms) {
            (None, Some(started), Some(expected)) if expected > 0 => {
                Some((started.as_millisecond(), expected))
            }
            _ => None,
        }
    }
}

/// `GET /builds/{id}` and its twin `GET /builds/{id}.json`
pub(super) async fn build(
    State(dashboard): State<Dashboard>,
    viewer: Viewer,
    Path(path): Path<String>,
) -> Response {
    if let Some(build) = path.strip_suffix(".json") {
        return builds::with_failure(&dashboard, &viewer, build).await.map(Json).into_response();
    }
    shown(made(&dashboard, &viewer, &path).await)
}

async fn made(dashboard: &Dashboard, viewer: &Viewer, path: &str) -> Answer<Response> {
    let build = builds::with_failure(dashboard, viewer, path).await?;
    let id: BuildId = build.id.parse().map_err(|_| Refusal::internal("a build without an id"))?;
    let log = match logs::log_of_build(dashboard, viewer, path).await {
        Ok(log) => {
            let (lines, away) = match tail(dashboard, &log).await {
                Ok(lines) => (lines, None),
                Err(refusal) if refusal.is_about_content() => (Lines::default(), Some(refusal.message)),
                Err(refusal) => return Err(refusal),
            };
            Some(ShownLog { info: logs::info(&log), lines, away })
        }
        Err(refusal) if refusal.status == StatusCode::NOT_FOUND => None,
        Err(refusal) => return Err(refusal),
    };
    let artifacts = files::of_build(dashboard, id).await?;
    let eyes = visible::eyes(dashboard, viewer).await?;
    let mut reader = dashboard.db().read().await?;
    let counts = store::test_results::outcomes(&mut reader, id).await?;
    let mut tests = Vec::new();
    if counts.iter().any(|(outcome, _)| outcome != "ok" && outcome != "skipped") {
        let rows = store::test_results::not_ok(&mut reader, id, NAMED_TESTS).await?;
        tests = rows.into_iter().map(files::shown_test).collect::<Answer<_>>()?;
    }
    let subject = subject(&build.revision);
    let commit = store::commits::many(&mut reader, &build.repo, &[subject]).await?.pop();
    let signature = build.failure.as_ref().and_then(|failure| failure.signature.as_deref());
    let mut alike = 0;
    if let Some(signature) = signature {
        let hidden = eyes.hidden();
        let counts = store::failures::counts(&mut reader, &build.repo, &[signature], &hidden).await?;
        alike = counts.first().map_or(0, |group| u64::try_from(group.builds).unwrap_or(0));
    }
    drop(reader);
    let attempts = build.attempts.iter().rev().map(attempt).collect();
    let commit = commit.map(super::super::repos::commit_info);
    let orders = orders(viewer, &build);
    page(&BuildPage { commit, alike, attempts, counts, tests, artifacts, log, orders, build })
}

/// What the forms of orders carry, if somebody who is signed in may give orders to a build.
fn orders(viewer: &Viewer, build: &BuildReport) -> Option<String> {
    let may = viewer.role.may(Role::Developer) && viewer.may_order(&build.repo);
    viewer.csrf.as_deref().filter(|_| may).map(str::to_owned)
}

fn attempt(report: &AttemptReport) -> Attempt {
    let now = Timestamp::now();
    let end = |end: &Option<Timestamp>| end.or(report.ended).unwrap_or(now).as_microsecond();
    let mut parts: Vec<Part> = report
        .spans
        .iter()
        .map(|span| Part {
            name: span.name.clone(),
            start: span.start.as_microsecond(),
            end: end(&span.end).max(span.start.as_microsecond()),
            took: webui::time::duration(end(&span.end) - span.start.as_microsecond()),
            critical: false,
            failed: span.error.is_some(),
        })
        .collect();
    chart::mark_critical(&mut parts);
    let label = format!("What attempt {} spent its time on; the critical path is marked", report.number);
    let chart = (!parts.is_empty()).then(|| chart::spans(&label, &parts));
    // The steps are shown by themselves.
    let inputs = report.inputs.iter().filter(|(name, value)| *name != "steps" && !value.is_null());
    let mut inputs: Vec<_> = inputs.map(|(name, value)| (name.replace('_', " "), told(value))).collect();
    if let Some(job) = &report.job {
        for source in &job.sources {
            let what = if source.git { "repository" } else { "tree" };
            inputs.push((source.repo.clone(), format!("{} as a {what} in {}", source.commit, source.dir)));
        }
        if !job.secrets.is_empty() {
            inputs.push(("variables with secrets".to_owned(), job.secrets.join(", ")));
        }
        if !job.env_pass.is_empty() {
            inputs.push(("environment passed on".to_owned(), job.env_pass.join(", ")));
        }
    }
    Attempt { report: report.clone(), chart, inputs }
}

/// Shows a value as a person would write it down.
fn told(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(list) => list.iter().map(told).collect::<Vec<_>>().join(", "),
        Value::Object(map) => {
            let parts = map.iter().filter(|(_, value)| !value.is_null());
            parts.map(|(name, value)| format!("{name} {}", told(value))).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}
