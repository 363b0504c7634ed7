//! Bisections: a page of all, a page of each, and their JSON twins.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::bisections::{self, BisectionRow};
use store::builds::{self, BuildRow};
use store::{BisectionId, Micros, samples};
use transport::extract::{Path, Query};
use transport::operation::{UlidText, operation};
use transport::routes::get;
use transport::{Role, Routes, Viewer};

use super::pages::shown;
use super::{Answer, Api, Failure, visible};
use crate::culprits::Doc;

/// So many are listed unless more are asked for.
const LISTED: u32 = 50;
/// The most that are listed.
const MOST: u32 = 500;
/// Behind every id.
const NEWEST: &str = "ZZZZZZZZZZZZZZZZZZZZZZZZZZ";

/// What is listed.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct BisectionQuery {
    /// At most so many, 50 if not given, never more than 500.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 500))]
    pub limit: Option<u32>,
    /// `next_cursor` of the list before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<UlidText>")]
    pub cursor: Option<String>,
}

/// Answer of `GET /api/v1/bisections`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct BisectionList {
    /// The newest first.
    pub bisections: Vec<BisectionSummary>,
    /// Where the list goes on, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// The search for the commit that broke a builder.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct BisectionSummary {
    /// Its id.
    #[schemars(with = "UlidText")]
    pub id: String,
    /// The builder that broke.
    pub builder: String,
    /// The repo whose commits are searched.
    pub repo: String,
    /// Their branch.
    pub branch: String,
    /// The test that failed; empty for the build as a whole.
    pub test: String,
    /// `confirming`, `running` or `done`.
    pub state: String,
    /// `culprit`, `one_of` (and which can't be tested), `builder` (it broke for reasons of its own), `gone`, `gave_up`, `flake` (it went well
    /// when it was built once more) or `failed` (it can't be searched), once it is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// The commit that broke it, if it was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub culprit: Option<String>,
    /// The answer for people.
    pub sentence: String,
    /// When it began.
    pub began: Timestamp,
    /// When it was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
}

/// Answer of `GET /api/v1/bisections/{id}`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct BisectionWhole {
    /// What there is to say of it as a whole.
    #[serde(flatten)]
    pub summary: BisectionSummary,
    /// The build that failed first.
    #[schemars(with = "UlidText")]
    pub build: String,
    /// What the failure looks like.
    pub signature: String,
    /// The commits of the range, newest first: the last went well.
    pub commits: Vec<BisectionCommit>,
}

/// A commit of the range of a bisection.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct BisectionCommit {
    /// 40 digits.
    pub commit: String,
    /// The first line of its message.
    pub title: String,
    /// Who wrote it.
    pub author: String,
    /// The builds that were made of it.
    pub builds: Vec<BisectionBuild>,
}

/// A build that a bisection had made.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct BisectionBuild {
    /// Its id.
    #[schemars(with = "UlidText")]
    pub id: String,
    /// How far it is.
    pub state: String,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
}

#[derive(askama::Template)]
#[template(path = "bisections.html")]
struct BisectionsPage {
    list: BisectionList,
}

#[derive(askama::Template)]
#[template(path = "bisection.html")]
struct BisectionPage {
    one: BisectionWhole,
}

pub(super) fn routes() -> Routes<Arc<Api>> {
    let lists = |name, path| {
        let operation = operation(name, "Lists bisections, the newest first.").query::<BisectionQuery>();
        (path, get(Role::Reader, list).about(operation.answers::<BisectionList>()))
    };
    let (path, of_api) = lists("list_bisections", "/api/v1/bisections");
    let routes = Routes::new().route(path, of_api);
    let (path, of_page) = lists("get_bisections_page", "/bisections.json");
    routes
        .route(path, of_page)
        .route(
            "/api/v1/bisections/{id}",
            get(Role::Reader, one).about(
                operation("get_bisection", "Returns a bisection with its range and builds.")
                    .part::<UlidText>("id", "The bisection's id.")
                    .answers::<BisectionWhole>(),
            ),
        )
        .route("/bisections", get(Role::Reader, page))
        .route(
            "/bisections/{id}",
            get(Role::Reader, page_of).about(
                operation("get_bisection_page", "The same as `/api/v1/bisections/{id}`.")
                    .at("/bisections/{id}.json")
                    .part::<UlidText>("id", "The bisection's id.")
                    .answers::<BisectionWhole>(),
            ),
        )
}

fn time(micros: Micros) -> Timestamp {
    Timestamp::from_microsecond(micros.0).unwrap_or_default()
}

fn summary(row: BisectionRow) -> BisectionSummary {
    BisectionSummary {
        id: row.id.to_string(),
        builder: row.builder,
        repo: row.repo,
        branch: row.branch,
        test: row.test,
        state: row.state,
        answer: row.answer,
        culprit: row.culprit,
        sentence: row.sentence,
        began: time(row.began),
        ended: row.ended.map(time),
    }
}

/// Whether the viewer may know of it: of its repo, and of what that is built with.
fn seen(config: &buildenv::Config, viewer: &Viewer, row: &BisectionRow) -> bool {
    let doc = serde_json::from_str::<Doc>(&row.doc);
    let rest = doc.map(|doc| doc.rest).unwrap_or_default();
    visible::revision(config, viewer, &format!("{}@{rest}", row.repo))
}

