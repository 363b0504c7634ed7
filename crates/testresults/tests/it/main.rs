//! Outputs of real programs, and what no output may do.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod outputs;
mod properties;
mod signatures;
