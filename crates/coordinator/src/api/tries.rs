//! Try runs: a page of all, a page of each, and their JSON twins.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::builds::{self, BuildRow};
use store::try_changes::{self, TryChangeRow};
use store::try_runs::{self, TryRunRow};
use store::{Micros, TryRunId};
use transport::extract::{Path, Query};
use transport::operation::{UlidText, operation};
use transport::routes::get;
use transport::{Role, Routes, Viewer};

use super::pages::shown;
use super::{Answer, Api, Failure, visible};
use crate::tryrun::chosen::{LeftOut, Said};

/// So many are listed unless more are asked for.
const LISTED: u32 = 50;
/// The most that are listed.
const MOST: u32 = 500;
/// The most verdicts of a run that are shown.
const VERDICTS: i64 = 500;
/// Behind every id.
const NEWEST: &str = "ZZZZZZZZZZZZZZZZZZZZZZZZZZ";

/// What is listed.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct TryQuery {
    /// Of this change, as its forge names it: of a Gerrit `SERVER/PROJECT~NUMBER`, of GitHub `github.com/OWNER/REPO#NUMBER`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<String>,
    /// At most so many, 50 if not given, never more than 500.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 500))]
    pub limit: Option<u32>,
    /// `next_cursor` of the list before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<UlidText>")]
    pub cursor: Option<String>,
}

/// Answer of `GET /api/v1/tries`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TryList {
    /// The newest first.
    pub tries: Vec<TrySummary>,
    /// Where the list goes on, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// A try run.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TrySummary {
    /// Its id.
    #[schemars(with = "UlidText")]
    pub id: String,
    /// The change, as its forge names it.
    pub review: String,
    /// Its repo here.
    pub repo: String,
    /// The branch that it is to go to.
    pub branch: String,
    /// The patch set, from 1; 0 of a pull request, which has none.
    pub patch_set: i64,
    /// The one commit that was approved.
    pub commit: String,
    /// The change's subject.
    pub title: String,
    /// Who approved that commit.
    pub asked_by: String,
    /// `running`, `passed`, `failed`, `unknown` (none failed, and not all could be made) or `cancelled`.
    pub state: String,
    /// Whether the same commit may be asked for again: the answer, or the vote, has been there and is away.
    pub settled: bool,
    /// Why it was cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it began.
    pub began: Timestamp,
    /// When it was over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
}

/// Answer of `GET /api/v1/tries/{id}`: a try run with its builds.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TryRun {
    /// What there is to say of it as a whole.
    #[serde(flatten)]
    pub run: TrySummary,
    /// The digest of the configuration by whose rules its builds were chosen.
    pub rules: String,
    /// What it is tried with, as if that had landed too: what is built upon, depended on, or of its topic.
    pub with: Vec<TryWith>,
    /// Whether the builds of its own repo are made by the rules that the change brings: `bellwether.toml` as it would be after it.
    #[serde(default)]
    pub own_rules: bool,
    /// Builders that were asked for beside the usual ones.
    pub asked_for: Vec<String>,
    /// What was asked for and no builder serves.
    pub not_served: Vec<String>,
    /// What was asked for and is not known.
    pub unknown: Vec<String>,
    /// Its builds: those that failed first, then what is under way.
    pub builds: Vec<TryBuild>,
    /// Builders that make none, each with the reason.
    pub left_out: Vec<TryLeftOut>,
    /// Whose fault each failure is.
    #[serde(default)]
    pub verdicts: Vec<TryVerdict>,
}

/// Whose fault a failure of a try run is.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TryVerdict {
    /// The build that failed.
    #[schemars(with = "UlidText")]
    pub build: String,
    /// Its builder.
    pub builder: String,
    /// The test that failed; empty for the build as a whole.
    pub test: String,
    /// What the failure looks like.
    pub signature: String,
    /// `caused`, `flaky`, `broken_at_base`, `unknown` or `muted`; nothing while it is sought.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
    /// The same for people, with the numbers.
    pub sentence: String,
    /// What it is compared with.
    pub base: String,
    /// The builds that were made to tell.
    pub runs: Vec<TryRerun>,
}

/// A build that was made to tell whose fault a failure is.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TryRerun {
    /// Its id.
    #[schemars(with = "UlidText")]
    pub id: String,
    /// `changed` or `base`.
    pub place: String,
    /// How far it is.
    pub state: String,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
}

