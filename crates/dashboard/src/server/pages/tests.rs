//! A test's history: what it did in the last builds of a builder, or of all.

use askama::Template;
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use schemars::JsonSchema;
use serde::Deserialize;
use store::test_results;
use transport::Viewer;

use super::super::refusal::{Answer, Query, Refusal};
use super::super::window::{given, wanted};
use super::super::{Dashboard, visible};
use super::{address, micros, page, short, shown};
use crate::api::TestRun;

/// So many results are listed.
const LISTED: u32 = 200;

/// Query of a test's history.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
pub(super) struct HistoryQuery {
    /// Of this repo.
    #[schemars(required, length(min = 1), pattern(r"\S"))]
    repo: Option<String>,
    /// On this builder; on all if not given.
    builder: Option<String>,
    /// The test's name.
    #[schemars(required, length(min = 1), pattern(r"\S"))]
    id: Option<String>,
}

#[derive(Template)]
#[template(path = "test.html")]
struct HistoryPage {
    query: HistoryQuery,
    runs: Vec<TestRun>,
    chart: webui::Markup,
}

impl HistoryPage {
    fn value<'a>(&self, field: &'a Option<String>) -> &'a str {
        given(field).unwrap_or_default()
    }
}

async fn read(dashboard: &Dashboard, viewer: &Viewer, query: &HistoryQuery) -> Answer<Vec<TestRun>> {
    let (repo, id, builder) = (wanted(&query.repo), wanted(&query.id), wanted(&query.builder));
    if repo.is_empty() || id.is_empty() {
        return Err(Refusal::bad("a test's history needs `repo` and `id`"));
    }
    let hidden = visible::eyes(dashboard, viewer).await?.hidden();
    let mut reader = dashboard.db().read().await?;
    let rows = test_results::history(&mut reader, &id, &builder, &repo, LISTED, &hidden).await?;
    drop(reader);
    let shown = rows.into_iter().map(|row| TestRun {
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

fn durations(runs: &[TestRun]) -> webui::Markup {
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
) -> Answer<Json<Vec<TestRun>>> {
    Ok(Json(read(&dashboard, &viewer, &query).await?))
}
