//! The mirror against a real git and a dashboard that remembers.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod api;
mod archives;
mod fixture;
mod once;
mod posting;
mod pushing;
mod settings;
mod sources;
