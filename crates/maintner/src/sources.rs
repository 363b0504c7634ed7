//! Where mutations come from. A source reads a service, compares what that says with the corpus, and writes what is other into
//! the log: what is asked for again, lost or told twice changes nothing in the end. Source: spec/maintner.md §4.

pub mod gerrit;
pub mod git;
pub mod github;
