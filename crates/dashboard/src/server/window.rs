//! A window of the grid: some commits of a branch, some of its columns, and what is known of each cell.
//!
//! However many builders and commits there are, a window costs a fixed number of statements: the page of columns is
//! chosen first, and builds are asked for by commit and column.

use std::collections::{HashMap, HashSet};

use axum::Json;
use axum::extract::State;
use buildenv::Config;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::branch_commits::Place;
use store::branches::BranchRow;
use store::commits::CommitRow;
use store::results::ResultRow;
use store::{Reader, branch_commits, commits, results};
use transport::Viewer;

use super::cells::{Heads, revision};
use super::plan::{Pairing, Planned, plan};
use super::refusal::{Answer, Query, Refusal};
use super::visible::Eyes;
use super::{Dashboard, builds, repos, since, visible};
use crate::api::{Cell, CellRow, CellState, CellWindow, LeftOut};

/// Commits, if not said otherwise.
const COMMITS: u32 = 30;
/// The most commits of a window.
const MOST_COMMITS: u32 = 500;
/// The most columns of a window.
pub(super) const COLUMNS: usize = 100;
/// Up to so many configured builders, those that are no longer configured and have builds get a column as well.
const FEW: usize = 300;
/// So many commits are looked at for those of an author.
const LOOKED_AT: usize = 2000;
/// So many builders that are left out are named.
const LEFT_OUT: usize = 200;

/// The states that can be asked for.
pub(super) const STATES: [&str; 9] =
    ["ok", "failed", "infra_failed", "running", "queued", "due", "blocked", "cancelled", "skipped"];

/// Query of a window of cells. What is empty is as if it were not given, because that is how a form sends it.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
pub(super) struct WindowQuery {
    /// The repo; the first one with commits if not given.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub(super) repo: Option<String>,
    /// The branch; the default one if not given.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub(super) branch: Option<String>,
    /// Repo and branch in one, with a space between, as the form's list has them.
    #[serde(default, skip_serializing)]
    pub(super) on: Option<String>,
    /// Only builders that a pattern with `*`, or a part of their name, fits.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub(super) builder: Option<String>,
    /// Only commits in whose author's name or address this is.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub(super) author: Option<String>,
    /// Only cells in this state.
    #[serde(default, skip_serializing_if = "is_empty")]
    #[schemars(extend("enum" = ["", "ok", "failed", "infra_failed", "running", "queued", "due", "blocked", "cancelled", "skipped"]))]
    pub(super) state: Option<String>,
    /// Commits, 30 if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 500))]
    pub(super) limit: Option<u32>,
    /// Commits older than this place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) before: Option<i64>,
    /// The first column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) column: Option<usize>,
    /// Whether builders that the configuration leaves out have columns.
    #[serde(default, skip_serializing)]
    pub(super) left_out: Option<bool>,
}

fn is_empty(text: &Option<String>) -> bool {
    given(text).is_none()
}

/// Returns what was given, if it was.
pub(super) fn given(text: &Option<String>) -> Option<&str> {
    text.as_deref().map(str::trim).filter(|text| !text.is_empty())
}

/// The same for a statement: PostgreSQL takes no NUL in a text.
pub(super) fn wanted(text: &Option<String>) -> String {
    given(text).unwrap_or_default().replace('\0', "\u{fffd}")
}

/// `GET /api/v1/cells`
pub(super) async fn window(
    State(dashboard): State<Dashboard>,
    viewer: Viewer,
    Query(mut query): Query<WindowQuery>,
) -> Answer<Json<CellWindow>> {
    query.left_out = query.left_out.or(Some(true));
    Ok(Json(read_window(&dashboard, &viewer, &query).await?))
}

/// A commit's place in a window.
struct Row {
    place: Place,
    commit: CommitRow,
    /// How many reachable commits are above it, if it is reachable.
    at: Option<u32>,
}

