//! Tests of the crate from outside, one program.
#![allow(clippy::unwrap_used, reason = "tests")]

mod language;
mod plans;
