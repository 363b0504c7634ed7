//! The log as it is served: an index with a long poll, and the bytes of segments. Source: spec/maintner.md §2.4.
//!
//! Only what is committed is shown, so what was served once is never served otherwise.
//!
//! A sealed segment's address ends with its own name, by which our clients know that it will not change. The original's clients
//! look for one thing: whether the address begins with `https://storage.googleapis.com/`. Any other segment they hash anew in
//! each round, all of the log for each record that comes. Who has a copy of the sealed segments in a bucket there says so
//! ([`LogsConfig::sealed_at`]), and they fetch from it and hash nothing twice; without one, they do no less work whatever we say.

mod file;
mod index;
mod range;
mod serve;

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use transport::Routes;
use transport::routes::any;

use crate::readers::Readers;
use maintner::journal::{Committed, Journal};

/// How the log is served.
#[derive(Debug, Clone)]
pub struct LogsConfig {
    /// How long nothing may happen until a waiting client is told so. 55 seconds.
    pub wait: Duration,
    /// How many may wait at once; more are told to come again. 10,000.
    pub waiting: usize,
    /// Where copies of the sealed segments are, as `https://storage.googleapis.com/BUCKET/PREFIX`; none for here. Those of a log
    /// in an object store are named there when they have come there.
    pub sealed_at: Option<String>,
}

impl Default for LogsConfig {
    fn default() -> Self {
        Self { wait: Duration::from_secs(55), waiting: 10_000, sealed_at: None }
    }
}

/// A log that is served. Copies share it.
#[derive(Debug, Clone)]
pub struct Logs(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    committed: watch::Receiver<Arc<Committed>>,
    /// How many segments are in the bucket, where that is known.
    stored: Option<watch::Receiver<usize>>,
    files: file::Files,
    index: index::Shown,
    waiting: Semaphore,
    ending: CancellationToken,
    config: LogsConfig,
}

impl Logs {
    /// Serves what is committed of the log in a folder. When the writer is gone, whoever waits is told to come again.
    #[must_use]
    pub fn new(folder: PathBuf, committed: watch::Receiver<Arc<Committed>>, config: LogsConfig) -> Self {
        Self::begin(folder, committed, None, config)
    }

    /// Serves a journal.
    #[must_use]
    pub fn of(journal: &Journal, config: LogsConfig) -> Self {
        Self::begin(journal.folder().to_path_buf(), journal.committed(), journal.stored(), config)
    }

    fn begin(
        folder: PathBuf,
        committed: watch::Receiver<Arc<Committed>>,
        stored: Option<watch::Receiver<usize>>,
        config: LogsConfig,
    ) -> Self {
        let waiting = Semaphore::new(config.waiting.min(Semaphore::MAX_PERMITS));
        let sealed_at = config.sealed_at.clone();
        Self(Arc::new(Inner {
            committed,
            stored,
            files: file::Files::new(folder),
            index: index::Shown::new(sealed_at),
            waiting,
            ending: CancellationToken::new(),
            config,
        }))
    }

    /// Lets nobody wait any longer: the server is ending.
    pub fn end(&self) {
        self.0.ending.cancel();
    }

    /// What is served now.
    #[must_use]
    pub fn committed(&self) -> Arc<Committed> {
        self.0.committed.borrow().clone()
    }

    /// How many segments may be named where copies are.
    fn copied(&self) -> usize {
        self.0.stored.as_ref().map_or(usize::MAX, |stored| *stored.borrow())
    }

    /// The file in which bytes of an answer lie, and from where on in it, for a server that can send from files; none of bytes
    /// that are not mapped.
    #[must_use]
    pub fn lies(&self, bytes: &[u8]) -> Option<(Arc<File>, u64)> {
        self.0.files.lies(&self.committed(), bytes)
    }

    /// How many wait for more.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.0.config.waiting.saturating_sub(self.0.waiting.available_permits())
    }
}

/// `/logs` and what is below it. Methods are looked at here: the original answers others than GET and HEAD
/// with 400.
pub fn routes(logs: &Logs, readers: Readers) -> Routes {
    let role = readers.role();
    Routes::new()
        .route("/logs", readers.of(any(role, serve::index)).waits())
        .route("/logs/", readers.of(any(role, serve::segment_of_nothing)))
        .route("/logs/{*path}", readers.of(any(role, serve::segment)))
        .with_state(logs.clone())
}