async fn listed(api: &Api, viewer: &Viewer, query: &BisectionQuery) -> Result<BisectionList, Failure> {
    let most = query.limit.unwrap_or(LISTED);
    if !(1..=MOST).contains(&most) {
        let message = format!("`limit` is {most}, and is from 1 to {MOST}");
        return Err(Failure::new(StatusCode::BAD_REQUEST, "bad_request", message));
    }
    let most = most as usize;
    let not_one = || {
        Failure::new(StatusCode::BAD_REQUEST, "bad_request", "`cursor` is not one of an answer of this list")
    };
    let mut before = match &query.cursor {
        Some(cursor) => cursor.parse::<BisectionId>().map_err(|_| not_one())?.to_string(),
        None => NEWEST.to_owned(),
    };
    let config = api.finder.config.borrow().clone();
    let mut reader = api.shared.ledger.db().read().await?;
    let mut found = Vec::new();
    // What the viewer does not see is passed over, so that a page is full and its cursor tells nothing.
    loop {
        let rows = bisections::before(&mut reader, &before, i64::from(MOST)).await?;
        let Some(last) = rows.last() else { break };
        before = last.id.to_string();
        let all = rows.len() < MOST as usize;
        found.extend(rows.into_iter().filter(|row| seen(&config, viewer, row)).take(most + 1 - found.len()));
        if all || found.len() > most {
            break;
        }
    }
    let more = found.len() > most;
    found.truncate(most);
    let next_cursor = found.last().filter(|_| more).map(|row| row.id.to_string());
    Ok(BisectionList { bisections: found.into_iter().map(summary).collect(), next_cursor })
}

async fn whole(api: &Api, viewer: &Viewer, id: &str) -> Result<BisectionWhole, Failure> {
    let unknown = || Failure::not_found(format!("there is no bisection {id}"));
    let id: BisectionId = id.parse().map_err(|_| unknown())?;
    let config = api.finder.config.borrow().clone();
    let mut reader = api.shared.ledger.db().read().await?;
    let row = bisections::get(&mut reader, id).await?.ok_or_else(unknown)?;
    if !seen(&config, viewer, &row) {
        return Err(unknown());
    }
    let mut made: Vec<BuildRow> = Vec::new();
    for sample in samples::of_owner(&mut reader, &id.to_string()).await? {
        made.extend(builds::get(&mut reader, sample.build).await?);
    }
    let doc: Option<Doc> = serde_json::from_str(&row.doc).ok();
    let commits = doc.as_ref().map(|doc| doc.commits.clone()).unwrap_or_default();
    let of = |hash: &str| {
        let revision = doc.as_ref().map(|doc| doc.revision(&row.repo, hash)).unwrap_or_default();
        let builds = made.iter().filter(|build| build.revision == revision);
        builds
            .map(|build| BisectionBuild {
                id: build.id.to_string(),
                state: build.state.clone(),
                outcome: build.outcome.clone(),
            })
            .collect()
    };
    let commits = commits.into_iter().rev().map(|one| BisectionCommit {
        builds: of(&one.hash),
        commit: one.hash,
        title: one.title,
        author: one.author,
    });
    Ok(BisectionWhole {
        commits: commits.collect(),
        build: row.build.to_string(),
        signature: row.signature.clone(),
        summary: summary(row.clone()),
    })
}

async fn list(
    State(api): State<Arc<Api>>,
    viewer: Viewer,
    Query(query): Query<BisectionQuery>,
) -> Answer<BisectionList> {
    Ok(Json(listed(&api, &viewer, &query).await?))
}

async fn one(State(api): State<Arc<Api>>, viewer: Viewer, Path(id): Path<String>) -> Answer<BisectionWhole> {
    Ok(Json(whole(&api, &viewer, &id).await?))
}

/// `GET /bisections`
async fn page(
    State(api): State<Arc<Api>>,
    viewer: Viewer,
    Query(query): Query<BisectionQuery>,
) -> Result<Response, Failure> {
    shown(&BisectionsPage { list: listed(&api, &viewer, &query).await? })
}

/// `GET /bisections/{id}` and its twin `GET /bisections/{id}.json`
async fn page_of(
    State(api): State<Arc<Api>>,
    viewer: Viewer,
    Path(path): Path<String>,
) -> Result<Response, Failure> {
    match path.strip_suffix(".json") {
        Some(id) => Ok(Json(whole(&api, &viewer, id).await?).into_response()),
        None => shown(&BisectionPage { one: whole(&api, &viewer, &path).await? }),
    }
}

// What the templates call.

/// An answer in words, or how far it is.
fn word(one: &BisectionSummary) -> &str {
    match one.answer.as_deref() {
        Some("culprit") => "found",
        Some("one_of") => "one of several",
        Some("builder") => "not the code",
        Some("gave_up") => "gave up",
        Some(answer) => answer,
        None => &one.state,
    }
}

/// The style of an answer.
fn class(one: &BisectionSummary) -> &'static str {
    match one.answer.as_deref() {
        Some("culprit") => "failed",
        Some("builder" | "failed" | "gave_up" | "one_of") => "infra_failed",
        Some(_) => "ok",
        None => "running",
    }
}

/// How a build stands, in a word.
fn standing(build: &BisectionBuild) -> &str {
    build.outcome.as_deref().unwrap_or(&build.state)
}

/// The first digits of a commit.
fn short(commit: &str) -> &str {
    commit.get(..10).unwrap_or(commit)
}
