//! The one process that writes the log and has the corpus of it: what a source adds is safe first, and then to be seen.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use prost::Message as _;
use thiserror::Error;
use tokio::sync::Mutex;
use tokio::task::JoinError;

use crate::checkpoint::{self, Keeper, Start, Unfit};
use crate::corpus::Corpus;
use crate::journal::{Journal, OpenError, Options};
use crate::live::{Live, Sink, SinkError};
use crate::log::{Log, LogError};
use crate::rules::Rules;

/// Why there is no leader.
#[derive(Debug, Error)]
pub enum LeadError {
    /// The log can't be written.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The log can't be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The task that reads it was stopped.
    #[error("reading the log was stopped")]
    Stopped,
}

/// The journal, and the corpus of what is committed in it.
#[derive(Debug)]
pub struct Leader {
    journal: Journal,
    live: Live,
    start: Start,
    /// Held while the next version is made: one after the other.
    making: Mutex<()>,
    checkpoint: Keeper,
}

impl Leader {
    /// Leads the log in a folder, which is made where it is not there. The corpus comes from the checkpoint beside the log, or
    /// from all of it.
    ///
    /// # Errors
    /// That another one leads, and what is wrong with the log.
    pub async fn open(folder: &Path, options: Options) -> Result<Self, LeadError> {
        Self::of(Journal::open(folder, options).await?).await
    }

    /// Leads the log below a prefix of an object store; the folder is its copy, and has the checkpoint.
    ///
    /// # Errors
    /// That the store does not answer, and what is wrong with the log.
    #[cfg(feature = "objects")]
    pub async fn open_objects(
        store: Arc<dyn object_store::ObjectStore>,
        prefix: &str,
        folder: &Path,
        options: Options,
        limits: crate::journal::objects::Limits,
    ) -> Result<Self, LeadError> {
        Self::of(Journal::open_objects(store, prefix, folder, options, limits).await?).await
    }

    async fn of(journal: Journal) -> Result<Self, LeadError> {
        let folder = journal.folder();
        let (place, until) = (folder.to_path_buf(), journal.committed().borrow().total);
        let checkpoint = folder.join(checkpoint::NAME);
        let (corpus, start) = tokio::task::spawn_blocking(move || begin(&place, until))
            .await
            .map_err(|_| LeadError::Stopped)??;
        let checkpoint = Keeper::new(checkpoint, &start);
        Ok(Self { journal, live: Live::new(corpus), start, making: Mutex::new(()), checkpoint })
    }

    /// The log's writer, whose committed segments are to be served.
    #[must_use]
    pub const fn journal(&self) -> &Journal {
        &self.journal
    }

    /// The versions of the corpus.
    #[must_use]
    pub const fn live(&self) -> &Live {
        &self.live
    }

    /// How the corpus came to be at the start.
    #[must_use]
    pub const fn start(&self) -> &Start {
        &self.start
    }

    /// Appends serialized mutations, and gives the version in which they are.
    ///
    /// # Errors
    /// As [`Sink::add`].
    pub async fn append(&self, records: Vec<Vec<u8>>) -> Result<Arc<Corpus>, SinkError> {
        let total = self.journal.append(records).await.map_err(|why| SinkError::Write(Box::new(why)))?;
        let _making = self.making.lock().await;
        let corpus = self.live.corpus();
        // Another one who waited has taken this one's records with its own.
        if corpus.log.len() >= total {
            return Ok(corpus);
        }
        let folder = self.journal.folder().to_path_buf();
        let until = self.journal.committed().borrow().total;
        let next = tokio::task::spawn_blocking(move || corpus.advance(corpus.log.grown(&folder, until)?));
        Ok(self.live.replace(next.await.map_err(stopped)??))
    }

    /// The checkpoint of the corpus, which is written when somebody asks.
    #[must_use]
    pub const fn checkpoint(&self) -> &Keeper {
        &self.checkpoint
    }

    /// Writes a checkpoint if the log has grown by so much since the last one. Says its length if it did.
    ///
    /// # Errors
    /// What can't be written. The old one stays, and [`Keeper::trouble`] says so.
    pub async fn keep(&self, every: u64) -> Result<Option<u64>, Unfit> {
        self.checkpoint.keep(self.live.corpus(), every).await
    }

    /// Ends leading when all is written that was taken.
    ///
    /// # Errors
    /// The write that failed, this time or before.
    pub async fn close(self) -> Result<(), Arc<crate::journal::storage::StorageError>> {
        self.journal.close().await
    }
}

fn begin(folder: &Path, until: u64) -> Result<(Corpus, Start), LogError> {
    let log = if until == 0 { Log::default() } else { Log::default().grown(folder, until)? };
    Corpus::start(&log, Rules::Ours, &folder.join(checkpoint::NAME))
}

fn stopped(why: JoinError) -> SinkError {
    SinkError::Write(Box::new(why))
}

#[async_trait]
impl Sink for Leader {
    fn corpus(&self) -> Arc<Corpus> {
        self.live.corpus()
    }

    async fn add(&self, mutations: Vec<maintpb::Mutation>) -> Result<Arc<Corpus>, SinkError> {
        self.append(mutations.iter().map(maintpb::Mutation::encode_to_vec).collect()).await
    }
}
