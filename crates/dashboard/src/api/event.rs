//! What happens, as it is told to who follows it.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Outcome;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A build waits for a worker: it is new, or is tried again.
    Queued,
    /// A build has a worker.
    Started,
    /// A build has an outcome.
    Finished,
    /// A branch has come to a commit.
    Commit,
    /// Nothing: this is the number from which on all will be told.
    Ready,
    /// What was before this number can't be told any more: look at everything anew.
    Reset,
}

/// Data of an event of `GET /api/v1/events`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// Its number. Later ones are higher, also after a restart of the server; some are left out.
    pub id: u64,
    /// What happened; the event's name.
    pub kind: EventKind,
    /// When it became known.
    pub time: Timestamp,
    /// The repo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repo: Option<String>,
    /// The branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// The builder's name, of a build.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub builder: Option<String>,
    /// The build.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<String>,
    /// The build's revision, or `repo@commit` of a branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// How the build ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
}

#[cfg(feature = "server")]
impl Event {
    /// A word about the numbers, and about nothing that happened.
    pub(crate) fn note(id: u64, time: Timestamp, kind: EventKind) -> Event {
        let (repo, branch, builder, build, revision, outcome) = (None, None, None, None, None, None);
        Event { id, kind, time, repo, branch, builder, build, revision, outcome }
    }
}
