//! Results of tests, as whoever reads a log reports them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use transport::operation::Count;

/// What a test result is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TestKind {
    /// It passes or fails.
    #[default]
    Test,
    /// It has a value.
    Benchmark,
}

/// One test in one attempt.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct TestResult {
    /// Its name, unique with `variant` and `kind` in an attempt.
    pub id: String,
    /// Tells apart the same test run in several ways; may be empty.
    #[serde(default)]
    pub variant: String,
    /// What it is.
    #[serde(default)]
    pub kind: TestKind,
    /// `ok`, `failed`, `skipped`, …
    pub outcome: String,
    /// How long it took, microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_us: Option<i64>,
    /// First byte of its output in the attempt's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Count>")]
    pub first_byte: Option<u64>,
    /// Last byte of its output in the attempt's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Count>")]
    pub last_byte: Option<u64>,
    /// What a benchmark measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// In what unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// What a failure said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What a failure has in common with those that are alike; filled in by the dashboard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
    /// The attempt; filled in by the dashboard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<String>,
}

/// Body of `POST /api/v1/attempts/{attempt}/tests/read`: what of the log tells of tests, and how.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct TestSource {
    /// `dist`, `go-json`, `tap`, `libtest-json`, `libtest` or `pytest`.
    #[schemars(pattern(r"^(dist|go-json|tap|libtest-json|libtest|pytest)$"))]
    pub format: String,
    /// The parts of the log, in order.
    pub parts: Vec<LogPart>,
}

/// A part of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct LogPart {
    /// Its first byte.
    #[schemars(with = "Count")]
    pub first_byte: u64,
    /// The byte after its last; the log's end if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Count>")]
    pub end_byte: Option<u64>,
}

/// Answer of it: what was found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct TestsRead {
    /// How many results were written.
    pub tests: u64,
    /// How many were left out, because there are too many.
    #[serde(default)]
    pub left_out: u64,
    /// Lines that were too long to be read.
    #[serde(default)]
    pub cut: u64,
}

/// Body of `PUT /api/v1/attempts/{attempt}/tests`, and answer of `GET /api/v1/builds/{id}/tests`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct TestList {
    /// The results.
    pub tests: Vec<TestResult>,
}
