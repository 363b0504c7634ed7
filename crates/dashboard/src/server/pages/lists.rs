//! Lists of builds: all of them, and those of a commit.

use askama::Template;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use schemars::JsonSchema;
use serde::Deserialize;
use transport::Viewer;

use super::super::refusal::{Answer, Path, Query, Refusal};
use super::super::window::given;
use super::super::{Dashboard, builds, check_hash, check_name, repos, visible};
use super::{address, page, revision, short, shown, subject, took, until, word};
use crate::api::{BuildQuery, BuildSummary, CommitInfo, UnknownWord};

pub(super) const OUTCOMES: [&str; 5] = ["ok", "failed", "infra_failed", "cancelled", "skipped"];
const STATES: [&str; 6] = ["queued", "leased", "preparing", "running", "reporting", "done"];

/// What the form of the list sends; what is empty is as if it were not given.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
pub(super) struct ListQuery {
    /// Of this repo.
    pub(super) repo: Option<String>,
    /// Of this branch.
    pub(super) branch: Option<String>,
    /// Of this builder, where the path names none.
    pub(super) builder: Option<String>,
    /// As far as this.
    #[schemars(regex(pattern = "^(queued|leased|preparing|running|reporting|done)?$"))]
    pub(super) state: Option<String>,
    /// Ended like this.
    #[schemars(regex(pattern = "^(ok|failed|infra_failed|cancelled|skipped)?$"))]
    pub(super) outcome: Option<String>,
    /// `next_cursor` of the list before.
    #[schemars(regex(pattern = "^([0-7][0-9A-HJKMNP-TV-Z]{25})?$"))]
    pub(super) cursor: Option<String>,
}

impl ListQuery {
    pub(super) fn read(&self) -> Answer<BuildQuery> {
        let text = |field: &Option<String>| given(field).map(str::to_owned);
        let bad = |error: UnknownWord| Refusal::bad(error.to_string());
        Ok(BuildQuery {
            repo: text(&self.repo),
            branch: text(&self.branch),
            builder: text(&self.builder),
            commit: None,
            state: given(&self.state).map(str::parse).transpose().map_err(bad)?,
            outcome: given(&self.outcome).map(str::parse).transpose().map_err(bad)?,
            limit: None,
            cursor: text(&self.cursor),
        })
    }

    pub(super) fn at(&self, path: &str, cursor: &str) -> String {
        let value = |field| given(field).unwrap_or_default();
        let query = [
            ("repo", value(&self.repo)),
            ("branch", value(&self.branch)),
            ("builder", value(&self.builder)),
            ("state", value(&self.state)),
            ("outcome", value(&self.outcome)),
            ("cursor", cursor),
        ];
        address(path, &query)
    }
}

#[derive(Template)]
#[template(path = "builds.html")]
struct BuildsPage {
    query: ListQuery,
    builds: Vec<BuildSummary>,
    next: Option<String>,
}

impl BuildsPage {
    fn value<'a>(&self, field: &'a Option<String>) -> &'a str {
        given(field).unwrap_or_default()
    }
}

/// `GET /builds`
pub(super) async fn builds(
    State(dashboard): State<Dashboard>,
    viewer: Viewer,
    Query(query): Query<ListQuery>,
) -> Response {
    let answer = async {
        let list = builds::page(&dashboard, &viewer, query.read()?).await?;
        page(&BuildsPage { query, builds: list.builds, next: list.next_cursor })
    };
    shown(answer.await)
}

#[derive(Template)]
#[template(path = "commit.html")]
struct CommitPage {
    repo: String,
    commit: CommitInfo,
    /// Branches that have it on their line, or had.
    branches: Vec<(String, bool)>,
    builds: Vec<BuildSummary>,
}

/// `GET /commits/{repo}/{hash}` and its twin with `.json`
pub(super) async fn commit(
    State(dashboard): State<Dashboard>,
    viewer: Viewer,
    Path((repo, path)): Path<(String, String)>,
) -> Response {
    let query = |hash: &str| BuildQuery {
        repo: Some(repo.clone()),
        commit: Some(hash.to_owned()),
        limit: Some(1000),
        ..BuildQuery::default()
    };
    let (hash, twin) = path.strip_suffix(".json").map_or((&*path, false), |hash| (hash, true));
    let found = async {
        check_name("repo", &repo)?;
        check_hash(hash)?;
        let seen = visible::eyes(&dashboard, &viewer).await?.repo(&repo);
        let mut reader = dashboard.db().read().await?;
        let row = store::commits::many(&mut reader, &repo, &[hash]).await?.pop().filter(|_| seen);
        let row = row.ok_or_else(|| Refusal::not_found(format!("commit {hash} of {repo:?}")))?;
        let branches = store::branch_commits::of(&mut reader, &repo, hash).await?;
        drop(reader);
        Answer::Ok((row, branches, builds::page(&dashboard, &viewer, query(hash)).await?))
    };
    let found = found.await;
    if twin {
        return found.map(|(_, _, list)| Json(list)).into_response();
    }
    let answer = async {
        let (row, branches, list) = found?;
        let mut builds = list.builds;
        builds.sort_by(|a, b| a.builder.cmp(&b.builder));
        page(&CommitPage { commit: repos::commit_info(row), branches, builds, repo: repo.clone() })
    };
    shown(answer.await)
}
