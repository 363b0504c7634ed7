//! Failures, grouped by what builds have in common that failed alike.

use askama::Template;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use schemars::JsonSchema;
use serde::Deserialize;
use store::failures::FailureRow;
use store::{BuildId, Conn, Micros, failures};
use transport::Viewer;

use super::super::refusal::{Answer, Path, Query, Refusal};
use super::super::window::{given, wanted};
use super::super::{Dashboard, time, visible};
use super::{address, page, short, shown};
use crate::api::{AlikeBuild, FailureGroup};

/// Failures of so many days are grouped.
const DAYS: i64 = 30;
/// So many groups, and so many builds of one, are listed.
const LISTED: u32 = 100;

/// Query of the groups.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
pub(super) struct GroupsQuery {
    /// Of this repo.
    repo: Option<String>,
}

#[derive(Template)]
#[template(path = "failures.html")]
struct GroupsPage {
    groups: Vec<FailureGroup>,
    query: GroupsQuery,
}

impl GroupsPage {
    fn repo(&self) -> &str {
        given(&self.query.repo).unwrap_or_default()
    }
}

async fn read(dashboard: &Dashboard, viewer: &Viewer, query: &GroupsQuery) -> Answer<Vec<FailureGroup>> {
    let hidden = visible::eyes(dashboard, viewer).await?.hidden();
    let since = Micros(Micros::now().0 - DAYS * 86_400_000_000);
    let since = BuildId::new(since, &mut |to| to.fill(0));
    let mut reader = dashboard.db().read().await?;
    let groups = failures::groups(&mut reader, &wanted(&query.repo), since, LISTED, &hidden).await?;
    let newest: Vec<String> = groups.iter().map(|group| group.last.to_string()).collect();
    let named = any_repo(&mut reader, &newest).await?;
    let shown = groups.into_iter().filter_map(|group| {
        let of = named.iter().find(|failure| failure.build == group.last)?;
        Some(FailureGroup {
            signature: group.signature,
            repo: of.repo.clone(),
            headline: of.test.clone().unwrap_or_else(|| of.headline.clone()),
            builds: group.builds,
            builders: group.builders,
            branches: group.branches,
            first: time(group.first.time()),
            last: time(group.last.time()),
            build: group.last.to_string(),
        })
    });
    Ok(shown.collect())
}

/// Reads failures of builds of any repo.
async fn any_repo(reader: &mut impl Conn, builds: &[String]) -> Answer<Vec<FailureRow>> {
    let builds: Vec<&str> = builds.iter().map(String::as_str).collect();
    Ok(failures::of_builds(reader, &builds).await?)
}

/// `GET /failures`
pub(super) async fn groups(
    State(dashboard): State<Dashboard>,
    viewer: Viewer,
    Query(query): Query<GroupsQuery>,
) -> Response {
    let answer = async { page(&GroupsPage { groups: read(&dashboard, &viewer, &query).await?, query }) };
    shown(answer.await)
}

/// `GET /failures.json`
pub(super) async fn groups_twin(
    State(dashboard): State<Dashboard>,
    viewer: Viewer,
    Query(query): Query<GroupsQuery>,
) -> Answer<Json<Vec<FailureGroup>>> {
    Ok(Json(read(&dashboard, &viewer, &query).await?))
}

#[derive(Template)]
#[template(path = "alike.html")]
struct AlikePage {
    signature: String,
    headline: String,
    builds: Vec<AlikeBuild>,
    whole: bool,
}

/// `GET /failures/{signature}` and its twin with `.json`
pub(super) async fn alike(
    State(dashboard): State<Dashboard>,
    viewer: Viewer,
    Path(path): Path<String>,
) -> Response {
    let signature = path.strip_suffix(".json").unwrap_or(&path).replace('\0', "");
    let builds = async {
        let hidden = visible::eyes(&dashboard, &viewer).await?.hidden();
        let mut reader = dashboard.db().read().await?;
        let rows = failures::alike(&mut reader, &signature, None, LISTED, &hidden).await?;
        if rows.is_empty() {
            return Err(Refusal::not_found(format!("failure {signature:?}")));
        }
        Ok(rows.into_iter().map(info).collect::<Vec<_>>())
    };
    if path.ends_with(".json") {
        return builds.await.map(Json).into_response();
    }
    let answer = async {
        let builds = builds.await?;
        let named = builds.first().map(|one| one.test.clone().unwrap_or_else(|| one.headline.clone()));
        let whole = builds.len() < LISTED as usize;
        page(&AlikePage { headline: named.unwrap_or_default(), signature: signature.clone(), builds, whole })
    };
    shown(answer.await)
}

fn info(row: FailureRow) -> AlikeBuild {
    AlikeBuild {
        made: time(row.build.time()),
        build: row.build.to_string(),
        repo: row.repo,
        branch: row.branch,
        builder: row.builder,
        commit: row.subject,
        test: row.test,
        headline: row.headline,
        line: row.line,
    }
}