/// Reads commits of a branch and their cells, as far as they exist for the viewer.
pub(super) async fn read_window(
    dashboard: &Dashboard,
    viewer: &Viewer,
    query: &WindowQuery,
) -> Answer<CellWindow> {
    if let Some(state) = given(&query.state).filter(|state| !STATES.contains(state)) {
        return Err(Refusal::bad(format!("`state` is {state:?}; it is one of {}", STATES.join(", "))));
    }
    let config = dashboard.config();
    let eyes = visible::eyes(dashboard, viewer).await?;
    let mut reader = dashboard.db().read().await?;
    let heads = Heads {
        repos: store::repos::list(&mut reader).await?,
        branches: store::branches::list(&mut reader).await?,
    };
    let branch = chosen(&heads, query, &eyes)?;
    let (repo, name) = (&*branch.repo, &*branch.branch);
    let (places, older) = read_places(&mut reader, branch, query).await?;
    let newer = newer(&mut reader, branch, query, &places).await?;
    let hashes: Vec<&str> = places.iter().map(|row| row.place.hash.as_str()).collect();
    let row = heads.repo(repo);
    let default = row.and_then(|repo| repo.default_branch.as_deref());
    let mut planned = plan(&config, repo, name, default, |repo| heads.live(repo));
    if config.toolchain_of(repo).is_some_and(|toolchain| !eyes.repo(toolchain.name.as_str())) {
        // Its builds are as hidden as what they are made with.
        (planned.pairings, planned.blocked) = (Vec::new(), None);
    }
    let mut names = configured(&planned, query.left_out.unwrap_or(false));
    let few = names.len() <= FEW;
    let mut found = Vec::new();
    if few {
        found = results::of_subjects(&mut reader, repo, &hashes).await?;
        found.retain(|row| eyes.revision(&row.revision));
        names.extend(found.iter().map(|row| row.builder.clone()));
        names.sort();
        names.dedup();
    }
    if let Some(pattern) = given(&query.builder) {
        names.retain(|name| fits(pattern, name));
    }
    let columns = names.len();
    let first = query.column.unwrap_or(0).min(columns.saturating_sub(1)) / COLUMNS * COLUMNS;
    let mut page: Vec<String> = names.into_iter().skip(first).take(COLUMNS).collect();
    let shown: HashSet<&str> = page.iter().map(String::as_str).collect();
    if few {
        found.retain(|row| shown.contains(row.builder.as_str()));
    } else {
        let columns: Vec<&str> = page.iter().map(String::as_str).collect();
        found = results::of_columns(&mut reader, repo, &hashes, &columns).await?;
        found.retain(|row| eyes.revision(&row.revision));
    }
    let mut builds: HashMap<String, Vec<ResultRow>> = HashMap::new();
    for row in found {
        builds.entry(row.subject.clone()).or_default().push(row);
    }
    let blocked = blocked(&config, &heads, repo, &planned);
    let left_out = if query.left_out.unwrap_or(false) { Vec::new() } else { left_out(&planned, query) };
    for pairing in &mut planned.pairings {
        pairing.builders.retain(|name| shown.contains(name.as_str()));
        pairing.left_out.retain(|(name, _)| shown.contains(name.as_str()));
    }
    let case =
        Case { heads: &heads, planned: &planned, blocked: blocked.as_deref(), deleted: branch.deleted };
    let mut rows = Vec::with_capacity(places.len());
    let last = places.last().map(|row| row.place.position);
    for row in places {
        let builds = builds.remove(&row.place.hash).unwrap_or_default();
        let cells = case.cells(repo, &row.place.hash, row.at, builds)?;
        rows.push(CellRow {
            commit: repos::commit_info(row.commit),
            reachable: row.place.reachable,
            position: row.at,
            cells,
        });
    }
    since::find(&mut reader, &eyes, (repo, name), &mut rows, last).await?;
    drop(reader);
    if let Some(state) = given(&query.state) {
        keep(&mut rows, &mut page, state);
    }
    Ok(CellWindow {
        repo: repo.to_owned(),
        branch: name.to_owned(),
        blocked,
        builders: page,
        first_column: first as u32,
        columns: columns as u32,
        rows,
        older,
        newer,
        left_out,
    })
}

fn chosen<'a>(heads: &'a Heads, query: &WindowQuery, eyes: &Eyes) -> Answer<&'a BranchRow> {
    let both = given(&query.on).and_then(|on| on.split_once(' '));
    let wanted = both.map(|both| both.0).or(given(&query.repo));
    let name = both.map(|both| both.1).or(given(&query.branch));
    let seen = heads.branches.iter().filter(|row| eyes.repo(&row.repo));
    let mut of_repo = seen.filter(|row| wanted.is_none_or(|repo| row.repo == *repo));
    let found = match name {
        Some(branch) => of_repo.find(|row| row.branch == *branch),
        None => of_repo.min_by_key(|row| (row.deleted, !row.is_default)),
    };
    found.ok_or_else(|| match (wanted, name) {
        (Some(repo), Some(branch)) => Refusal::not_found(format!("branch {branch:?} of {repo:?}")),
        (None, Some(branch)) => Refusal::not_found(format!("branch {branch:?}; name its repo as well")),
        (Some(repo), None) => Refusal::not_found(format!("commits of {repo:?} yet")),
        _ => Refusal::not_found("commits yet"),
    })
}