/// A change that another is tried with.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TryWith {
    /// The change, as its forge names it.
    pub review: String,
    /// Its repo here.
    pub repo: String,
    /// The branch that it is to go to.
    pub branch: String,
    /// The patch set, from 1.
    pub patch_set: i64,
    /// That patch set's commit.
    pub commit: String,
    /// Why: `chain` (built upon it), `depends` (`Depends-On:`) or `topic`.
    pub how: String,
    /// Whether somebody had approved that very patch set by itself.
    pub approved: bool,
}

/// A build of a try run.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TryBuild {
    /// Its id.
    #[schemars(with = "UlidText")]
    pub id: String,
    /// The builder.
    pub builder: String,
    /// The repo that is built, where it is not the change's own: one that is built against that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repo: Option<String>,
    /// The branch of the toolchain that it is built against.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub toolchain_branch: Option<String>,
    /// What is built.
    pub revision: String,
    /// How far it is.
    pub state: String,
    /// What became of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// When its first attempt began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// When it was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
}

/// A builder that does not build a change.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TryLeftOut {
    /// The builder.
    pub builder: String,
    /// The branch of the toolchain that it is left out against.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub against: Option<String>,
    /// Why.
    pub reason: String,
}

#[derive(askama::Template)]
#[template(path = "tries.html")]
struct TriesPage {
    list: TryList,
    query: TryQuery,
}

#[derive(askama::Template)]
#[template(path = "try.html")]
struct TryPage {
    run: TryRun,
}

pub(super) fn routes() -> Routes<Arc<Api>> {
    let lists = |name, path| {
        let operation = operation(name, "Lists try runs, the newest first.").query::<TryQuery>();
        (path, get(Role::Reader, list).about(operation.answers::<TryList>()))
    };
    let (path, of_api) = lists("list_tries", "/api/v1/tries");
    let routes = Routes::new().route(path, of_api);
    let (path, of_page) = lists("get_tries_page", "/tries.json");
    routes
        .route(path, of_page)
        .route(
            "/api/v1/tries/{id}",
            get(Role::Reader, one).about(
                operation("get_try", "Returns a try run with its builds.")
                    .part::<UlidText>("id", "The run's id.")
                    .answers::<TryRun>(),
            ),
        )
        .route("/tries", get(Role::Reader, page))
        .route(
            "/tries/{id}",
            get(Role::Reader, page_of).about(
                operation("get_try_page", "The same as `/api/v1/tries/{id}`.")
                    .at("/tries/{id}.json")
                    .part::<UlidText>("id", "The run's id.")
                    .answers::<TryRun>(),
            ),
        )
}

fn time(micros: Micros) -> Timestamp {
    Timestamp::from_microsecond(micros.0).unwrap_or_default()
}

fn summary(row: TryRunRow) -> TrySummary {
    TrySummary {
        id: row.id.to_string(),
        review: row.review,
        repo: row.repo,
        branch: row.branch,
        patch_set: row.patch_set,
        commit: row.commit,
        title: row.title,
        asked_by: row.asked_by,
        state: row.state,
        settled: row.settled,
        reason: row.reason,
        began: time(row.began),
        ended: row.ended.map(time),
    }
}

fn not_a_cursor() -> Failure {
    Failure::new(StatusCode::BAD_REQUEST, "bad_request", "`cursor` is not one of an answer of this list")
}

async fn listed(api: &Api, viewer: &Viewer, query: &TryQuery) -> Result<TryList, Failure> {
    let most = query.limit.unwrap_or(LISTED);
    if !(1..=MOST).contains(&most) {
        let message = format!("`limit` is {most}, and is from 1 to {MOST}");
        return Err(Failure::new(StatusCode::BAD_REQUEST, "bad_request", message));
    }
    let most = most as usize;
    let config = api.finder.config.borrow().clone();
    let mut reader = api.shared.ledger.db().read().await?;
    let mut before = match &query.cursor {
        Some(cursor) => cursor.parse::<TryRunId>().map_err(|_| not_a_cursor())?.to_string(),
        None => NEWEST.to_owned(),
    };
    let mut tries = Vec::new();
    let mut more = false;
    // What the viewer does not see is passed over, so that a page is full and its cursor tells nothing.
    loop {
        let rows = match &query.review {
            Some(review) => try_runs::of_review(&mut reader, review, &before, i64::from(MOST)).await?,
            None => try_runs::before(&mut reader, &before, i64::from(MOST)).await?,
        };
        let Some(last) = rows.last() else { break };
        before = last.id.to_string();
        let all = rows.len() < MOST as usize;
        let seen = rows.into_iter().filter(|row| visible::repo(&config, viewer, &row.repo));
        tries.extend(seen.take(most + 1 - tries.len()));
        if tries.len() > most {
            tries.truncate(most);
            more = true;
        }
        if more || all {
            break;
        }
    }
    let next_cursor = tries.last().filter(|_| more).map(|row| row.id.to_string());
    Ok(TryList { tries: tries.into_iter().map(summary).collect(), next_cursor })
}

