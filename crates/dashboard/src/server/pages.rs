//! Pages, rendered here: they work without scripts, and each has its JSON twin, which is the API's own answer.

use askama::Template;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use futures::TryStreamExt as _;
use http::{StatusCode, header};
use jiff::Timestamp;
use transport::routes::get;
use transport::{Role, Routes, Viewer};

use super::cells::{WindowQuery, read_window};
use super::refusal::{Answer, Path, Query, Refusal};
use super::{Dashboard, builds, check_hash, files, logs, logstore, repos, visible};
use crate::api::{
    Artifact, AttemptReport, BranchInfo, BuildQuery, BuildReport, BuildState, BuildSummary, Cell, CellState,
    CellWindow, CommitInfo, LogInfo, Outcome, RepoInfo, Span,
};

/// How much of a log's end is in a page, so that its first paint does not depend on the log's size.
const SHOWN_LOG: u64 = 32 << 10;

/// Nothing of a page comes from elsewhere, and nothing in it is a script or a style.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
    img-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// Routes of the pages.
pub(super) fn routes() -> Routes<Dashboard> {
    Routes::new()
        .route("/", get(Role::Reader, grid))
        .route("/grid", get(Role::Reader, grid))
        .route("/grid.json", get(Role::Reader, grid_json))
        .route("/builds/{id}", get(Role::Reader, build))
        .route("/builders/{name}", get(Role::Reader, builder))
        .route("/commits/{repo}/{hash}", get(Role::Reader, commit))
}

fn page(template: &impl Template) -> Answer<Response> {
    let text = template.render().map_err(|error| Refusal::internal(error.to_string()))?;
    Ok(html(StatusCode::OK, text))
}

fn html(status: StatusCode, text: String) -> Response {
    let head = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (status, head, text).into_response()
}

#[derive(Template)]
#[template(path = "missing.html")]
struct MissingPage {
    message: String,
}

/// Shows a person what a program gets as JSON.
fn shown(answer: Answer<Response>) -> Response {
    match answer {
        Ok(page) => page,
        Err(refusal) if refusal.status.is_client_error() => {
            let text = MissingPage { message: refusal.message.clone() }.render();
            text.map_or_else(|_| refusal.status.into_response(), |text| html(refusal.status, text))
        }
        Err(refusal) => refusal.into_response(),
    }
}

#[derive(Template)]
#[template(path = "grid.html")]
struct GridPage {
    repos: Vec<RepoInfo>,
    window: Option<CellWindow>,
}

impl GridPage {
    /// Returns the cells of a builder in a row: more than one where a repo is built against several branches.
    fn of<'a>(&self, cells: &'a [Cell], builder: &str) -> Vec<&'a Cell> {
        cells.iter().filter(|cell| cell.builder == builder).collect()
    }

    fn chosen(&self, repo: &RepoInfo, branch: &BranchInfo) -> bool {
        self.window.as_ref().is_some_and(|window| window.repo == repo.name && window.branch == branch.name)
    }
}

/// `GET /` and `GET /grid`
async fn grid(
    State(dashboard): State<Dashboard>,
    viewer: Viewer,
    Query(query): Query<WindowQuery>,
) -> Response {
    let answer = async {
        let repos = repos::all(&dashboard, &viewer).await?;
        let window = match read_window(&dashboard, &viewer, &query).await {
            Ok(window) => Some(window),
            Err(refusal) if refusal.status == StatusCode::NOT_FOUND && query.repo.is_none() => None,
            Err(refusal) => return Err(refusal),
        };
        page(&GridPage { repos, window })
    };
    shown(answer.await)
}

/// `GET /grid.json`
async fn grid_json(
    State(dashboard): State<Dashboard>,
    viewer: Viewer,
    Query(query): Query<WindowQuery>,
) -> Answer<Json<CellWindow>> {
    Ok(Json(read_window(&dashboard, &viewer, &query).await?))
}

#[derive(Template)]
#[template(path = "build.html")]
struct BuildPage {
    build: BuildReport,
    log: Option<ShownLog>,
    artifacts: Vec<Artifact>,
    attempts: Vec<AttemptReport>,
    /// What the forms of orders carry, for those who may give them.
    orders: Option<String>,
}

/// The end of a build's log.
struct ShownLog {
    info: LogInfo,
    /// Offset of the first byte that is shown.
    from: u64,
    text: String,
}

/// `GET /builds/{id}` and its twin `GET /builds/{id}.json`
async fn build(State(dashboard): State<Dashboard>, viewer: Viewer, Path(path): Path<String>) -> Response {
    if let Some(build) = path.strip_suffix(".json") {
        return builds::with_failure(&dashboard, &viewer, build).await.map(Json).into_response();
    }
    let answer = async {
        let build = builds::with_failure(&dashboard, &viewer, &path).await?;
        let id = build.id.parse().map_err(|_| Refusal::internal("a build without an id"))?;
        let log = match logs::log_of_build(&dashboard, &viewer, &path).await {
            Ok(log) => Some(shown_log(&dashboard, log).await?),
            Err(refusal) if refusal.status == StatusCode::NOT_FOUND => None,
            Err(refusal) => return Err(refusal),
        };
        let artifacts = files::of_build(&dashboard, id).await?;
        let attempts = build.attempts.iter().rev().cloned().collect();
        let orders = orders(&viewer, &build);
        page(&BuildPage { build, log, artifacts, attempts, orders })
    };
    shown(answer.await)
}

/// What the forms of orders carry, if somebody who is signed in may give orders to a build.
fn orders(viewer: &Viewer, build: &BuildReport) -> Option<String> {
    let may = viewer.role.may(Role::Developer) && viewer.may_order(&build.repo);
    viewer.csrf.as_deref().filter(|_| may).map(str::to_owned)
}

