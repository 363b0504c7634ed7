//! Cells: builder × revision. They are computed, never stored.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{BuildSummary, CommitInfo};

/// A cell that is due and has no build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EmptyCell {
    /// The builder's name. A project's builders are its repo's own: look them up by (repo, builder).
    pub builder: String,
    /// The repo whose commit it is.
    pub repo: String,
    /// The branch on which the commit was found.
    pub branch: String,
    /// Canonical text of the revision, `sync@40hex+go@40hex`.
    pub revision: String,
    /// Always `post_submit` here.
    pub class: String,
    /// When the commit was made, microseconds since 1970.
    pub commit_time_us: i64,
    /// 0 is the branch's head, counted along first parents.
    pub position: u32,
    /// The branch of the needed repo whose commit is in the revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub toolchain_branch: Option<String>,
}

/// Answer of `GET /api/v1/cells/empty`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct EmptyCells {
    /// Newest commit of each branch first, then back to the horizon.
    pub cells: Vec<EmptyCell>,
    /// How many there are beyond the limit.
    #[serde(default)]
    pub more: u64,
}

/// What a cell shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CellState {
    /// There is a build; see it.
    Build,
    /// It is empty and will be built.
    Due,
    /// It is empty, and can't be built: see the reason.
    Blocked,
    /// The configuration leaves it out: see the reason.
    LeftOut,
    /// It is empty and stays so: older than the horizon, or no longer reachable.
    None,
}

/// One cell of the grid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Cell {
    /// The builder's name.
    pub builder: String,
    /// The revision; empty if no build exists and none can be planned.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub revision: String,
    /// What it shows.
    pub state: CellState,
    /// Why it is blocked or left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The branch of the needed repo whose commit is in the revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub toolchain_branch: Option<String>,
    /// Its newest build.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<BuildSummary>,
    /// Since when it has been failing, if it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Since>,
    /// What failed, and how many others failed alike.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alike: Option<Alike>,
}

/// A commit, and its build on the builder that is spoken of.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct CommitBuild {
    /// The commit, 40 digits.
    pub commit: String,
    /// The first line of its message.
    pub title: String,
    /// Its build, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<String>,
}

/// Since when a builder has been failing on a branch.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Since {
    /// The newest commit before that was ok; none if none was found near enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_green: Option<CommitBuild>,
    /// The oldest commit after it that failed.
    pub first_red: CommitBuild,
    /// Commits after the one and up to the other, newest first, at most eight: one of all of them did it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub between: Vec<CommitBuild>,
    /// How many there are.
    #[serde(default)]
    pub commits: u32,
}

/// What failed, and how many others failed alike.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Alike {
    /// The same for builds that failed alike.
    pub signature: String,
    /// The test that failed, or the line that says it.
    pub headline: String,
    /// How many builds failed alike, this one included.
    pub builds: u32,
    /// On how many builders.
    pub builders: u32,
}

/// A builder that the configuration leaves out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct LeftOut {
    /// Its name.
    pub builder: String,
    /// Why.
    pub reason: String,
}

/// A commit and its cells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CellRow {
    /// The commit.
    pub commit: CommitInfo,
    /// Whether it is still on the branch's first-parent line.
    pub reachable: bool,
    /// 0 is the branch's head; none if it is no longer reachable.
    pub position: Option<u32>,
    /// Its cells, by builder.
    pub cells: Vec<Cell>,
}

/// Answer of `GET /api/v1/cells`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CellWindow {
    /// The repo.
    pub repo: String,
    /// The branch.
    pub branch: String,
    /// Why the repo is blocked, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked: Option<String>,
    /// Names of the builders that have a column here, sorted.
    pub builders: Vec<String>,
    /// Place of the first of them among all columns.
    #[serde(default)]
    pub first_column: u32,
    /// How many columns there are.
    #[serde(default)]
    pub columns: u32,
    /// Commits, newest first.
    pub rows: Vec<CellRow>,
    /// `before` of the next older commits, if there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub older: Option<i64>,
    /// `before` of the next newer commits, if there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newer: Option<i64>,
    /// Builders that are left out and have no column; at most 200, and only where they were not asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
}
