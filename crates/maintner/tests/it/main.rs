//! The corpus of a log, compared with what the original makes of it.

#![allow(clippy::unwrap_used, reason = "these are tests: a panic is how they fail")]

mod decoded;
mod github;
mod growth;
mod logs;
mod original;
mod replay;
mod rules;
mod sink;
