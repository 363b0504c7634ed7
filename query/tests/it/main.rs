//! Statements over a small made-up project, compared with what the corpus itself says.

#![allow(clippy::unwrap_used, reason = "these are tests: a panic is how they fail")]

mod asked;
mod book;
mod errors;
mod formats;
mod past;
mod program;
mod served;
mod tables;
mod world;
