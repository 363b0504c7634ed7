//! Checkpoints that are written now and then, while the corpus grows.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::Mutex;

use super::{Start, Unfit, verify, write};
use crate::corpus::Corpus;

/// A checkpoint is written anew when the log has grown by this: what a start replays in about a third of a second.
pub const EVERY: u64 = 64 << 20;

/// Writes the checkpoint of a log's corpus, and knows how much of the log it covers.
#[derive(Debug)]
pub struct Keeper {
    path: PathBuf,
    covered: Mutex<Option<u64>>,
}

impl Keeper {
    /// After a start by the checkpoint at a path, or for want of one.
    #[must_use]
    pub fn new(path: PathBuf, start: &Start) -> Self {
        let covered = match start {
            Start::Checkpoint { covered, .. } => Some(*covered),
            Start::Replay(_) => None,
        };
        Self { path, covered: Mutex::new(covered) }
    }

    /// Where the checkpoint is.
    #[must_use]
    pub const fn path(&self) -> &PathBuf {
        &self.path
    }

    /// Writes the checkpoint if the log has grown by so many bytes since the last one, or if there is none. Says its length if
    /// it did.
    ///
    /// # Errors
    /// What can't be written. The old one stays, and another is written when it is asked again.
    pub async fn keep(&self, corpus: Arc<Corpus>, every: u64) -> Result<Option<u64>, Unfit> {
        let mut covered = self.covered.lock().await;
        let length = corpus.log.len();
        // A log that was rewritten may be shorter.
        let due = match *covered {
            Some(covered) => length < covered || length - covered >= every,
            None => length > 0,
        };
        if !due {
            return Ok(None);
        }
        let path = self.path.clone();
        let written = tokio::task::spawn_blocking(move || write(&corpus, &path)).await;
        let written = written.map_err(|_| Unfit::Stopped)??;
        *covered = Some(length);
        Ok(Some(written))
    }

    /// Reads all of the checkpoint that was started from, and throws it away if it is spoilt, so that the next start replays the
    /// log. What was made of it already may be wrong then.
    ///
    /// # Errors
    /// What is wrong with it.
    pub async fn verify(&self) -> Result<(), Unfit> {
        let mut covered = self.covered.lock().await;
        if covered.is_none() {
            return Ok(());
        }
        let path = self.path.clone();
        let found = tokio::task::spawn_blocking(move || {
            let found = verify(&path);
            if let Err(Unfit::Spoilt(_)) = found {
                // Where it can't be removed, the next start finds the same.
                let _ = std::fs::remove_file(&path);
            }
            found
        });
        let found = found.await.map_err(|_| Unfit::Stopped)?;
        if found.is_err() {
            *covered = None;
        }
        found
    }
}
