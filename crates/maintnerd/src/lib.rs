//! The daemon that knows a project: it serves the mutation log, and answers questions about the corpus that the log makes.
//!
//! Source: spec/maintner.md §2.4, §5.

#![forbid(unsafe_code)]

pub mod api;
mod daemon;
pub mod leader;
pub mod logs;
pub mod measure;
mod page;
pub mod recent;
pub mod sources;

pub use daemon::{Config, Daemon, DaemonError, Of, Poller};
pub use page::Standing;
