//! Trees: whether a branch is open for changes.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::build::UnknownWord;

/// Whether changes may go into a branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TreeStatus {
    /// They may.
    Open,
    /// Slowly, and by those who look after them.
    Throttled,
    /// Only what mends it.
    Closed,
}

impl TreeStatus {
    /// All of them.
    pub const ALL: [TreeStatus; 3] = [TreeStatus::Open, TreeStatus::Throttled, TreeStatus::Closed];

    /// Returns the word that stands for it in JSON and SQL.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            TreeStatus::Open => "open",
            TreeStatus::Throttled => "throttled",
            TreeStatus::Closed => "closed",
        }
    }
}

impl std::fmt::Display for TreeStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for TreeStatus {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let found = Self::ALL.into_iter().find(|status| status.as_str() == text);
        found.ok_or_else(|| UnknownWord::new(text, "open, throttled, closed"))
    }
}

/// The status of a branch's tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TreeInfo {
    /// The repo.
    pub repo: String,
    /// The branch.
    pub branch: String,
    /// What it is now: what somebody set by hand, else what the rules say.
    pub status: TreeStatus,
    /// Why.
    pub reason: String,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Who set it; none if the rules did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// When what was set ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// What the rules say.
    pub computed: TreeStatus,
    /// Why they do.
    pub computed_reason: String,
    /// How many builders judged one of the newest commits.
    pub judged: u32,
    /// Those of them that failed the newest commit that they judged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub red: Vec<RedBuilder>,
}

/// A builder that failed the newest commit that it judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RedBuilder {
    /// Its name.
    pub builder: String,
    /// The build.
    pub build: String,
    /// The commit.
    pub commit: String,
    /// Whether it closes the tree.
    pub closes: bool,
}

/// A change of a tree's status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TreeChange {
    /// Counts a branch's changes from 1.
    pub n: u64,
    /// When.
    pub time: Timestamp,
    /// What it is from then on.
    pub status: TreeStatus,
    /// Who set it; none if the rules did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Why.
    pub reason: String,
    /// When what was set ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// Answer of `GET /api/v1/tree`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TreeList {
    /// The trees that there are, by repo, the default branch first.
    pub trees: Vec<TreeInfo>,
}

/// Answer of `GET /api/v1/tree/{repo}/{branch}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TreeDetail {
    /// What it is now.
    #[serde(flatten)]
    pub info: TreeInfo,
    /// Its last changes, newest first.
    pub changes: Vec<TreeChange>,
}

/// Body of `POST /api/v1/tree/{repo}/{branch}/set`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TreeRequest {
    /// What it is to be.
    pub status: TreeStatus,
    /// Why, for people.
    #[schemars(length(min = 1, max = 500), regex(pattern = r"\S"))]
    pub reason: String,
    /// Seconds until it ends by itself; never if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 31_622_400))]
    pub expires_in: Option<u64>,
}
