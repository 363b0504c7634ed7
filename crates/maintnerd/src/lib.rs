//! The daemon that knows a project: it serves the mutation log, and answers questions about the corpus that the log makes.
//!
//! Source: spec/maintner.md §2.4, §5.

#![forbid(unsafe_code)]

pub mod api;
mod daemon;
pub mod hints;
pub mod logs;
pub mod measure;
mod page;
mod readers;
pub mod recent;
pub mod sources;
pub mod watch;

pub use daemon::{Config, Daemon, DaemonError, Of, Poller};
pub use page::Standing;
pub use readers::Readers;

/// The mutation of a record's bytes, as sources make them.
///
/// # Errors
/// What is none.
pub fn mutation(bytes: &[u8]) -> Result<maintpb::Mutation, prost::DecodeError> {
    prost::Message::decode(bytes)
}
