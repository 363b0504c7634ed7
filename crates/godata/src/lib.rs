//! The state of a project in memory, fetched from a server of its mutation log, kept on disk and kept up to date.
//!
//! ```no_run
//! # async fn shown() -> Result<(), Box<dyn std::error::Error>> {
//! let cache = godata::default_cache().ok_or("no home")?;
//! let godata = godata::get(godata::Config::at("https://maintner.golang.org/logs", cache)).await?;
//! let mut updates = godata.updates();
//! loop {
//!     let corpus = godata.corpus(); // one version, for as long as it is held
//!     println!("{} records, {} changes", corpus.records, corpus.gerrit.changes().len());
//!     if updates.next().await.is_none() {
//!         return Ok(());
//!     }
//! }
//! # }
//! ```
//!
//! Segments are kept under the names that the original's clients give them, so both may share a folder. Only what is new is
//! fetched, written and hashed: a segment that grows is appended to, with the state of its digest in memory, where the original
//! writes and hashes all of it each time. What was cut off goes on where it ended. Files are mapped, so none is ever cut: one
//! that is wrong is replaced.
//!
//! A log whose server rewrote what was seen (the original's `ErrSplit`, after which a corpus is dead) is found by the digests of
//! what both have in common; the corpus is made anew aside, and whoever reads sees the old one until the new one is whole.
//!
//! A sealed segment that was kept is believed by its name and length, as by the original, and hashed only where it turns out to be
//! no log; [`Kept::Verified`] hashes it each time. What was loaded without a server is what later rounds go on from, so that only
//! what is new is applied then; the original forgets that it has it, and applies all of it once more.
//!
//! Segments may be at other hosts than the index, as the original's are. But an index at an https address leads to none that can be
//! read or changed underway, and one that is everybody's to none that only this machine or its network reaches, by whatever name.
//!
//! Source: spec/maintner.md §2.5, §2.6. There is no server by default: the address is always said.

#![forbid(unsafe_code)]

mod address;
mod cache;
mod config;
mod error;
mod fetch;
mod follow;
mod index;
mod partial;
mod prefix;
mod sync;
mod tail;

pub use cache::default_cache;
pub use config::{Config, Kept, Limits, Mode, Progress, Retry, Updates as FollowLog, Waits};
pub use error::GodataError;
pub use follow::{Godata, State, Updates, get};
pub use tail::{Tail, TailError};
