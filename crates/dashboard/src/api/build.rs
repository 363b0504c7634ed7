//! Builds and attempts, as the coordinator reports them, with their tests and artefacts.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use transport::operation::{HashText, UlidText};

use super::{EventKind, TestKind};

/// How far a build is. Each step onwards is durable at its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BuildState {
    /// It waits for a worker.
    Queued,
    /// It has a worker.
    Leased,
    /// Its source is on the way.
    Preparing,
    /// Its steps run.
    Running,
    /// Its log and results are on the way.
    Reporting,
    /// It has an outcome.
    Done,
}

/// How a build or an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Every step exited 0.
    Ok,
    /// A step exited otherwise, ran over its time, or broke its limits.
    Failed,
    /// A worker or a source was lost; the work was not judged.
    InfraFailed,
    /// Somebody stopped it.
    Cancelled,
    /// Policy or a missing dependency left it out.
    Skipped,
}

/// Says that a word is not one of those that stand for a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{word:?} is not one of {expected}")]
pub struct UnknownWord {
    word: String,
    expected: String,
}

impl UnknownWord {
    pub(super) fn new(word: &str, expected: &str) -> Self {
        Self { word: word.to_owned(), expected: expected.to_owned() }
    }
}

macro_rules! words {
    ($($type:ident { $($name:ident = $word:literal),* })*) => {$(
        impl $type {
            /// Returns the word that stands for it in JSON and SQL.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word),* }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $type {
            type Err = UnknownWord;

            fn from_str(text: &str) -> Result<Self, UnknownWord> {
                match text {
                    $($word => Ok(Self::$name),)*
                    _ => Err(UnknownWord { word: text.to_owned(), expected: [$($word),*].join(", ") }),
                }
            }
        }
    )*};
}

words! {
    BuildState {
        Queued = "queued", Leased = "leased", Preparing = "preparing", Running = "running",
        Reporting = "reporting", Done = "done"
    }
    Outcome {
        Ok = "ok", Failed = "failed", InfraFailed = "infra_failed", Cancelled = "cancelled", Skipped = "skipped"
    }
    TestKind { Test = "test", Benchmark = "benchmark" }
    EventKind {
        Queued = "queued", Started = "started", Finished = "finished", Commit = "commit", Ready = "ready",
        Reset = "reset"
    }
}

/// Why an outcome is what it is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Cause {
    /// A word: `exit`, `timeout`, `limit`, `worker_lost`, …
    pub kind: String,
    /// A sentence for people; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// What a build waits for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Wait {
    /// A sentence for people.
    pub reason: String,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// How many are ahead of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ahead: Option<u64>,
}

/// Body of `PUT /api/v1/builds/{id}`, and what is kept of a build.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BuildReport {
    /// The build's id.
    pub id: String,
    /// The builder's name.
    pub builder: String,
    /// The repo whose commit it is.
    pub repo: String,
    /// The branch.
    pub branch: String,
    /// Canonical text of the revision, `sync@40hex+go@40hex`.
    pub revision: String,
    /// `post_submit`, `try`, …
    pub class: String,
    /// How far it is.
    pub state: BuildState,
    /// How it ended.
    #[serde(default)]
    pub outcome: Option<Outcome>,
    /// Why.
    #[serde(default)]
    pub cause: Option<Cause>,
    /// The owner's fencing token. A report is newer by (`fence`, `version`).
    pub fence: u64,
    /// Counts the owner's changes.
    pub version: u64,
    /// When it was made.
    pub created: Timestamp,
    /// When its first attempt began.
    #[serde(default)]
    pub started: Option<Timestamp>,
    /// When it ended.
    #[serde(default)]
    pub ended: Option<Timestamp>,
    /// How long it should take from `started`, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_ms: Option<u64>,
    /// Digest of its recipe: expected times come from builds of the same one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipe: Option<String>,
    /// What it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<Wait>,
    /// Every attempt so far, by number.
    #[serde(default)]
    pub attempts: Vec<AttemptReport>,
    /// What caused it: `commit`, a person, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<String>,
    /// A page of its owner's about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Where it failed; filled in by the dashboard from the log of a build that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// Whether it is made to tell why another one failed, or by rules that are not in effect: no build of a cell, and in no list or grid.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sample: bool,
}

