//! The grid: commits × builders.

use askama::Template;
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use transport::Viewer;

use super::super::refusal::{Answer, Query};
use super::super::window::{COLUMNS, STATES, WindowQuery, given, read_window, word};
use super::super::{Dashboard, repos, tree};
use super::tree::path;
use super::{address, first_line, page, progress, short, shown, so_far};
use crate::api::{BranchInfo, Cell, CellWindow, RepoInfo, TreeInfo};

#[derive(Template)]
#[template(path = "grid.html")]
struct GridPage {
    repos: Vec<RepoInfo>,
    window: Option<CellWindow>,
    query: WindowQuery,
    groups: Vec<Group>,
    tree: Option<TreeInfo>,
}

/// Columns whose names begin alike.
#[derive(Debug, PartialEq, Eq)]
struct Group {
    name: String,
    /// Each builder and what its name has beyond the group's.
    columns: Vec<(String, String)>,
}

/// Groups columns by the first two parts of their names, which are a system and a machine where names are as usual.
fn group(builders: &[String]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for builder in builders {
        let end = builder.match_indices('-').nth(1).map_or(builder.len(), |(at, _)| at);
        let name = &builder[..end];
        let rest = builder[end..].trim_start_matches('-').to_owned();
        match groups.last_mut().filter(|group| group.name == name) {
            Some(group) => group.columns.push((builder.clone(), rest)),
            None => groups.push(Group { name: name.to_owned(), columns: vec![(builder.clone(), rest)] }),
        }
    }
    groups
}

impl GridPage {
    /// Returns the cells of a builder in a row: more than one where a repo is built against several branches.
    fn of<'a>(&self, cells: &'a [Cell], builder: &str) -> Vec<&'a Cell> {
        cells.iter().filter(|cell| cell.builder == builder).collect()
    }

    fn chosen(&self, repo: &RepoInfo, branch: &BranchInfo) -> bool {
        self.window.as_ref().is_some_and(|window| window.repo == repo.name && window.branch == branch.name)
    }

    fn value<'a>(&self, field: &'a Option<String>) -> &'a str {
        given(field).unwrap_or_default()
    }

    fn is_filtered(&self) -> bool {
        [&self.query.builder, &self.query.author, &self.query.state]
            .iter()
            .any(|field| given(field).is_some())
    }

    /// The address of this window at another place.
    fn place(&self, window: &CellWindow, before: &i64) -> String {
        self.at(window, "/grid", &Some(*before), &window.first_column)
    }

    /// The address of this window, with another place or other columns.
    fn at(&self, window: &CellWindow, path: &str, before: &Option<i64>, column: &u32) -> String {
        let before = before.map(|before| before.to_string()).unwrap_or_default();
        let column = if *column == 0 { String::new() } else { column.to_string() };
        let limit = self.query.limit.map(|limit| limit.to_string()).unwrap_or_default();
        address(
            path,
            &[
                ("repo", &window.repo),
                ("branch", &window.branch),
                ("builder", self.value(&self.query.builder)),
                ("author", self.value(&self.query.author)),
                ("state", self.value(&self.query.state)),
                ("limit", &limit),
                ("before", &before),
                ("column", &column),
            ],
        )
    }
}

/// Whether columns go on to the left or to the right, by the first column of the page there.
fn left(window: &CellWindow) -> Option<u32> {
    window.first_column.checked_sub(COLUMNS as u32)
}

fn right(window: &CellWindow) -> Option<u32> {
    let next = window.first_column + COLUMNS as u32;
    (next < window.columns).then_some(next)
}

/// `GET /` and `GET /grid`
pub(super) async fn grid(
    State(dashboard): State<Dashboard>,
    viewer: Viewer,
    Query(query): Query<WindowQuery>,
) -> Response {
    let answer = async {
        let repos = repos::all(&dashboard, &viewer).await?;
        let window = match read_window(&dashboard, &viewer, &query).await {
            Ok(window) => Some(window),
            Err(refusal)
                if refusal.status == StatusCode::NOT_FOUND
                    && given(&query.repo).is_none()
                    && given(&query.branch).is_none()
                    && given(&query.on).is_none() =>
            {
                None
            }
            Err(refusal) => return Err(refusal),
        };
        let groups = window.as_ref().map(|window| group(&window.builders)).unwrap_or_default();
        let tree = match &window {
            Some(window) => tree::one(&dashboard, &viewer, &window.repo, &window.branch).await?,
            None => None,
        };
        page(&GridPage { repos, window, query, groups, tree })
    };
    shown(answer.await)
}

/// `GET /grid.json`
pub(super) async fn twin(
    State(dashboard): State<Dashboard>,
    viewer: Viewer,
    Query(query): Query<WindowQuery>,
) -> Answer<Json<CellWindow>> {
    Ok(Json(read_window(&dashboard, &viewer, &query).await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_grouped_by_system_and_machine() {
        let names = ["docs", "linux-amd64", "linux-amd64-race", "linux-amd64-slow-one", "linux-arm64"];
        let groups = group(&names.map(str::to_owned));
        let shown: Vec<_> = groups
            .iter()
            .map(|group| {
                let rest: Vec<_> = group.columns.iter().map(|(_, rest)| rest.as_str()).collect();
                (group.name.as_str(), rest)
            })
            .collect();
        assert_eq!(
            shown,
            [("docs", vec![""]), ("linux-amd64", vec!["", "race", "slow-one"]), ("linux-arm64", vec![""])]
        );
    }
}
