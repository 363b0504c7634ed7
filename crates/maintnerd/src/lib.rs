//! The daemon that knows a project: it serves the mutation log, and answers questions about the corpus that the log makes.
//!
//! Source: spec/maintner.md §2.4, §5.

#![forbid(unsafe_code)]

pub mod logs;
