//! The audit log.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Answer of `GET /api/v1/audit`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditList {
    /// What was done, the newest first.
    pub entries: Vec<AuditInfo>,
    /// `before` of the next page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<i64>,
    /// How many rows there are in all.
    pub rows: i64,
    /// Every word of what was done that there is.
    pub actions: Vec<String>,
    /// The last check of the chain of hashes; none of a long chain that nobody had checked yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain: Option<AuditChain>,
}

/// What somebody did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditInfo {
    /// Counts from 1 without gaps.
    pub seq: i64,
    /// When.
    pub time: Timestamp,
    /// Who.
    pub actor: String,
    /// A word.
    pub action: String,
    /// To what.
    pub target: String,
    /// More about it; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// Its hash, which covers the row before it.
    pub hash: String,
}

/// A check of the chain of hashes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditChain {
    /// How many rows it had.
    pub rows: i64,
    /// What is wrong with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// When it was checked.
    pub at: Timestamp,
}
