//! The daemon over HTTP, asked by hand and by our client.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod api;
#[cfg(feature = "objects")]
mod bucket;
mod daemon;
mod deadline;
mod log;
mod logs;
mod server;
mod sync;
mod tail;
