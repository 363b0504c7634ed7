//! Tests by words in their name, and failures by what they have in common.

use askama::Template;
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use schemars::JsonSchema;
use serde::Deserialize;
use store::{BuildId, test_results};
use transport::Viewer;

use super::super::super::refusal::{Answer, Query, Refusal};
use super::super::super::window::{given, wanted};
use super::super::super::{Dashboard, visible};
use super::super::{address, page, short, shown};
use super::{class, run};
use crate::api::{TestName, TestNames};

/// So many tests, or failures, are listed.
const LISTED: usize = 200;

/// What is looked for.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
pub(in super::super) struct FindQuery {
    /// Tests of this repo.
    repo: Option<String>,
    /// With this in their name, whatever its case.
    q: Option<String>,
    /// Instead: failures with this signature.
    signature: Option<String>,
    /// `next_cursor` of the list before.
    cursor: Option<String>,
}

#[derive(Template)]
#[template(path = "tests.html")]
struct FindPage {
    query: FindQuery,
    list: TestNames,
}

impl FindPage {
    fn value<'a>(&self, field: &'a Option<String>) -> &'a str {
        given(field).unwrap_or_default()
    }

    fn at(&self, path: &str, cursor: &str) -> String {
        let value = |field| given(field).unwrap_or_default();
        let (repo, q) = (value(&self.query.repo), value(&self.query.q));
        let signature = value(&self.query.signature);
        address(path, &[("repo", repo), ("q", q), ("signature", signature), ("cursor", cursor)])
    }
}

async fn read(dashboard: &Dashboard, viewer: &Viewer, query: &FindQuery) -> Answer<TestNames> {
    let (repo, words) = (wanted(&query.repo), wanted(&query.q));
    let (signature, cursor) = (wanted(&query.signature), wanted(&query.cursor));
    let mut list = TestNames::default();
    let hidden = visible::eyes(dashboard, viewer).await?.hidden();
    let limit = LISTED as u32 + 1;
    if !signature.is_empty() {
        let bad = |_| Refusal::bad("`cursor` is not one of a list of failures");
        let before: Option<BuildId> =
            (!cursor.is_empty()).then(|| cursor.parse()).transpose().map_err(bad)?;
        let mut reader = dashboard.db().read().await?;
        let mut rows = test_results::alike(&mut reader, &signature, before, limit, &hidden).await?;
        drop(reader);
        if rows.len() > LISTED {
            // A build is listed whole, so that the next list begins with another.
            let last = rows.last().map(|row| row.build);
            if rows.first().map(|row| row.build) != last {
                rows.retain(|row| Some(row.build) != last);
            }
            list.next_cursor = rows.last().map(|row| row.build.to_string());
        }
        list.failures = rows.into_iter().map(run).collect();
    } else if !repo.is_empty() {
        let mut reader = dashboard.db().read().await?;
        let mut rows = test_results::find(&mut reader, &repo, &words, &cursor, limit, &hidden).await?;
        drop(reader);
        let more = rows.len() > LISTED;
        rows.truncate(LISTED);
        list.next_cursor = rows.last().filter(|_| more).map(|(id, _)| id.clone());
        list.tests = rows.into_iter().map(|(id, build)| TestName { id, build: build.to_string() }).collect();
    }
    Ok(list)
}

/// `GET /tests/find`
pub(in super::super) async fn find(
    State(dashboard): State<Dashboard>,
    viewer: Viewer,
    Query(query): Query<FindQuery>,
) -> Response {
    let answer = async { page(&FindPage { list: read(&dashboard, &viewer, &query).await?, query }) };
    shown(answer.await)
}

/// `GET /tests/find.json`
pub(in super::super) async fn twin(
    State(dashboard): State<Dashboard>,
    viewer: Viewer,
    Query(query): Query<FindQuery>,
) -> Answer<Json<TestNames>> {
    Ok(Json(read(&dashboard, &viewer, &query).await?))
}