/// Reads the commits of a window, and the place that the next older ones lie before.
async fn read_places(
    reader: &mut Reader,
    branch: &BranchRow,
    query: &WindowQuery,
) -> Answer<(Vec<Row>, Option<i64>)> {
    let (repo, name) = (&*branch.repo, &*branch.branch);
    let limit = Refusal::limit(query.limit, COMMITS, MOST_COMMITS)? as usize;
    let author = given(&query.author).map(str::to_lowercase);
    let is_theirs = |commit: &CommitRow| {
        author.as_ref().is_none_or(|author| {
            let email = commit.author_email.as_deref().unwrap_or_default();
            commit.author_name.to_lowercase().contains(author) || email.to_lowercase().contains(author)
        })
    };
    let mut before = query.before.unwrap_or(i64::MAX);
    let mut at = match query.before {
        Some(before) => branch_commits::above(reader, repo, name, before).await?,
        None => 0,
    };
    let batch = if author.is_some() { 200 } else { limit + 1 };
    let (mut rows, mut looked) = (Vec::new(), 0);
    loop {
        let some = branch_commits::window(reader, repo, name, before, batch as u32).await?;
        let hashes: Vec<&str> = some.iter().map(|place| place.hash.as_str()).collect();
        let mut details: HashMap<String, CommitRow> = commits::many(reader, repo, &hashes)
            .await?
            .into_iter()
            .map(|commit| (commit.hash.clone(), commit))
            .collect();
        let whole = some.len() == batch;
        looked += some.len();
        for place in some {
            if rows.len() == limit {
                return Ok((rows, Some(before)));
            }
            before = place.position;
            let own = place.reachable.then_some(at);
            at += u32::from(place.reachable);
            let Some(commit) = details.remove(&place.hash).filter(&is_theirs) else { continue };
            rows.push(Row { place, commit, at: own });
        }
        if !whole || author.is_none() {
            return Ok((rows, None));
        }
        if looked >= LOOKED_AT {
            return Ok((rows, Some(before)));
        }
    }
}

/// Returns the place before which the next newer commits lie. An author's are only found going back.
async fn newer(
    reader: &mut Reader,
    branch: &BranchRow,
    query: &WindowQuery,
    rows: &[Row],
) -> Answer<Option<i64>> {
    let from = match (query.before, rows.first(), given(&query.author)) {
        (Some(_), Some(first), None) => first.place.position + 1,
        _ => return Ok(None),
    };
    let limit = Refusal::limit(query.limit, COMMITS, MOST_COMMITS)?;
    let above = branch_commits::after(reader, &branch.repo, &branch.branch, from, limit).await?;
    Ok(above.last().map(|place| place.position + 1))
}

fn configured(planned: &Planned, with_left_out: bool) -> Vec<String> {
    let mut names = Vec::new();
    for pairing in &planned.pairings {
        names.extend(pairing.builders.iter().cloned());
        if with_left_out {
            names.extend(pairing.left_out.iter().map(|(name, _)| name.clone()));
        }
    }
    names.sort();
    names.dedup();
    names
}

fn left_out(planned: &Planned, query: &WindowQuery) -> Vec<LeftOut> {
    let built: HashSet<&String> = planned.pairings.iter().flat_map(|pairing| &pairing.builders).collect();
    let mut out: Vec<LeftOut> = Vec::new();
    for (builder, reason) in planned.pairings.iter().flat_map(|pairing| &pairing.left_out) {
        let wanted = given(&query.builder).is_none_or(|pattern| fits(pattern, builder));
        if wanted && !built.contains(builder) && !out.iter().any(|one| one.builder == *builder) {
            out.push(LeftOut { builder: builder.clone(), reason: reason.clone() });
        }
        if out.len() == LEFT_OUT {
            break;
        }
    }
    out
}

fn blocked(config: &Config, heads: &Heads, repo: &str, planned: &Planned) -> Option<String> {
    let row = heads.repo(repo);
    let refused = row.filter(|repo| repo.state != "ok").map(|repo| repo.reason.clone().unwrap_or_default());
    let bad = || config.project(repo).and_then(|project| project.blocked.clone());
    refused.or_else(bad).or_else(|| planned.blocked.clone())
}

/// Whether a pattern with `*`, or a part of a name, fits a name. Both are lower case, or may as well be.
pub(super) fn fits(pattern: &str, name: &str) -> bool {
    let pattern = pattern.to_lowercase();
    if !pattern.contains('*') {
        return name.contains(&pattern);
    }
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else { return false };
    let mut last = "";
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
        last = part;
    }
    name.ends_with(last)
}

/// The word of a cell's state: a build's, or that of an empty one.
pub(super) fn word(cell: &Cell) -> &'static str {
    match (&cell.build, cell.state) {
        (Some(build), _) => build.outcome.map_or_else(|| build.state.as_str(), |outcome| outcome.as_str()),
        (None, CellState::Due) => "due",
        (None, CellState::Blocked) => "blocked",
        (None, CellState::LeftOut) => "left_out",
        (None, CellState::Build | CellState::None) => "none",
    }
}