/// One try at a build on one worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AttemptReport {
    /// Its id.
    pub id: String,
    /// Counts from 1.
    pub number: u32,
    /// The worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    /// The host's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// How far it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<BuildState>,
    /// How it ended.
    #[serde(default)]
    pub outcome: Option<Outcome>,
    /// Why.
    #[serde(default)]
    pub cause: Option<Cause>,
    /// When it began.
    #[serde(default)]
    pub started: Option<Timestamp>,
    /// When it ended.
    #[serde(default)]
    pub ended: Option<Timestamp>,
    /// Its timed parts; they add up to the total.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spans: Vec<Span>,
    /// Commits, digests of recipe and configuration, machine, buildlet version, snapshot.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<String, serde_json::Value>,
    /// What should be known though it changed no outcome, such as processes left behind.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// The recipe's steps that ran.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<StepReport>,
    /// What was to be done: enough to do it again elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobReport>,
    /// Who ran which tests, where they were spread over several machines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spread: Option<SpreadReport>,
}

/// The tests of an attempt on several machines.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct SpreadReport {
    /// The machines that took part; the attempt's own is the first.
    pub machines: Vec<SpreadMachine>,
    /// What they ran, in the order of the list; no more than 2000.
    pub chunks: Vec<SpreadChunk>,
    /// From when tests could run until the last had ended, in milliseconds.
    pub took_ms: u64,
    /// What one machine would have taken, in milliseconds.
    pub aggregate_ms: u64,
    /// What decided when the attempt could end, in order.
    pub critical_path: Vec<SpreadPart>,
    /// By how much sooner they would have ended with one machine more, had it been there from the beginning, in
    /// milliseconds.
    pub one_more_saves_ms: u64,
}

/// A machine that ran some of the tests.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct SpreadMachine {
    /// Its id.
    pub worker: String,
    /// What it calls itself.
    pub machine: String,
    /// How long after tests could run it was ready for them, in milliseconds.
    pub ready_ms: u64,
    /// How many chunks it ran.
    pub chunks: u32,
    /// How long it ran tests, in milliseconds.
    pub busy_ms: u64,
    /// Why it ended early, if it did: what it had was run by another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<String>,
}

/// Tests that one command ran.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct SpreadChunk {
    /// The first of them.
    pub first_test: String,
    /// How many they are.
    pub tests: u32,
    /// The machine.
    pub worker: String,
    /// When it began, in milliseconds after tests could run.
    pub start_ms: u64,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// Whether it went well.
    pub ok: bool,
    /// How many machines had it: all but the last were lost with it.
    pub tries: u32,
}

/// A part of what decided when an attempt could end.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct SpreadPart {
    /// What it is.
    pub name: String,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

impl AttemptReport {
    /// The step that decided: the first that did not exit 0, unless all is well.
    #[must_use]
    pub fn failed_step(&self) -> Option<&StepReport> {
        self.steps.iter().find(|step| step.exit != Some(0)).filter(|_| self.outcome != Some(Outcome::Ok))
    }
}

/// What an attempt was to do. No secret's value is in it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct JobReport {
    /// What is unpacked into the work directory first.
    pub sources: Vec<JobSource>,
    /// All steps, in order; those of the toolchain are left out where a snapshot of it is had.
    pub steps: Vec<JobStep>,
    /// Variables that hold secrets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
    /// Names (or `PREFIX_*`) of the worker's environment that the steps see.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env_pass: Vec<String>,
}

/// A tree in the work directory.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct JobSource {
    /// The repo.
    pub repo: String,
    /// The commit, 40 digits.
    pub commit: String,
    /// Where it lies, relative to the work directory.
    pub dir: String,
    /// Whether it is a git repository and not only a tree.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub git: bool,
}

