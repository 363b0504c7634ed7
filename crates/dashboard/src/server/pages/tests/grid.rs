//! Tests against builds: what each did in the newest builds of a builder.

use std::collections::BTreeMap;

use askama::Template;
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use schemars::JsonSchema;
use serde::Deserialize;
use store::results::{self, Filter};
use store::test_results;
use transport::Viewer;

use super::super::super::refusal::{Answer, Query};
use super::super::super::window::{given, wanted};
use super::super::super::{Dashboard, visible};
use super::super::{address, page, short, shown};
use super::class;
use crate::api::{TestGrid, TestGridBuild, TestGridCell, TestGridRow};

/// So many builds are shown, and so many tests.
const BUILDS: usize = 24;
const TESTS: usize = 100;

/// What is shown.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
pub(in super::super) struct GridQuery {
    /// Builds of this repo.
    repo: Option<String>,
    /// On this builder.
    builder: Option<String>,
    /// Of this branch; of all if not given.
    branch: Option<String>,
    /// Tests with this in their name; those that failed in one of the builds if not given.
    q: Option<String>,
}

#[derive(Template)]
#[template(path = "test-grid.html")]
struct GridPage {
    query: GridQuery,
    grid: TestGrid,
}

impl GridPage {
    fn value<'a>(&self, field: &'a Option<String>) -> &'a str {
        given(field).unwrap_or_default()
    }

    /// What is listed of a test in the build of a column.
    fn of(&self, column: &usize, row: &TestGridRow) -> String {
        let build = self.grid.builds.get(*column).map_or("", |build| build.build.as_str());
        address(&format!("/builds/{build}/tests"), &[("q", &row.id)])
    }

    fn at(&self, path: &str) -> String {
        let value = |field| given(field).unwrap_or_default();
        let (repo, builder) = (value(&self.query.repo), value(&self.query.builder));
        let (branch, q) = (value(&self.query.branch), value(&self.query.q));
        address(path, &[("repo", repo), ("builder", builder), ("branch", branch), ("q", q)])
    }
}

async fn read(dashboard: &Dashboard, viewer: &Viewer, query: &GridQuery) -> Answer<TestGrid> {
    let (repo, builder) = (wanted(&query.repo), wanted(&query.builder));
    let mut grid = TestGrid::default();
    if repo.is_empty() || builder.is_empty() {
        return Ok(grid);
    }
    let eyes = visible::eyes(dashboard, viewer).await?;
    let hidden = eyes.hidden();
    let filter = Filter {
        repo: repo.clone(),
        builder,
        branch: wanted(&query.branch),
        state: "done".into(),
        ..Filter::default()
    };
    let mut reader = dashboard.db().read().await?;
    let mut builds = results::list(&mut reader, &filter, None, BUILDS as u32).await?;
    builds.retain(|build| eyes.revision(&build.revision));
    let ids: Vec<String> = builds.iter().map(|build| build.build.to_string()).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let words = wanted(&query.q);
    let limit = TESTS as u32 + 1;
    let mut tests = if words.is_empty() {
        test_results::bad_of(&mut reader, &ids, limit).await?
    } else {
        let found = test_results::find(&mut reader, &repo, &words, "", limit, &hidden).await?;
        found.into_iter().map(|(id, _)| id).collect()
    };
    grid.more = tests.len() > TESTS;
    tests.truncate(TESTS);
    for id in tests {
        let mut rows: BTreeMap<String, Vec<Option<TestGridCell>>> = BTreeMap::new();
        for cell in test_results::cells(&mut reader, &id, &ids).await? {
            let Some(at) = builds.iter().position(|build| build.build == cell.build) else { continue };
            let row = rows.entry(cell.variant).or_insert_with(|| vec![None; builds.len()]);
            let attempt = cell.attempt.to_string();
            // The attempts come in their order: the last one counts.
            row[at] = Some(TestGridCell { outcome: cell.outcome, attempt, duration_us: cell.duration });
        }
        let rows = rows.into_iter().take(TESTS);
        grid.rows.extend(rows.map(|(variant, cells)| TestGridRow { id: id.clone(), variant, cells }));
        if grid.rows.len() >= 2 * TESTS {
            grid.more = true;
            break;
        }
    }
    drop(reader);
    grid.builds = builds
        .into_iter()
        .map(|build| TestGridBuild {
            build: build.build.to_string(),
            commit: build.subject,
            branch: build.branch,
            outcome: build.outcome.unwrap_or_default(),
        })
        .collect();
    Ok(grid)
}

/// `GET /tests/grid`
pub(in super::super) async fn grid(
    State(dashboard): State<Dashboard>,
    viewer: Viewer,
    Query(query): Query<GridQuery>,
) -> Response {
    let answer = async { page(&GridPage { grid: read(&dashboard, &viewer, &query).await?, query }) };
    shown(answer.await)
}

/// `GET /tests/grid.json`
pub(in super::super) async fn twin(
    State(dashboard): State<Dashboard>,
    viewer: Viewer,
    Query(query): Query<GridQuery>,
) -> Answer<Json<TestGrid>> {
    Ok(Json(read(&dashboard, &viewer, &query).await?))
}
