//! A failure, as rules see it (`spec/services.md` §5.3).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::rule::Record;
use super::snippet::snippet;

/// The fields that a rule may name. `section` is always empty; old rules name it.
pub const FIELDS: &[&str] = &[
    "section", "pkg", "test", "mode", "output", "snippet", "date", "builder", "repo", "goos", "goarch",
    "log", "status",
];

/// One failing test of a build, or a build that failed without one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Parts", into = "Parts")]
pub struct Failure {
    parts: Parts,
    snippet: String,
    date: String,
}

/// What a failure is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parts {
    /// The package; empty if none is known.
    pub pkg: String,
    /// The test; empty if none is known.
    pub test: String,
    /// Whether the build itself failed, so that no test ran.
    pub build: bool,
    /// The log of this failure.
    pub output: String,
    /// The log of the whole run.
    pub log: String,
    /// The name of its status, like `FAIL` or `CRASH`.
    pub status: String,
    /// The builder.
    pub builder: String,
    /// The repository.
    pub repo: String,
    /// The operating system, as Go names it.
    pub goos: String,
    /// The architecture, as Go names it.
    pub goarch: String,
    /// The commit that was built, and when it was committed.
    pub commit: String,
    /// When it was committed.
    pub committed: Timestamp,
    /// Go's commit, if that is another repository's.
    pub go_commit: Option<String>,
    /// Whether it is one of a row that has not ended yet ([`super::Kept::Top`]).
    pub top: bool,
    /// The address of its log.
    pub log_url: String,
}

impl From<Parts> for Failure {
    fn from(parts: Parts) -> Self {
        let short = match snippet(&parts.output) {
            short if short.is_empty() => snippet(&parts.log),
            short => short,
        };
        let date = parts.committed.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        Self { parts, snippet: short, date }
    }
}

impl From<Failure> for Parts {
    fn from(failure: Failure) -> Self {
        failure.parts
    }
}

impl Failure {
    /// What it is made of.
    #[must_use]
    pub fn parts(&self) -> &Parts {
        &self.parts
    }

    /// The few lines of its log that say most.
    #[must_use]
    pub fn snippet(&self) -> &str {
        &self.snippet
    }
}

impl Record for Failure {
    fn field(&self, name: &str) -> &[u8] {
        let parts = &self.parts;
        let text = match name {
            "" | "output" => &parts.output,
            "pkg" => &parts.pkg,
            "test" => &parts.test,
            "mode" if parts.build => "build",
            "snippet" => &self.snippet,
            "date" => &self.date,
            "builder" => &parts.builder,
            "repo" => &parts.repo,
            "goos" => &parts.goos,
            "goarch" => &parts.goarch,
            "log" => &parts.log,
            "status" => &parts.status,
            _ => "",
        };
        text.as_bytes()
    }
}
