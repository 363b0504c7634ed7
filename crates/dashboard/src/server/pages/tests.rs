//! A test's history: what it did in the last builds of a builder, or of all.

use askama::Template;
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use store::test_results;
use transport::Viewer;

use super::super::refusal::{Answer, Query, Refusal};
use super::super::window::{given, wanted};
use super::super::{Dashboard, visible};
use super::{address, micros, page, short, shown};

/// So many results are listed.
const LISTED: u32 = 200;

/// Query of a test's history.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct HistoryQuery {
    repo: Option<String>,
    builder: Option<String>,
    id: Option<String>,
}

/// A result of the test.
#[derive(Debug, Serialize)]
pub(super) struct RunInfo {
    build: String,
    attempt: String,
    variant: String,
    outcome: String,
    duration_us: Option<i64>,
    repo: String,
    branch: String,
    commit: String,
}

#[derive(Template)]
#[template(path = "test.html")]
struct HistoryPage {
    query: HistoryQuery,
    runs: Vec<RunInfo>,
    chart: webui::Markup,
}

impl HistoryPage {
    fn value<'a>(&self, field: &'a Option<String>) -> &'a str {
        given(field).unwrap_or_default()
    }
}

async fn read(dashboard: &Dashboard, viewer: &Viewer, query: &HistoryQuery) -> Answer<Vec<RunInfo>> {
    let (repo, id, builder) = (wanted(&query.repo), wanted(&query.id), wanted(&query.builder));
    if repo.is_empty() || id.is_empty() {
        return Err(Refusal::bad("a test's history needs `repo` and `id`"));
    }
    let hidden = visible::eyes(dashboard, viewer).await?.hidden();
    let mut reader = dashboard.db().read().await?;
    let rows = test_results::history(&mut reader, &id, &builder, &repo, LISTED, &hidden).await?;
    drop(reader);
    let shown = rows.into_iter().map(|row| RunInfo {
        build: row.build.to_string(),
        attempt: row.attempt.to_string(),
        variant: row.variant,
        outcome: row.outcome,
        duration_us: row.duration,
        repo: row.repo,
        branch: row.branch,
        commit: row.subject,
    });
    Ok(shown.collect())
}

/// `GET /tests`
pub(super) async fn history(
    State(dashboard): State<Dashboard>,
    viewer: Viewer,
    Query(query): Query<HistoryQuery>,
) -> Response {
    let answer = async {
        let runs = read(&dashboard, &viewer, &query).await?;
        let chart = durations(&runs);
        page(&HistoryPage { query, runs, chart })
    };
    shown(answer.await)
}

fn durations(runs: &[RunInfo]) -> webui::Markup {
    let most = runs.iter().filter_map(|run| run.duration_us).max().unwrap_or(0);
    let bars: Vec<_> = runs
        .iter()
        .rev()
        .map(|run| webui::chart::Bar {
            value: run.duration_us.unwrap_or(0) as f64,
            class: match run.outcome.as_str() {
                "ok" => "ok",
                "failed" => "failed",
                _ => "",
            },
            title: format!("{} {}", run.outcome, short(&run.commit)),
        })
        .collect();
    webui::chart::bars("How long the test took, the oldest at the left", &webui::time::duration(most), &bars)
}

/// `GET /tests.json`
pub(super) async fn twin(
    State(dashboard): State<Dashboard>,
    viewer: Viewer,
    Query(query): Query<HistoryQuery>,
) -> Answer<Json<Vec<RunInfo>>> {
    Ok(Json(read(&dashboard, &viewer, &query).await?))
}
