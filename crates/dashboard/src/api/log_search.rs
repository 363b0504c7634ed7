//! Searching the logs of many builds.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use transport::operation::NameText;

use super::Outcome;

/// Query of `GET /api/v1/logs/search`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct LogsQuery {
    /// Regular expressions, one a line; a log needs a line for each. At most 10, of 1000 characters together.
    #[schemars(length(min = 1, max = 1000), pattern(r"^\S"))]
    pub q: String,
    /// A regular expression: logs with a line that it fits are left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub omit: Option<String>,
    /// Of builds of this repo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<NameText>")]
    pub repo: Option<String>,
    /// Of this builder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<NameText>")]
    pub builder: Option<String>,
    /// Of this branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024), pattern(r"^[^\x00-\x1F\x7F-\x9F]*$"))]
    pub branch: Option<String>,
    /// Of builds that ended like this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Of builds that were made then or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// So many lines around each that was found, none if not given, 20 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 20))]
    pub context: Option<u32>,
    /// At most so many lines of one log, 20 if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub lines: Option<u32>,
    /// At most so many logs, 20 if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 200))]
    pub limit: Option<u32>,
    /// `next_cursor` of the answer before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(pattern(r"^[0-7][0-9A-HJKMNP-TV-Z]{25}\.[0-7][0-9A-HJKMNP-TV-Z]{25}$"))]
    pub cursor: Option<String>,
}

/// Answer of `GET /api/v1/logs/search`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct LogsFound {
    /// Logs in which something was found, those of the newest builds first.
    pub logs: Vec<FoundLog>,
    /// Goes on from there. There may be nothing behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
    /// Why it did not go on by itself, where there is a `next_cursor`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truncated: Option<Truncated>,
    /// Whether the expressions hold enough text for the index; if not, every log was read.
    pub indexed: bool,
    /// How many logs were looked at, in the index or by reading.
    pub looked_at: u64,
    /// How many of them were read.
    pub read: u64,
    /// How many could not be read, or not all of them: too long, lost, or away for now. What they hold is not known.
    pub unread: u64,
}

/// Why a search stopped before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Truncated {
    /// As many logs were found as were asked for.
    Limit,
    /// The answer is as large as one may get.
    Size,
    /// It took as long as one request may take.
    Time,
}

/// A log in which something was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FoundLog {
    /// The build.
    pub build: String,
    /// The attempt whose log it is.
    pub attempt: String,
    /// The builder's name.
    pub builder: String,
    /// The repo.
    pub repo: String,
    /// The branch.
    pub branch: String,
    /// Canonical text of the revision.
    pub revision: String,
    /// How the build ended.
    #[serde(default)]
    pub outcome: Option<Outcome>,
    /// When the build was made.
    pub created: Timestamp,
    /// The lines, in order.
    pub hits: Vec<FoundLine>,
    /// Whether there are more than the limit let through.
    pub more: bool,
}

/// A line that was found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct FoundLine {
    /// Its number, from 0.
    pub line: u64,
    /// Its first byte.
    pub byte: u64,
    /// Its text, at most 1 KiB, bytes that are not UTF-8 replaced.
    pub text: String,
    /// Lines before it that are not shown with another, the last one right before it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<String>,
    /// Lines after it, up to the next that was found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<String>,
    /// The page that shows it, below the server's address.
    pub page: String,
}
