//! The corpus of a log, compared with what the original makes of it.

#![allow(clippy::unwrap_used, reason = "these are tests: a panic is how they fail")]

mod decoded;
mod growth;
mod logs;
mod original;
mod poller;
mod replay;
mod rules;
mod server;
mod sink;
