//! All results of a build, those that failed first.

use askama::Template;
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use schemars::JsonSchema;
use serde::Deserialize;
use store::test_results::{self, After};
use transport::Viewer;

use super::super::super::refusal::{Answer, Path, Query, Refusal};
use super::super::super::window::{given, wanted};
use super::super::super::{Dashboard, builds, files, visible};
use super::super::{address, first_line, micros, page, short, shown, subject};
use super::class;
use crate::api::{BuildReport, BuildTests, OutcomeCount, TestResult};

/// So many results are listed.
const LISTED: usize = 200;
const OUTCOMES: [&str; 4] = ["failed", "unfinished", "skipped", "ok"];

/// What is listed of a build's results; what is empty is as if it were not given.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
pub(in super::super) struct TestsQuery {
    /// Ended like this: `failed`, `unfinished`, `skipped`, `ok`.
    outcome: Option<String>,
    /// With this in their name, whatever its case.
    q: Option<String>,
    /// `next_cursor` of the list before.
    cursor: Option<String>,
}

#[derive(Template)]
#[template(path = "build-tests.html")]
struct TestsPage {
    build: BuildReport,
    query: TestsQuery,
    list: BuildTests,
}

impl TestsPage {
    fn value<'a>(&self, field: &'a Option<String>) -> &'a str {
        given(field).unwrap_or_default()
    }

    /// The address of the same list, from elsewhere.
    fn at(&self, end: &str, cursor: &str) -> String {
        let value = |field| given(field).unwrap_or_default();
        let query =
            [("outcome", value(&self.query.outcome)), ("q", value(&self.query.q)), ("cursor", cursor)];
        address(&format!("/builds/{}/{end}", self.build.id), &query)
    }

    /// The list of those that ended in one way.
    fn of(&self, count: &OutcomeCount) -> String {
        address(&format!("/builds/{}/tests", self.build.id), &[("outcome", &count.outcome)])
    }

    /// The history of a test on this builder.
    fn history(&self, test: &TestResult) -> String {
        address("/tests", &[("repo", &self.build.repo), ("builder", &self.build.builder), ("id", &test.id)])
    }

    /// Where the log tells of it.
    fn log(&self, test: &TestResult) -> Option<String> {
        let byte = test.first_byte?.to_string();
        let attempt = test.attempt.as_deref().unwrap_or_default();
        Some(address(&format!("/builds/{}/log", self.build.id), &[("attempt", attempt), ("byte", &byte)]))
    }
}

async fn read(dashboard: &Dashboard, viewer: &Viewer, path: &str, query: &TestsQuery) -> Answer<BuildTests> {
    let build = visible::build(dashboard, viewer, path).await?;
    let cursor = wanted(&query.cursor);
    let after = if cursor.is_empty() {
        After::default()
    } else {
        let bad = || Refusal::not_found("such place in a list of results: `cursor` is of another");
        let [outcome, id, attempt, variant]: [String; 4] =
            serde_json::from_str(&cursor).map_err(|_| bad())?;
        After { outcome, id, attempt, variant }
    };
    let (outcome, words) = (wanted(&query.outcome), wanted(&query.q));
    let mut reader = dashboard.db().read().await?;
    let counts = test_results::outcomes(&mut reader, build).await?;
    let mut rows =
        test_results::page(&mut reader, build, &outcome, &words, &after, LISTED as u32 + 1).await?;
    drop(reader);
    let more = rows.len() > LISTED;
    rows.truncate(LISTED);
    let next_cursor = rows.last().filter(|_| more).map(|row| {
        serde_json::json!([row.outcome, row.id, row.attempt.to_string(), row.variant]).to_string()
    });
    let counts = counts.into_iter().map(|(outcome, count)| OutcomeCount { outcome, count }).collect();
    Ok(BuildTests {
        counts,
        tests: rows.into_iter().map(files::shown_test).collect::<Answer<_>>()?,
        next_cursor,
    })
}

/// `GET /builds/{id}/tests`
pub(in super::super) async fn tests(
    State(dashboard): State<Dashboard>,
    viewer: Viewer,
    Path(path): Path<String>,
    Query(query): Query<TestsQuery>,
) -> Response {
    let answer = async {
        let build = visible::build(&dashboard, &viewer, &path).await?;
        let build = builds::load(&dashboard, build).await?;
        let list = read(&dashboard, &viewer, &path, &query).await?;
        page(&TestsPage { build, query, list })
    };
    shown(answer.await)
}

/// `GET /builds/{id}/tests.json`
pub(in super::super) async fn twin(
    State(dashboard): State<Dashboard>,
    viewer: Viewer,
    Path(path): Path<String>,
    Query(query): Query<TestsQuery>,
) -> Answer<Json<BuildTests>> {
    Ok(Json(read(&dashboard, &viewer, &path, &query).await?))
}
