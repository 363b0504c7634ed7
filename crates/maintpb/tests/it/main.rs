//! What the messages are on the wire, and that their code was made of their definition.

#![allow(clippy::unwrap_used, reason = "these are tests: a panic is how they fail")]

mod generated;
mod vectors;
