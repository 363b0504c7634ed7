//! The one who writes the log, and the corpus that it makes as it grows.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use maintner::corpus::{Corpus, Replay};
use maintner::journal::{Committed, Journal, OpenError, Options};
use maintner::live::{Live, Sink, SinkError};
use maintner::log::{Log, LogError};
use maintner::rules::Rules;
use prost::Message as _;
use thiserror::Error;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A segment may be sealed, and renamed, so often while its file is looked for.
const RENAMED: u32 = 5;

/// Why nobody leads.
#[derive(Debug, Error)]
pub enum LeaderError {
    /// The log can't be opened to be written.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The log can't be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The task that reads it was stopped.
    #[error("reading the log was stopped")]
    Stopped,
}

/// What was written can't be read back.
#[derive(Debug, Clone, Error)]
#[error("what was written can't be read: {0}")]
struct Unreadable(Arc<LogError>);

/// The writer of a log, and its corpus. Whoever drops it leads no more.
#[derive(Debug)]
pub struct Leader {
    journal: Journal,
    live: Arc<Live>,
    /// What went wrong; none while all is well.
    broken: watch::Receiver<Option<Unreadable>>,
    keeper: JoinHandle<()>,
}

impl Leader {
    /// Leads the log of a folder from now on; the log may be empty.
    ///
    /// # Errors
    /// That somebody else leads, and a log that can't be read.
    pub async fn open(folder: &Path, options: Options) -> Result<Self, LeaderError> {
        let journal = Journal::open(folder, options).await?;
        let committed = journal.committed();
        let (now, at) = (committed.clone(), folder.to_path_buf());
        let read = move || {
            Ok::<_, LogError>(Corpus::load(
                grown(&Log::default(), &at, &now)?,
                Rules::Ours,
                Replay::default(),
            )?)
        };
        let corpus = tokio::task::spawn_blocking(read).await.map_err(|_| LeaderError::Stopped)??;
        let live = Arc::new(Live::new(corpus));
        let (failed, broken) = watch::channel(None);
        let keeper = tokio::spawn(keep(live.clone(), folder.to_path_buf(), committed, failed));
        Ok(Self { journal, live, broken, keeper })
    }

    /// What may be shown of the log.
    #[must_use]
    pub fn committed(&self) -> watch::Receiver<Arc<Committed>> {
        self.journal.committed()
    }

    /// The corpus.
    #[must_use]
    pub fn live(&self) -> &Arc<Live> {
        &self.live
    }

    /// Where the log lies.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.journal.folder()
    }

    /// What went wrong, if anything did after which nothing can be written.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.broken.borrow().as_ref().map(ToString::to_string)
    }

    /// Waits until something went wrong after which nothing can be written, and says what.
    pub async fn failed(&self) -> String {
        let mut broken = self.broken.clone();
        let said = match broken.wait_for(Option::is_some).await {
            Ok(why) => why.as_ref().map(ToString::to_string),
            Err(_) => None,
        };
        said.unwrap_or_else(|| "the log is not read any more".into())
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

#[async_trait]
impl Sink for Leader {
    fn corpus(&self) -> Arc<Corpus> {
        self.live.corpus()
    }

    async fn add(&self, mutations: Vec<maintpb::Mutation>) -> Result<Arc<Corpus>, SinkError> {
        if mutations.is_empty() {
            return Ok(self.corpus());
        }
        let records = mutations.iter().map(|mutation| mutation.encode_to_vec()).collect();
        let length = self.journal.append(records).await.map_err(|why| SinkError::Write(why.into()))?;
        let (mut versions, mut broken) = (self.live.subscribe(), self.broken.clone());
        tokio::select! {
            version = versions.wait_for(|corpus| corpus.log.len() >= length) => match version {
                Ok(version) => Ok(version.clone()),
                // The sender is this one's own.
                Err(_) => Ok(self.corpus()),
            },
            why = broken.wait_for(Option::is_some) => {
                let why = why.ok().and_then(|why| why.clone());
                Err(SinkError::Write(why.map_or_else(|| "the log is not read any more".into(), Into::into)))
            }
        }
    }
}

/// The log as far as it is committed, of which another is how it begins.
fn grown(before: &Log, folder: &Path, committed: &watch::Receiver<Arc<Committed>>) -> Result<Log, LogError> {
    let mut renamed = 0;
    loop {
        let now = committed.borrow().clone();
        let paths: Vec<_> = now.segments.iter().map(|segment| folder.join(segment.name())).collect();
        match before.grown_of(&paths, now.total) {
            // It was sealed meanwhile; that is shown a moment later.
            Err(LogError::Io { why, .. })
                if why.kind() == std::io::ErrorKind::NotFound && renamed < RENAMED =>
            {
                renamed += 1;
                let sealed = |segment: &maintner::journal::Segment| segment.open(folder).is_ok();
                if now.segments.iter().all(sealed)
                    && let Ok(log) = before.grown(folder, now.total)
                {
                    return Ok(log);
                }
            }
            other => return other,
        }
    }
}

/// Makes the next version of each length of the log, one after another.
async fn keep(
    live: Arc<Live>,
    folder: std::path::PathBuf,
    mut committed: watch::Receiver<Arc<Committed>>,
    failed: watch::Sender<Option<Unreadable>>,
) {
    while committed.changed().await.is_ok() {
        let (live, folder, now) = (live.clone(), folder.clone(), committed.clone());
        let advanced = tokio::task::spawn_blocking(move || {
            let before = live.corpus();
            let log = grown(&before.log, &folder, &now)?;
            if log.len() > before.log.len() { live.advance(log).map(drop) } else { Ok(()) }
        });
        match advanced.await {
            Ok(Ok(())) => {}
            Ok(Err(why)) => {
                tracing::error!("what was written can't be read: {why}");
                failed.send_replace(Some(Unreadable(Arc::new(why))));
                return;
            }
            Err(_) => return,
        }
    }
}
