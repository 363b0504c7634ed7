//! Where mutations come from: what a project's forges say that the corpus does not. Source: spec/maintner.md §4.

pub mod github;
