//! How things stand, for pages and programs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::{BuildId, Micros, WorkerId};
use transport::operation::UlidText;

use super::asides::SetAside;
use crate::api::AlarmInfo;
use crate::schedule::Wait;

/// How things stand.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Status {
    /// Builds that wait for a machine.
    pub queued: Vec<WaitingBuild>,
    /// Builds that hold one.
    pub running: Vec<RunningBuild>,
    /// All machines.
    pub workers: Vec<WorkerStatus>,
    /// Machines that dialled in of late and are not what their host takes.
    #[serde(default)]
    pub turned_away: Vec<TurnedAway>,
    /// Repositories of which nothing is built as they are.
    #[serde(default)]
    pub blocked: Vec<BlockedRepo>,
    /// What is wrong with machines and builders.
    #[serde(default)]
    pub alarms: Vec<AlarmInfo>,
    /// Whether nothing new is started because the server is going down.
    pub draining: bool,
}

/// A machine that is given no work, since it is not what its host takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TurnedAway {
    /// Its host.
    pub host: String,
    /// What it calls itself.
    pub name: String,
    /// Why, as it was told.
    pub reason: String,
    /// When it tried last, in microseconds since 1970.
    #[schemars(with = "i64")]
    pub tried: Micros,
}

/// A repository of which nothing is built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BlockedRepo {
    /// Its name.
    pub repo: String,
    /// Why: it can't be fetched, or its configuration is bad.
    pub reason: String,
}

/// A build that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WaitingBuild {
    /// The build.
    #[schemars(with = "UlidText")]
    pub build: BuildId,
    /// Its builder.
    pub builder: String,
    /// Its repo.
    pub repo: String,
    /// Its revision.
    pub revision: String,
    /// Why it waits, in a sentence.
    pub reason: String,
    /// The same for programs.
    pub wait: Wait,
    /// When it may start, if that can be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i64>")]
    pub expected_start: Option<Micros>,
}

/// A build that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunningBuild {
    /// The build.
    #[schemars(with = "UlidText")]
    pub build: BuildId,
    /// Its builder.
    pub builder: String,
    /// Its repo.
    pub repo: String,
    /// Its revision.
    pub revision: String,
    /// On which machine.
    #[schemars(with = "UlidText")]
    pub worker: WorkerId,
    /// Since when.
    #[serde(default)]
    #[schemars(with = "i64")]
    pub started: Micros,
}

/// A machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkerStatus {
    /// Its name.
    #[schemars(with = "UlidText")]
    pub worker: WorkerId,
    /// What it calls itself; its id, if the server has made it.
    #[serde(default)]
    pub name: String,
    /// Its host.
    pub host: String,
    /// Its pool.
    pub pool: String,
    /// `starting`, `idle`, `busy`, `set_aside`, or `away`: free, and it can't be reached for now.
    pub state: String,
    /// Whether it can't be reached for now, whatever its state: what it does goes on.
    #[serde(default)]
    pub away: bool,
    /// Why it is set aside.
    pub reason: Option<String>,
    /// Who keeps it from work; at once if it is free, else from when it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_aside: Option<SetAside>,
    /// Why it is let go once it has done what it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaves: Option<String>,
    /// What to do about another process that shows this machine's identity as well, if one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubled: Option<String>,
    /// The pool's words: a pid, a pod.
    pub detail: String,
    /// Since when it exists, in microseconds since 1970.
    #[schemars(with = "i64")]
    pub since: Micros,
}