/// A command of a job.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct JobStep {
    /// Its name.
    pub name: String,
    /// A line for `sh -c`; `{tests}` stands for what a listing step listed.
    pub command: String,
    /// Where it runs, relative to the work directory.
    pub dir: String,
    /// Its environment, beside the secrets and what is passed on. `$WORKDIR` in a value stands for the work directory.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<(String, String)>,
    /// Whether it builds the toolchain.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub for_toolchain: bool,
    /// Whether it only lists tests.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lists: bool,
}

/// A timed part of an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Span {
    /// `source`, `unpack`, …
    pub name: String,
    /// More about it; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// When it began.
    pub start: Timestamp,
    /// When it ended.
    #[serde(default)]
    pub end: Option<Timestamp>,
    /// What went wrong in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A step of a recipe that ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StepReport {
    /// Its name.
    pub name: String,
    /// Its place among the job's steps, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<u32>,
    /// What ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// When it began.
    #[serde(default)]
    pub started: Option<Timestamp>,
    /// When it ended.
    #[serde(default)]
    pub ended: Option<Timestamp>,
    /// What it exited with, 128 + n for signal n.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<i32>,
    /// First byte of its output in the attempt's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_byte: Option<u64>,
    /// First byte after its output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_byte: Option<u64>,
}

/// The test that failed, or the first error, with a few lines around it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Failure {
    /// Which rule found it: `libtest`, `go-test`, `pytest`, …, `error`, or `tail` if none did.
    pub rule: String,
    /// The test, where one is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<String>,
    /// The line that says it.
    pub headline: String,
    /// Number of that line in the log, from 0.
    pub line: u64,
    /// The lines around it.
    pub lines: Vec<FailureLine>,
    /// The same for builds of the repo that failed alike; filled in by the dashboard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
}

/// A line of a [`Failure`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FailureLine {
    /// Its number in the log, from 0.
    pub line: u64,
    /// Its text without escape sequences, at most 500 characters.
    pub text: String,
}

/// A build in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BuildSummary {
    /// The build's id.
    pub id: String,
    /// The builder's name.
    pub builder: String,
    /// The repo.
    pub repo: String,
    /// The branch.
    pub branch: String,
    /// Canonical text of the revision.
    pub revision: String,
    /// `post_submit`, `try`, …
    pub class: String,
    /// How far it is.
    pub state: BuildState,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// Why.
    pub cause: Option<Cause>,
    /// How many attempts there were.
    pub attempts: u32,
    /// When it was made.
    pub created: Timestamp,
    /// When its first attempt began.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// How long it should take from `started`, milliseconds.
    pub expected_ms: Option<u64>,
}

/// Query of `GET /api/v1/builds`; what is given must match.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct BuildQuery {
    /// Of this repo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repo: Option<String>,
    /// Of this builder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub builder: Option<String>,
    /// Of this branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// Of this commit of the repo (40 digits).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<HashText>")]
    pub commit: Option<String>,
    /// As far as this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<BuildState>,
    /// Ended like this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// At most so many, 50 if not given, never more than 1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub limit: Option<u32>,
    /// `next_cursor` of the list before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<UlidText>")]
    pub cursor: Option<String>,
}

/// Answer of `GET /api/v1/builds`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct BuildList {
    /// The newest first.
    pub builds: Vec<BuildSummary>,
    /// Gives the next ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// A file that a build made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Artifact {
    /// The attempt that made it.
    pub attempt: String,
    /// Its name.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its digest, hexadecimal.
    pub sha256: String,
    /// When it came in.
    pub time: Timestamp,
}

/// Answer of `GET /api/v1/builds/{id}/artifacts`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct ArtifactList {
    /// The artefacts, by attempt and name.
    pub artifacts: Vec<Artifact>,
}

/// Answer of `GET /api/v1/expected`: how long a build should take.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Expected {
    /// Median of the last builds that were ok, from start to end, milliseconds.
    pub median_ms: Option<u64>,
    /// Of how many builds, at most 20.
    pub samples: u32,
}