async fn whole(api: &Api, viewer: &Viewer, id: &str) -> Result<TryRun, Failure> {
    let unknown = || Failure::not_found(format!("there is no try run {id}"));
    let id: TryRunId = id.parse().map_err(|_| unknown())?;
    let mut reader = api.shared.ledger.db().read().await?;
    let row = try_runs::get(&mut reader, id).await?.ok_or_else(unknown)?;
    let config = api.finder.config.borrow().clone();
    if !visible::repo(&config, viewer, &row.repo) {
        return Err(unknown());
    }
    let mut rows = Vec::new();
    for build in try_runs::builds(&mut reader, id).await? {
        rows.extend(builds::get(&mut reader, build).await?);
    }
    let with = try_changes::of_run(&mut reader, id).await?;
    let with = with.into_iter().filter(|one| one.how != try_changes::REFUSED);
    let with = with.filter(|one| visible::repo(&config, viewer, &one.repo)).map(of_change).collect();
    // What it is built against may be for others.
    rows.retain(|row| visible::revision(&config, viewer, &row.revision));
    rows.sort_by_key(|row| (order(row), row.builder.clone(), row.id));
    let said: Said = serde_json::from_str(&row.terms).unwrap_or_default();
    let left: Vec<LeftOut> = serde_json::from_str(&row.left_out).unwrap_or_default();
    let left =
        left.into_iter().map(|LeftOut { builder, against, reason }| TryLeftOut { builder, against, reason });
    let verdicts = verdicts(&mut reader, id, &rows).await?;
    Ok(TryRun {
        verdicts,
        rules: row.rules.clone(),
        with,
        own_rules: said.own_rules,
        builds: rows.into_iter().map(|build| of_row(build, &row.repo)).collect(),
        run: summary(row),
        asked_for: said.builders,
        not_served: said.missing,
        unknown: said.unknown,
        left_out: left.collect(),
    })
}

/// Whose fault the failures of those builds are that the viewer sees.
async fn verdicts(
    reader: &mut store::Reader,
    run: TryRunId,
    rows: &[BuildRow],
) -> Result<Vec<TryVerdict>, Failure> {
    let mut all = Vec::new();
    let mut last: Option<(store::AttemptId, Vec<TryRerun>)> = None;
    for row in store::verdicts::of_run(reader, run, VERDICTS).await? {
        if !rows.iter().any(|build| build.id == row.build) {
            continue;
        }
        let runs = match &last {
            Some((attempt, runs)) if *attempt == row.attempt => runs.clone(),
            _ => {
                let mut runs = Vec::new();
                for sample in store::samples::of_owner(reader, &row.attempt.to_string()).await? {
                    let Some(build) = builds::get(reader, sample.build).await? else { continue };
                    let (state, outcome) = (build.state, build.outcome);
                    runs.push(TryRerun { id: build.id.to_string(), place: sample.place, state, outcome });
                }
                last = Some((row.attempt, runs.clone()));
                runs
            }
        };
        all.push(TryVerdict {
            build: row.build.to_string(),
            builder: row.builder,
            test: row.test,
            signature: row.signature,
            verdict: row.verdict,
            sentence: row.sentence,
            base: row.base,
            runs,
        });
    }
    Ok(all)
}

/// What failed first, then what else is not well, what is under way, and what is well.
fn order(row: &BuildRow) -> u8 {
    match row.outcome.as_deref() {
        Some("failed") => 0,
        Some("ok") => 3,
        Some(_) => 1,
        None => 2,
    }
}

fn of_change(row: TryChangeRow) -> TryWith {
    let TryChangeRow { review, repo, branch, patch_set, commit, how, approved } = row;
    TryWith { review, repo, branch, patch_set, commit, how, approved }
}

fn of_row(row: BuildRow, own: &str) -> TryBuild {
    TryBuild {
        id: row.id.to_string(),
        repo: Some(row.repo).filter(|repo| repo != own),
        builder: row.builder,
        toolchain_branch: row.toolchain_branch,
        revision: row.revision,
        state: row.state,
        outcome: row.outcome,
        started: row.started.map(time),
        ended: row.ended.map(time),
    }
}

async fn list(State(api): State<Arc<Api>>, viewer: Viewer, Query(query): Query<TryQuery>) -> Answer<TryList> {
    Ok(Json(listed(&api, &viewer, &query).await?))
}

