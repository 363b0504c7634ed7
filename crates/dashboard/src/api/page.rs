//! What pages show beside builds and cells, as their twins with `.json` have it.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
}
