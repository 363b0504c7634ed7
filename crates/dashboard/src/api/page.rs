//! What pages show beside builds and cells, as their twins with `.json` have it.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::TestResult;

/// Builds that failed alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FailureGroup {
    /// What they have in common.
    pub signature: String,
    /// The repo.
    pub repo: String,
    /// The test that failed, or the line that says it.
    pub headline: String,
    /// How many builds.
    pub builds: i64,
    /// On how many builders.
    pub builders: i64,
    /// On how many branches.
    pub branches: i64,
    /// When the first of them was made.
    pub first: Timestamp,
    /// When the last of them was made.
    pub last: Timestamp,
    /// That one.
    pub build: String,
}

/// A build that failed like others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AlikeBuild {
    /// The build's id.
    pub build: String,
    /// The repo.
    pub repo: String,
    /// The branch.
    pub branch: String,
    /// The builder's name.
    pub builder: String,
    /// The commit.
    pub commit: String,
    /// The test that failed, where one is named.
    pub test: Option<String>,
    /// The line that says it.
    pub headline: String,
    /// Number of that line in the log, from 0.
    pub line: i64,
    /// When the build was made.
    pub made: Timestamp,
}

/// What became of a builder's builds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BuilderStatistics {
    /// The builder's name.
    pub builder: String,
    /// How many builds ended.
    pub builds: i64,
    /// So many were ok.
    pub ok: i64,
    /// So many failed.
    pub failed: i64,
    /// So many lost their machine or source.
    pub infra_failed: i64,
    /// With more than one attempt.
    pub retried: i64,
    /// From made to begun on average, microseconds.
    pub queued_us: i64,
    /// From begun to ended on average, microseconds.
    pub took_us: i64,
    /// The timed parts of builds that were judged, in the order of a build.
    pub steps: Vec<StepStatistics>,
}

/// How long a part of a builder's builds takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StepStatistics {
    /// Its name.
    pub step: String,
    /// How often it was timed.
    pub times: i64,
    /// Half of them took at most so long, microseconds.
    pub median_us: i64,
    /// Nine in ten took at most so long, microseconds.
    pub p90_us: i64,
}

/// What a machine did, and how much of it was for nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MachineStatistics {
    /// Its host.
    pub host: String,
    /// What it calls itself; its id, if the server has made it.
    pub machine: String,
    /// Attempts that it had.
    pub attempts: i64,
    /// Those that it lost.
    pub lost: i64,
    /// Those that failed on it, where a later one at the same build did not.
    pub flaked: i64,
    /// How long one took on average, microseconds.
    pub took_us: i64,
    /// The same by day, those on which it had some.
    pub days: Vec<MachineDay>,
}

/// What a machine did on a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MachineDay {
    /// The day, UTC, such as `2026-11-28`, on which the builds were made.
    pub day: String,
    /// Attempts that it had.
    pub attempts: i64,
    /// Those that it lost.
    pub lost: i64,
    /// Those that failed on it, where a later one at the same build did not.
    pub flaked: i64,
}

/// What became of the builds of a day.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct DayStatistics {
    /// The day, UTC, such as `2026-11-28`, on which they were made.
    pub day: String,
    /// How many are done.
    pub builds: i64,
    /// So many were ok.
    pub ok: i64,
    /// So many failed.
    pub failed: i64,
    /// So many lost their machine or source.
    pub infra_failed: i64,
    /// With more than one attempt.
    pub retried: i64,
    /// With an attempt that failed before one that did not.
    pub flaked: i64,
    /// Attempts at them.
    pub attempts: i64,
    /// Attempts that machines lost.
    pub lost: i64,
    /// From made to begun on average, microseconds.
    pub queued_us: i64,
    /// From begun to ended on average, microseconds.
    pub took_us: i64,
    /// The timed parts of those that were judged.
    pub steps: Vec<StepDay>,
}

/// How long a part of the builds of a day took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StepDay {
    /// Its name.
    pub step: String,
    /// How often it was timed.
    pub times: i64,
    /// How long it took on average, microseconds.
    pub mean_us: i64,
}

/// A result of a test in one build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TestRun {
    /// The build's id.
    pub build: String,
    /// The attempt.
    pub attempt: String,
    /// Tells apart the same test run in several ways; may be empty.
    pub variant: String,
    /// `ok`, `failed`, `skipped`, …
    pub outcome: String,
    /// How long it took, microseconds.
    pub duration_us: Option<i64>,
    /// The repo.
    pub repo: String,
    /// The branch.
    pub branch: String,
    /// The commit.
    pub commit: String,
    /// The builder.
    #[serde(default)]
    pub builder: String,
    /// Its name.
    #[serde(default)]
    pub test: String,
    /// Whether it failed, and by the runs that are listed nothing of the commit is to blame: the same commit did well on the
    /// same builder, or the runs before and after it did.
    #[serde(default)]
    pub flaky: bool,
    /// What a failure has in common with those that are alike.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
    /// Class of work of the build: `post_submit`, `try`, …
    #[serde(default)]
    pub class: String,
    /// `cursor` of the list that begins after this one.
    #[serde(default)]
    pub cursor: String,
}

/// A test, by its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TestName {
    /// Its name.
    pub id: String,
    /// The newest build that ran it.
    pub build: String,
}

/// Answer of `GET /tests/find.json`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct TestNames {
    /// Tests, by name.
    pub tests: Vec<TestName>,
    /// Failures with the signature that was asked for, the newest first.
    #[serde(default)]
    pub failures: Vec<TestRun>,
    /// `cursor` of the next list, if there is more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// Answer of `GET /tests/grid.json`: what tests did in the newest builds of a builder.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct TestGrid {
    /// The builds, the newest first.
    pub builds: Vec<TestGridBuild>,
    /// The tests, by name.
    pub rows: Vec<TestGridRow>,
    /// Whether there are more tests than that.
    #[serde(default)]
    pub more: bool,
}

/// A build of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TestGridBuild {
    /// Its id.
    pub build: String,
    /// Its commit.
    pub commit: String,
    /// Its branch.
    pub branch: String,
    /// How it ended.
    pub outcome: String,
}

/// A test of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TestGridRow {
    /// Its name.
    pub id: String,
    /// Tells apart the same test run in several ways; may be empty.
    pub variant: String,
    /// What it did in each of the builds, in their order; nothing where it did not run.
    pub cells: Vec<Option<TestGridCell>>,
}

/// What a test did in a build, in its last attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TestGridCell {
    /// How it ended.
    pub outcome: String,
    /// The attempt.
    pub attempt: String,
    /// How long it took, microseconds.
    pub duration_us: Option<i64>,
}

/// Answer of `GET /builds/{id}/tests.json`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct BuildTests {
    /// How many results there are of each outcome.
    pub counts: Vec<OutcomeCount>,
    /// Results, by outcome and name: those that failed first.
    pub tests: Vec<TestResult>,
    /// `cursor` of the next list, if there is more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// How many results ended in one way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OutcomeCount {
    /// The outcome.
    pub outcome: String,
    /// How many.
    pub count: i64,
}
