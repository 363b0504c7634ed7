//! A corpus that grows: readers take the version there is and keep it for as long as they like, and never wait for the writer.

use std::sync::Arc;

use async_trait::async_trait;
use thiserror::Error;
use tokio::sync::watch;

use crate::corpus::Corpus;
use crate::log::{Log, LogError};

/// The versions of a corpus, of which there is one writer.
#[derive(Debug)]
pub struct Live {
    current: watch::Sender<Arc<Corpus>>,
}

impl Live {
    /// Begins with a version.
    #[must_use]
    pub fn new(corpus: Corpus) -> Self {
        Self { current: watch::Sender::new(Arc::new(corpus)) }
    }

    /// The version there is now, which stays as it is.
    #[must_use]
    pub fn corpus(&self) -> Arc<Corpus> {
        self.current.borrow().clone()
    }

    /// Says when there is another version.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Arc<Corpus>> {
        self.current.subscribe()
    }

    /// Makes the next version, of a log that begins with this one's. Who makes versions makes one after the other.
    ///
    /// # Errors
    /// What is wrong with the log; the version there is stays.
    pub fn advance(&self, log: Log) -> Result<Arc<Corpus>, LogError> {
        Ok(self.replace(self.corpus().advance(log)?))
    }

    /// Puts the next version in the place of this one: the corpus of a longer log, or of one that was rewritten.
    pub fn replace(&self, corpus: Corpus) -> Arc<Corpus> {
        let corpus = Arc::new(corpus);
        self.current.send_replace(corpus.clone());
        corpus
    }
}

/// Why mutations are not in the log, or not in the corpus.
#[derive(Debug, Error)]
pub enum SinkError {
    /// They could not be written. Whether they are in the log can be told only when it is opened again.
    #[error("mutations could not be written: {0}")]
    Write(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// They were written and can't be read.
    #[error("what was written can't be read: {0}")]
    Read(#[from] LogError),
}

/// Where a source's mutations go: into the log, and from there into the corpus.
#[async_trait]
pub trait Sink: Send + Sync {
    /// The newest version of the corpus.
    fn corpus(&self) -> Arc<Corpus>;

    /// Writes mutations, all of them in their order, and gives the version in which they are. Others may have written
    /// meanwhile.
    ///
    /// # Errors
    /// Where they are not safe in the log; nothing can be written after that.
    async fn add(&self, mutations: Vec<maintpb::Mutation>) -> Result<Arc<Corpus>, SinkError>;
}