/// Keeps the cells in a state, and the rows and columns that still have one.
fn keep(rows: &mut Vec<CellRow>, columns: &mut Vec<String>, state: &str) {
    for row in rows.iter_mut() {
        row.cells.retain(|cell| match state {
            "running" => matches!(word(cell), "running" | "leased" | "preparing" | "reporting"),
            state => word(cell) == state,
        });
    }
    rows.retain(|row| !row.cells.is_empty());
    let left: HashSet<&str> =
        rows.iter().flat_map(|row| &row.cells).map(|cell| cell.builder.as_str()).collect();
    columns.retain(|name| left.contains(name.as_str()));
}

struct Case<'a> {
    heads: &'a Heads,
    planned: &'a Planned,
    blocked: Option<&'a str>,
    deleted: bool,
}

impl Case<'_> {
    /// Returns the cells of one commit: those with builds, then what the configuration says about the others.
    fn cells(
        &self,
        repo: &str,
        hash: &str,
        at: Option<u32>,
        mut builds: Vec<ResultRow>,
    ) -> Answer<Vec<Cell>> {
        builds.sort_by(|a, b| (&a.builder, b.build).cmp(&(&b.builder, a.build)));
        let mut cells = Vec::new();
        let mut shown = HashSet::new();
        for build in builds {
            // The newest build of a builder and revision is what its cell shows.
            if shown.insert((build.builder.clone(), build.revision.clone())) {
                cells.push(Cell {
                    builder: build.builder.clone(),
                    revision: build.revision.clone(),
                    state: CellState::Build,
                    reason: None,
                    toolchain_branch: None,
                    build: Some(builds::summary(build)?),
                    since: None,
                    alike: None,
                });
            }
        }
        for pairing in &self.planned.pairings {
            let with = pairing.toolchain.as_ref();
            let head = with.and_then(|(other, branch)| Some((other, self.heads.head(other, branch)?)));
            let revision = revision(repo, hash, head);
            let toolchain_branch = with.map(|(_, branch)| branch.clone());
            for builder in &pairing.builders {
                let has = |(of, filled): &(String, String)| {
                    of == builder && (*filled == revision || (at != Some(0) && with.is_some()))
                };
                if shown.iter().any(has) {
                    continue;
                }
                let (state, reason) = self.empty(pairing, head.is_none(), at);
                let builder = builder.clone();
                let (revision, toolchain_branch) = (revision.clone(), toolchain_branch.clone());
                cells.push(Cell { state, reason, ..empty(builder, revision, toolchain_branch) });
            }
            for (builder, reason) in &pairing.left_out {
                if shown.iter().any(|(of, _)| of == builder) {
                    continue;
                }
                cells.push(Cell {
                    state: CellState::LeftOut,
                    reason: Some(reason.clone()),
                    ..empty(builder.clone(), String::new(), toolchain_branch.clone())
                });
            }
        }
        cells.sort_by(|a, b| (&a.builder, &a.revision).cmp(&(&b.builder, &b.revision)));
        Ok(cells)
    }

    fn empty(&self, pairing: &Pairing, no_head: bool, at: Option<u32>) -> (CellState, Option<String>) {
        if self.deleted || at.is_none_or(|at| at >= self.planned.horizon) {
            return (CellState::None, None);
        }
        if let Some(reason) = self.blocked {
            return (CellState::Blocked, Some(reason.to_owned()));
        }
        match &pairing.toolchain {
            Some((repo, branch)) if no_head => {
                (CellState::Blocked, Some(format!("waits for the first commits of {repo} {branch}")))
            }
            _ => (CellState::Due, None),
        }
    }
}

fn empty(builder: String, revision: String, toolchain_branch: Option<String>) -> Cell {
    let (state, reason) = (CellState::None, None);
    Cell { builder, revision, state, reason, toolchain_branch, build: None, since: None, alike: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_whole_names_and_words_parts_of_them() {
        for (pattern, name) in [
            ("linux", "linux-amd64-race"),
            ("race", "linux-amd64-race"),
            ("linux-*", "linux-amd64"),
            ("*race", "linux-amd64-race"),
            ("*-amd64*", "linux-amd64-race"),
            ("l*x-*d64", "linux-amd64"),
            ("*", "x"),
            ("LINUX", "linux-arm"),
        ] {
            assert!(fits(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in
            [("windows", "linux"), ("linux-*", "my-linux-1"), ("*race", "linux-race-slow"), ("a*b*c", "acb")]
        {
            assert!(!fits(pattern, name), "{pattern} {name}");
        }
    }
}
