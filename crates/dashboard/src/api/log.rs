//! Logs: written in numbered chunks under a fence, read as bytes, lines or events.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where the log of an attempt stands. Answer to opening it and to every chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct LogState {
    /// Number of the next chunk, from 0.
    pub next_n: u64,
    /// Bytes so far.
    pub bytes: u64,
    /// Ends of lines so far.
    pub lines: u64,
    /// How far the worker's own output is in the log: what lies below need not be sent again.
    pub raw_end: u64,
    /// Whether it is finished.
    #[serde(default)]
    pub finished: bool,
}

/// A part of a log that is not kept, because the log is longer than the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogGap {
    /// First byte that is left out.
    pub first_byte: u64,
    /// First byte that is there again.
    pub end_byte: u64,
    /// Lines that are left out.
    pub lines: u64,
}

/// What is known of an attempt's log without reading it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogInfo {
    /// The attempt.
    pub attempt: String,
    /// Its build.
    pub build: String,
    /// Bytes written, those left out included.
    pub bytes: u64,
    /// Ends of lines.
    pub lines: u64,
    /// Whether it is finished.
    pub finished: bool,
    /// What is not kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap: Option<LogGap>,
}

/// Which part of a log to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogRange {
    /// All of it.
    #[default]
    All,
    /// Bytes from (included) to (excluded).
    Bytes(u64, u64),
    /// So many lines from a line, counted from 0.
    Lines(u64, u64),
    /// Bytes from an offset to the end, and then whatever is written until the log is finished.
    Follow(u64),
}

/// A line that was searched for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SearchHit {
    /// Its number, from 0.
    pub line: u64,
    /// Its first byte.
    pub byte: u64,
    /// Its text, at most 4 KiB, bytes that are not UTF-8 replaced.
    pub text: String,
}

/// Answer of a search.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct LogSearch {
    /// The lines, in order.
    pub hits: Vec<SearchHit>,
    /// Whether there may be more than the limit let through.
    pub more: bool,
}

/// Data of an event `log` of the live tail. The event's id is the offset after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogEvent {
    /// Offset of its first byte.
    pub byte: u64,
    /// Number of the line that it begins in, from 0.
    pub line: u64,
    /// The bytes, those that are not UTF-8 replaced.
    pub text: String,
}
