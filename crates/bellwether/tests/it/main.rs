//! The `bellwether` command as a user runs it: real processes, real git, real workers.

#![allow(clippy::unwrap_used, reason = "a test that can't go on fails where it stands")]

mod demo;
mod faults;
mod input;
mod load;
mod metrics;
mod sources;
