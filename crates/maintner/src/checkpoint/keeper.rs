//! Checkpoints that are written now and then, while the corpus grows.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex, watch};

use super::{Start, Unfit, verify, write};
use crate::corpus::Corpus;

/// A checkpoint is written anew when the log has grown by this: what a start replays in about a third of a second.
pub const EVERY: u64 = 64 << 20;
/// How often it is looked whether one is due.
const LOOK: Duration = Duration::from_secs(10);
/// The same after one could not be written: a disk that is full stays so for a while.
const AFTER_TROUBLE: Duration = Duration::from_secs(60);

/// Writes the checkpoint of a log's corpus, and knows how much of the log it covers.
#[derive(Debug)]
pub struct Keeper {
    path: PathBuf,
    known: Mutex<Known>,
    /// Why the last one that was due was not written.
    trouble: std::sync::Mutex<Option<String>>,
}

/// What is known of the checkpoint that the corpus came from, or that was written of it.
#[derive(Debug, Clone, Copy)]
enum Known {
    /// The corpus is of the whole log, and none was written of it.
    None,
    /// The corpus came from it, and nobody has read all of it yet.
    Unread(u64),
    /// It is as it was written, and covers so much of the log.
    Good(u64),
    /// The corpus came from one that was spoilt: nothing may be written of it.
    Spoilt,
}

impl Keeper {
    /// After a start by the checkpoint at a path, or for want of one.
    #[must_use]
    pub fn new(path: PathBuf, start: &Start) -> Self {
        let known = match start {
            Start::Checkpoint { covered, .. } => Known::Unread(*covered),
            Start::Replay(_) => Known::None,
        };
        Self { path, known: Mutex::new(known), trouble: std::sync::Mutex::default() }
    }

    /// Where the checkpoint is.
    #[must_use]
    pub const fn path(&self) -> &PathBuf {
        &self.path
    }

    /// Writes the checkpoint if the log has grown by so many bytes since the last one, or if there is none. Says its length if
    /// it did. Of a corpus that came from a checkpoint nothing is written before [`verify`](Self::verify) has found that one
    /// good: a mistake in it would be believed for ever.
    ///
    /// # Errors
    /// What can't be written. The old one stays, and another is written when it is asked again.
    pub async fn keep(&self, corpus: Arc<Corpus>, every: u64) -> Result<Option<u64>, Unfit> {
        let mut known = self.known.lock().await;
        let length = corpus.log.len();
        let due = match *known {
            Known::None => length > 0,
            // A log that was rewritten may be shorter.
            Known::Good(covered) => length < covered || length - covered >= every,
            Known::Unread(_) | Known::Spoilt => false,
        };
        if !due {
            return Ok(None);
        }
        let path = self.path.clone();
        let written = tokio::task::spawn_blocking(move || write(&corpus, &path)).await;
        let written = written.unwrap_or(Err(Unfit::Stopped));
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) =
            written.as_ref().err().map(ToString::to_string);
        let written = written?;
        *known = Known::Good(length);
        Ok(Some(written))
    }

    /// As [`keep`](Self::keep), and tells the log of this program what came of it. The log of mutations has all that it would
    /// have; only the next start takes longer. Says whether all is well.
    pub async fn keep_and_tell(&self, corpus: Arc<Corpus>, every: u64) -> bool {
        match self.keep(corpus, every).await {
            Ok(written) => {
                if let Some(bytes) = written {
                    tracing::info!(bytes, "a checkpoint was written");
                }
                true
            }
            Err(why) => {
                tracing::warn!("no checkpoint was written, so the next start replays more: {why}");
                false
            }
        }
    }

    /// Writes a checkpoint of the newest version whenever one is due ([`EVERY`]), for as long as it is polled.
    pub async fn run(&self, versions: watch::Receiver<Arc<Corpus>>) -> std::convert::Infallible {
        loop {
            let corpus = versions.borrow().clone();
            let well = self.keep_and_tell(corpus, EVERY).await;
            tokio::time::sleep(if well { LOOK } else { AFTER_TROUBLE }).await;
        }
    }

    /// Why the last checkpoint that was due was not written; none where it was.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads all of the checkpoint that was started from, and throws it away if it is spoilt, so that the next start replays the
    /// log. What was made of it already may be wrong then, and has to be made anew: [`replayed`](Self::replayed).
    ///
    /// # Errors
    /// What is wrong with it.
    pub async fn verify(&self) -> Result<(), Unfit> {
        let mut known = self.known.lock().await;
        let Known::Unread(covered) = *known else { return Ok(()) };
        let path = self.path.clone();
        let found = tokio::task::spawn_blocking(move || {
            let found = verify(&path);
            if found.is_err() {
                // Where it can't be removed, the next start finds the same.
                let _ = std::fs::remove_file(&path);
            }
            found
        });
        let found = found.await.map_err(|_| Unfit::Stopped)?;
        *known = if found.is_ok() { Known::Good(covered) } else { Known::Spoilt };
        found
    }

    /// The corpus was made anew of the whole log: checkpoints may be written again.
    pub async fn replayed(&self) {
        *self.known.lock().await = Known::None;
    }
}
