//! The `bellwether` command as a user runs it: real processes, real git, real workers.

#![allow(clippy::unwrap_used, reason = "a test that can't go on fails where it stands")]

mod api;
mod attacks;
mod book;
mod demo;
mod edge;
mod events;
mod faults;
mod forges;
mod gomotes;
mod import;
mod input;
mod load;
mod metrics;
mod mutations;
mod mutes;
mod pulls;
mod pulls_story;
mod rules;
mod sources;
#[cfg(feature = "full")]
mod telemetry;
mod tries;
mod tries_together;
mod verdicts;
mod watchflakes;
