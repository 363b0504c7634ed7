//! The git crate against a real git.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod archive;
mod bundle;
mod fixture;
mod group;
mod hostile;
mod many;
mod merge;
mod remote;
mod walk;