async fn shown_log(dashboard: &Dashboard, log: store::logs::LogRow) -> Answer<ShownLog> {
    let end = log.bytes as u64;
    let mut from = end.saturating_sub(SHOWN_LOG);
    let pieces: Vec<_> = logstore::read(dashboard, log.attempt, from, end).try_collect().await?;
    let bytes: Vec<u8> = pieces.iter().flat_map(|piece| piece.bytes.iter().copied()).collect();
    // Begin at a line's beginning if one is near.
    let skip =
        if from == 0 { 0 } else { bytes.iter().take(4096).position(|b| *b == b'\n').map_or(0, |at| at + 1) };
    from += skip as u64;
    let text = String::from_utf8_lossy(&bytes[skip..]).into_owned();
    Ok(ShownLog { info: logs::info(&log), from, text })
}

#[derive(Template)]
#[template(path = "builds.html")]
struct BuildsPage {
    title: String,
    twin: String,
    commit: Option<CommitInfo>,
    builds: Vec<BuildSummary>,
}

/// `GET /builders/{name}` and its twin `GET /builders/{name}.json`
async fn builder(State(dashboard): State<Dashboard>, viewer: Viewer, Path(path): Path<String>) -> Response {
    let query = |builder: &str| BuildQuery { builder: Some(builder.to_owned()), ..BuildQuery::default() };
    if let Some(builder) = path.strip_suffix(".json") {
        return builds::page(&dashboard, &viewer, query(builder)).await.map(Json).into_response();
    }
    let answer = async {
        let builds = builds::page(&dashboard, &viewer, query(&path)).await?.builds;
        let eyes = visible::eyes(&dashboard, &viewer).await?;
        let known = dashboard.config().builders().iter().any(|builder| {
            let seen = builder.scope.as_ref().is_none_or(|repo| eyes.repo(repo.as_str()));
            builder.name.as_str() == path && seen
        });
        if builds.is_empty() && !known {
            return Err(Refusal::not_found(format!("builder {path:?}")));
        }
        page(&BuildsPage { twin: format!("{path}.json"), title: path.clone(), commit: None, builds })
    };
    shown(answer.await)
}

/// `GET /commits/{repo}/{hash}` and its twin with `.json`
async fn commit(
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
    if let Some(hash) = path.strip_suffix(".json") {
        return builds::page(&dashboard, &viewer, query(hash)).await.map(Json).into_response();
    }
    let answer = async {
        check_hash(&path)?;
        let mut reader = dashboard.db().read().await?;
        let row = store::commits::many(&mut reader, &repo, &[&path]).await?.pop();
        drop(reader);
        let seen = visible::eyes(&dashboard, &viewer).await?.repo(&repo);
        let row = row.filter(|_| seen);
        let row = row.ok_or_else(|| Refusal::not_found(format!("commit {path} of {repo:?}")))?;
        let builds = builds::page(&dashboard, &viewer, query(&path)).await?.builds;
        let title = format!("{repo} {}", short(&path));
        let commit = Some(repos::commit_info(row));
        page(&BuildsPage { twin: format!("{path}.json"), title, commit, builds })
    };
    shown(answer.await)
}

// What the templates call.

fn short(hash: &str) -> &str {
    hash.get(..8).unwrap_or(hash)
}

fn first_line(message: &str) -> &str {
    message.lines().next().unwrap_or_default()
}

/// A state or outcome as a word that is also the name of its style.
fn word(state: &BuildState, outcome: &Option<Outcome>) -> &'static str {
    outcome.map_or_else(|| state.as_str(), Outcome::as_str)
}

/// A sign beside the word, so that colour is never all there is.
fn sign(state: &BuildState, outcome: &Option<Outcome>) -> &'static str {
    match (outcome, state) {
        (Some(Outcome::Ok), _) => "✓",
        (Some(Outcome::Failed), _) => "✗",
        (Some(Outcome::InfraFailed), _) => "!",
        (Some(Outcome::Cancelled), _) => "⊘",
        (Some(Outcome::Skipped), _) => "–",
        (None, BuildState::Queued) => "…",
        (None, _) => "▸",
    }
}

fn empty_word(state: &CellState) -> &'static str {
    match state {
        CellState::Build | CellState::None => "",
        CellState::Due => "due",
        CellState::Blocked => "blocked",
        CellState::LeftOut => "left out",
    }
}

fn style(state: &CellState) -> &'static str {
    match state {
        CellState::LeftOut => "left_out",
        CellState::None => "none",
        other => empty_word(other),
    }
}

fn took(start: &Option<Timestamp>, end: &Option<Timestamp>) -> String {
    let (Some(start), Some(end)) = (start, end) else { return String::new() };
    duration(end.as_microsecond() - start.as_microsecond())
}

fn duration(micros: i64) -> String {
    let millis = micros.max(0) / 1000;
    match millis {
        0..1000 => format!("{millis} ms"),
        1000..60_000 => format!("{}.{} s", millis / 1000, millis % 1000 / 100),
        60_000..3_600_000 => format!("{} min {} s", millis / 60_000, millis / 1000 % 60),
        _ => format!("{} h {} min", millis / 3_600_000, millis / 60_000 % 60),
    }
}

fn span_took(span: &Span) -> String {
    took(&Some(span.start), &span.end)
}

fn when(at: &Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

fn when_us(us: &i64) -> String {
    when(&Timestamp::from_microsecond(*us).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_readable() {
        for (micros, text) in [
            (-5, "0 ms"),
            (999_999, "999 ms"),
            (1_250_000, "1.2 s"),
            (61_000_000, "1 min 1 s"),
            (3_660_000_000, "1 h 1 min"),
        ] {
            assert_eq!(duration(micros), text);
        }
    }
}
