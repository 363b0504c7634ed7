//! The agent as a real process, spoken to by its real client.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod agent;
mod archives;
mod bw1;
mod coordinator;
mod full;
mod limits;
mod original;
mod restart;
mod reverse;
mod wire;