async fn one(State(api): State<Arc<Api>>, viewer: Viewer, Path(id): Path<String>) -> Answer<TryRun> {
    Ok(Json(whole(&api, &viewer, &id).await?))
}

/// `GET /tries`
async fn page(
    State(api): State<Arc<Api>>,
    viewer: Viewer,
    Query(query): Query<TryQuery>,
) -> Result<Response, Failure> {
    shown(&TriesPage { list: listed(&api, &viewer, &query).await?, query })
}

/// `GET /tries/{id}` and its twin `GET /tries/{id}.json`
async fn page_of(
    State(api): State<Arc<Api>>,
    viewer: Viewer,
    Path(path): Path<String>,
) -> Result<Response, Failure> {
    match path.strip_suffix(".json") {
        Some(id) => Ok(Json(whole(&api, &viewer, id).await?).into_response()),
        None => shown(&TryPage { run: whole(&api, &viewer, &path).await? }),
    }
}

// What the templates call.

/// A state by the words that have a sign and a colour.
fn word(state: &str) -> &str {
    match state {
        "passed" => "ok",
        "unknown" => "infra_failed",
        state => state,
    }
}

/// A verdict in words.
fn blame(verdict: &TryVerdict) -> String {
    verdict.verdict.as_deref().unwrap_or("being told").replace('_', " ")
}

/// The style of a verdict.
fn blame_class(verdict: &TryVerdict) -> &'static str {
    match verdict.verdict.as_deref() {
        Some("caused") => "failed",
        Some("unknown") => "infra_failed",
        Some(_) => "ok",
        None => "running",
    }
}

/// Whether something was built again at a place.
fn has(verdict: &TryVerdict, place: &str) -> bool {
    verdict.runs.iter().any(|run| run.place == place)
}

/// How a re-run stands, in a word.
fn rerun(run: &TryRerun) -> &str {
    run.outcome.as_deref().unwrap_or(&run.state)
}

/// How a build stands, in a word.
fn standing(build: &TryBuild) -> &str {
    build.outcome.as_deref().unwrap_or(&build.state)
}

/// Why a change is tried with another, in words.
fn why(how: &str) -> &str {
    match how {
        "chain" => "built upon",
        "depends" => "depended on",
        "topic" => "of the same topic",
        how => how,
    }
}

/// How long a run took, or `–`.
fn lasted(run: &TrySummary) -> String {
    took(&Some(run.began), &run.ended)
}

/// How long something took, or `–`.
fn took(started: &Option<Timestamp>, ended: &Option<Timestamp>) -> String {
    match (started, ended) {
        (Some(started), Some(ended)) => {
            webui::time::duration(ended.as_microsecond() - started.as_microsecond())
        }
        _ => "–".to_owned(),
    }
}

/// The first digits of a commit.
fn short(commit: &str) -> &str {
    commit.get(..10).unwrap_or(commit)
}

#[cfg(test)]
mod tests {
    use askama::Template as _;

    use super::*;

    fn run(state: &str) -> TryRun {
        TryRun {
            run: TrySummary {
                id: "01ARZ3NDEKTSV4RRFFQ69G5FAV".into(),
                review: "g/go~7".into(),
                repo: "go".into(),
                branch: "master".into(),
                patch_set: 2,
                commit: "7".repeat(40),
                title: "all: <b>be</b> bold".into(),
                asked_by: "Ann <1>".into(),
                state: state.into(),
                settled: false,
                reason: None,
                began: Timestamp::UNIX_EPOCH,
                ended: None,
            },
            rules: "d".into(),
            with: Vec::new(),
            own_rules: false,
            asked_for: Vec::new(),
            not_served: Vec::new(),
            unknown: vec!["<nope>".into()],
            builds: Vec::new(),
            left_out: Vec::new(),
            verdicts: Vec::new(),
        }
    }

    #[test]
    fn what_people_wrote_is_escaped() {
        let page = TryPage { run: run("running") }.render().unwrap();
        assert!(
            page.contains("all: &#60;b&#62;be&#60;/b&#62; bold") && page.contains("&#60;nope&#62;"),
            "{page}"
        );
        assert!(!page.contains("<b>") && !page.contains(" style="), "{page}");
        let list = TryList { tries: vec![run("passed").run], next_cursor: Some("X".into()) };
        let page = TriesPage { list, query: TryQuery::default() }.render().unwrap();
        assert!(
            page.contains("&#60;b&#62;") && page.contains("✓ passed") && page.contains("cursor=X"),
            "{page}"
        );
    }
}
