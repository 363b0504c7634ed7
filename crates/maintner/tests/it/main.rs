//! The corpus of a log, compared with what the original makes of it; and the log itself, as it is written.

#![allow(clippy::unwrap_used, reason = "these are tests: a panic is how they fail")]

mod cases;
mod checkpoint;
mod damaged;
mod decoded;
mod github;
mod growth;
mod journal;
mod known;
mod leader;
mod logs;
mod original;
mod past;
mod poller;
mod queries;
mod replay;
mod rules;
mod server;
mod sink;
