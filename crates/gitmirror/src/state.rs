//! What is known of a repository, as others see it.

use std::collections::BTreeMap;
use std::sync::Arc;

use git::{ObjectId, RefName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whether a repository can be built from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// The first round has not ended.
    Pending,
    /// The last look at the source went well.
    Ok,
    /// The source can't be fetched, for `reason`.
    Blocked,
}

/// What is known of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "MirrorState")]
pub struct RepoState {
    /// The repository.
    pub name: String,
    /// Whether it can be built from.
    pub state: Health,
    /// Why not; or why the last round failed in something else than fetching.
    pub reason: Option<String>,
    /// The branch of the source's `HEAD`; `HEAD` itself if it stands on no branch.
    pub default_branch: Option<String>,
    /// The commit of the default branch.
    pub head: Option<String>,
    /// The branches that are posted, with their commits.
    pub branches: BTreeMap<String, String>,
    /// How many rounds have ended.
    pub rounds: u64,
    /// How many rounds had to fetch.
    pub fetches: u64,
    /// The status line of the original's pages.
    pub status: String,
    /// Each place that is pushed to.
    pub destinations: Vec<DestinationState>,
}

/// What is known of a place that is pushed to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DestinationState {
    /// The address, without credentials.
    pub url: String,
    /// Whether the last push, if there was one, did all.
    pub ok: Option<bool>,
    /// What went wrong, ref by ref where the place refused one.
    pub problems: Vec<String>,
    /// How many refs were set or deleted there.
    pub pushed: u64,
}

/// What a round leaves behind for everyone else.
#[derive(Debug, Clone, Default)]
pub(crate) struct View {
    /// Rounds that have begun.
    pub(crate) started: u64,
    /// Rounds that have ended.
    pub(crate) finished: u64,
    /// Rounds that had to fetch.
    pub(crate) fetches: u64,
    /// Why the source can't be fetched.
    pub(crate) blocked: Option<String>,
    /// What else went wrong in the last round.
    pub(crate) trouble: Option<String>,
    /// Whether the source was ever seen.
    pub(crate) seen: bool,
    /// Branches and tags.
    pub(crate) refs: Arc<BTreeMap<RefName, ObjectId>>,
    /// The source's `HEAD`, if it stands on no branch.
    pub(crate) detached: Option<ObjectId>,
    /// The default branch.
    pub(crate) default_branch: Option<String>,
}
