//! Tests of the crate from outside, one program.
#![allow(clippy::unwrap_used, reason = "tests")]

mod bisections;
mod mutes;
mod simulate;
mod verdicts;
