//! The agent as a real process, spoken to by its real client.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod agent;
mod archives;
mod attacks;
mod boot;
mod bw1;
mod check;
#[cfg(target_os = "linux")]
mod confined;
mod coordinator;
mod dependencies;
mod endpoints;
mod full;
mod isolation;
mod keep;
mod limits;
mod logging;
mod orders;
mod original;
mod port;
mod raw;
mod restart;
mod reverse;
#[cfg(feature = "ssh")]
mod ssh;
#[cfg(feature = "ssh")]
mod wine;
mod wire;
