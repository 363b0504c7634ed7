//! Repos, branches and commits, as gitmirror posts them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whether a repo can be fetched and its configuration read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RepoState {
    /// It can.
    Ok,
    /// It can't; its cells show why.
    Blocked,
}

/// Who may see a repo's results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Visibility {
    /// Whoever may read the dashboard.
    Public,
    /// Those named by the access rules.
    Private,
}

/// Body of `PUT /api/v1/repos/{repo}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RepoUpdate {
    /// Whether it can be built.
    pub state: RepoState,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The branch that the remote's `HEAD` names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_branch: Option<String>,
    /// That branch's commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<String>,
    /// Who may see it; as it was if left out, public at first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visibility: Option<Visibility>,
}

/// A repo with its branches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RepoInfo {
    /// Its name.
    pub name: String,
    /// Whether it can be built.
    pub state: RepoState,
    /// Why not.
    pub reason: Option<String>,
    /// The branch that the remote's `HEAD` names.
    pub default_branch: Option<String>,
    /// Who may see it.
    pub visibility: Visibility,
    /// The last time anything was posted about it.
    pub updated: jiff::Timestamp,
    /// Its watched branches, deleted ones included.
    pub branches: Vec<BranchInfo>,
}

/// A branch of a repo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BranchInfo {
    /// Its name.
    pub name: String,
    /// Its commit; none once it is deleted.
    pub head: Option<String>,
    /// Whether it is the repo's default branch.
    pub default: bool,
    /// The last time it changed.
    pub updated: jiff::Timestamp,
}

/// Body of `PUT /api/v1/repos/{repo}/branches/{branch}`: where a branch is, and its first-parent line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BranchUpdate {
    /// Its commit, or none if it was deleted.
    pub head: Option<String>,
    /// Whether it is the repo's default branch.
    #[serde(default)]
    pub default: bool,
    /// Commits from the head along first parents, newest first.
    #[serde(default)]
    pub first_parent: Vec<String>,
    /// Whether that list reaches the root or `base`.
    #[serde(default)]
    pub complete: bool,
    /// The head as it was last posted.
    #[serde(default)]
    pub base: Option<String>,
    /// Details of commits that the dashboard may not have.
    #[serde(default)]
    pub commits: Vec<CommitInfo>,
}

/// Answer to a [`BranchUpdate`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct BranchAnswer {
    /// Commits whose details are needed. If there are any, the branch has not moved: post again with them.
    pub missing: Vec<String>,
}

/// What is shown of a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CommitInfo {
    /// 40 hexadecimal digits.
    pub hash: String,
    /// Hashes of its parents, first parent first.
    #[serde(default)]
    pub parents: Vec<String>,
    /// The author's name.
    #[serde(default)]
    pub author_name: String,
    /// The author's address, if there is one.
    #[serde(default)]
    pub author_email: Option<String>,
    /// When it was committed, microseconds since 1970.
    #[serde(default)]
    pub time_us: i64,
    /// Its message, at most 64 KiB.
    #[serde(default)]
    pub message: String,
}
