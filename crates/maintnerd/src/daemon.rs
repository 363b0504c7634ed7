//! The daemon as a whole: one that writes a log, or one that follows another's.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use futures::future::BoxFuture;
use godata::{Godata, GodataError};
use maintner::corpus::Corpus;
use maintner::journal::Options;
use maintner::leader::{LeadError, Leader};
use maintner::live::Sink;
use thiserror::Error;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use transport::{Routes, Service};

use crate::api::try_work::TryWork;
use crate::api::try_work::gerrit::GerritReviews;
use crate::api::{self, Api, Home, View};
use crate::logs::{self, Logs, LogsConfig};
use crate::page::{self, Shown, Standing};
use crate::readers::Readers;
use crate::recent::Recent;
use crate::sources::Sources;

/// What a daemon is told.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// How the log is served.
    pub logs: LogsConfig,
    /// The project that releases are made of.
    pub home: Home,
}

/// What is followed.
pub enum Of {
    /// The log in a folder, which nobody else writes then.
    Own {
        /// Where it lies; made where it is not there.
        folder: PathBuf,
        /// How it is written.
        options: Options,
    },
    /// The log in an object store, which is led from now on: whoever led it before is refused.
    #[cfg(feature = "objects")]
    Stored {
        /// The store. The log lies below its root; a bucket of the original is taken over.
        store: Arc<dyn object_store::ObjectStore>,
        /// Where its copy lies, and what is not of the log.
        folder: PathBuf,
        /// How it is written.
        options: Options,
    },
    /// Another's log. Nothing is polled, and the log is not served.
    Others(Box<godata::Config>),
}

/// Why a daemon does not begin, or go on.
#[derive(Debug, Error)]
pub enum DaemonError {
    /// The corpus is not to be believed.
    #[error("the daemon can't go on: {0}")]
    Checkpoint(String),
    /// Its own log.
    #[error(transparent)]
    Leader(#[from] LeadError),
    /// Another's log.
    #[error(transparent)]
    Follower(#[from] GodataError),
    /// What polls a source ended, which it does not by itself.
    #[error("a source is not polled any more: {0}")]
    Source(String),
}

/// Polls a source until it is told to end, or the log takes no more: it writes into the sink what is new, and says how it
/// stands.
pub type Poller = Box<
    dyn FnOnce(Arc<dyn Sink>, Sources, CancellationToken) -> BoxFuture<'static, Result<(), String>> + Send,
>;

enum Reading {
    Leader(Arc<Leader>, Logs),
    Follower(Godata),
}

/// A daemon. It reads and serves as long as it is there.
pub struct Daemon {
    reading: Reading,
    api: Api,
    sources: Sources,
    recent: Recent,
    _noting: AbortOnDropHandle<()>,
}

impl Daemon {
    /// Begins with a log, and asks `gerrit`, if it is told one, what waits to be tried.
    ///
    /// # Errors
    /// What keeps it from the log.
    pub async fn start(of: Of, config: Config, gerrit: Option<Service>) -> Result<Arc<Self>, DaemonError> {
        let reading = match of {
            Of::Own { folder, options } => {
                let leader = Leader::open(&folder, options).await?;
                let logs = Logs::of(leader.journal(), config.logs);
                Reading::Leader(Arc::new(leader), logs)
            }
            #[cfg(feature = "objects")]
            Of::Stored { store, folder, options } => {
                let limits = maintner::journal::objects::Limits::default();
                let leader = Leader::open_objects(store, "", &folder, options, limits).await?;
                let logs = Logs::of(leader.journal(), config.logs);
                Reading::Leader(Arc::new(leader), logs)
            }
            Of::Others(config) => Reading::Follower(godata::get(*config).await?),
        };
        let versions = match &reading {
            Reading::Leader(leader, _) => leader.live().subscribe(),
            Reading::Follower(godata) => godata.versions(),
        };
        let recent = Recent::default();
        let noting = AbortOnDropHandle::new(tokio::spawn(recent.clone().follow(versions.clone())));
        let view: View = Arc::new(move || versions.borrow().clone());
        let try_work = gerrit.map(|gerrit| TryWork::new(Arc::new(GerritReviews::new(gerrit))));
        let api = Api::new(view, config.home, try_work);
        Ok(Arc::new(Self { reading, api, sources: Sources::default(), recent, _noting: noting }))
    }

    /// All that a daemon serves which is a service of its own.
    pub fn routes(self: &Arc<Self>) -> Routes {
        self.all(true, Readers::All)
    }

    /// What it serves within a larger service, whose own `/`, `/healthz` and `/metrics` are.
    pub fn routes_within(self: &Arc<Self>, readers: Readers) -> Routes {
        self.all(false, readers)
    }

    fn all(self: &Arc<Self>, alone: bool, readers: Readers) -> Routes {
        let shown = Shown { daemon: self.clone(), alone };
        let routes = page::routes(shown, readers).merge(api::routes(&self.api, readers));
        match &self.reading {
            Reading::Leader(_, logs) => routes.merge(logs::routes(logs, readers)),
            Reading::Follower(_) => routes,
        }
    }

    /// The newest version of the corpus.
    #[must_use]
    pub fn corpus(&self) -> Arc<Corpus> {
        match &self.reading {
            Reading::Leader(leader, _) => leader.live().corpus(),
            Reading::Follower(godata) => godata.corpus(),
        }
    }

    /// Where mutations go, of one that writes a log.
    #[must_use]
    pub fn sink(&self) -> Option<Arc<dyn Sink>> {
        match &self.reading {
            Reading::Leader(leader, _) => Some(leader.clone()),
            Reading::Follower(_) => None,
        }
    }

    /// Where sources say how they stand.
    #[must_use]
    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    /// The file in which bytes of an answer lie, and from where on in it, of one that serves its log: see [`Logs::lies`].
    #[must_use]
    pub fn lies(&self, bytes: &[u8]) -> Option<(Arc<File>, u64)> {
        match &self.reading {
            Reading::Leader(_, logs) => logs.lies(bytes),
            Reading::Follower(_) => None,
        }
    }

    /// Why the corpus may be old.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        match &self.reading {
            // One that can't write ends.
            Reading::Leader(..) => None,
            Reading::Follower(godata) => godata.state().borrow().trouble.clone(),
        }
    }

    /// Why the last checkpoint that was due was not written.
    #[must_use]
    pub fn checkpoint_trouble(&self) -> Option<String> {
        match &self.reading {
            Reading::Leader(leader, _) => leader.checkpoint().trouble(),
            Reading::Follower(godata) => godata.checkpoint_trouble(),
        }
    }

    /// How it stands.
    #[must_use]
    pub fn standing(&self) -> Standing {
        let corpus = self.corpus();
        let (role, waiting) = match &self.reading {
            Reading::Leader(_, logs) => ("leader", logs.waiting()),
            Reading::Follower(_) => ("follower", 0),
        };
        Standing {
            role,
            trouble: self.trouble(),
            checkpoint_trouble: self.checkpoint_trouble(),
            bytes: corpus.log.len(),
            segments: corpus.log.files().len(),
            records: corpus.records,
            issues: corpus.github.issues().len(),
            changes: corpus.gerrit.changes().len(),
            commits: corpus.gerrit.commits().len(),
            waiting,
            sources: self.sources.all(),
            recent: self.recent.all(),
        }
    }

    /// Polls sources until `shutdown`; of one that follows another's log, there is nothing to poll and nothing is.
    ///
    /// # Errors
    /// What the daemon can't go on after: the log takes no more, or a poller ended by itself.
    pub async fn run(&self, pollers: Vec<Poller>, shutdown: CancellationToken) -> Result<(), DaemonError> {
        let Reading::Leader(leader, logs) = &self.reading else {
            shutdown.cancelled().await;
            return Ok(());
        };
        let stop = shutdown.child_token();
        let mut polling = JoinSet::new();
        for poller in pollers {
            let sink: Arc<dyn Sink> = leader.clone();
            polling.spawn(poller(sink, self.sources.clone(), stop.clone()));
        }
        let ended = tokio::select! {
            () = shutdown.cancelled() => Ok(()),
            why = checkpoints(leader) => Err(DaemonError::Checkpoint(why)),
            Some(ended) = polling.join_next() => match ended {
                Ok(Ok(())) if shutdown.is_cancelled() => Ok(()),
                Ok(Ok(())) => Err(DaemonError::Source("it ended".into())),
                Ok(Err(why)) => Err(DaemonError::Source(why)),
                Err(why) => Err(DaemonError::Source(why.to_string())),
            },
        };
        logs.end();
        // What they have begun to write is written.
        stop.cancel();
        while polling.join_next().await.is_some() {}
        leader.checkpoint().keep_and_tell(leader.live().corpus(), 1).await;
        ended
    }
}

/// Writes checkpoints. Ends with why the corpus is not to be believed.
async fn checkpoints(leader: &Leader) -> String {
    let keeper = leader.checkpoint();
    if let Err(why) = keeper.verify().await {
        return format!(
            "{}: {why}; it was removed: start again, which then reads the whole log",
            keeper.path().display()
        );
    }
    match keeper.run(leader.live().subscribe()).await {}
}

/// For tests and others that wait for versions.
impl Daemon {
    /// The versions of the corpus.
    #[must_use]
    pub fn versions(&self) -> watch::Receiver<Arc<Corpus>> {
        match &self.reading {
            Reading::Leader(leader, _) => leader.live().subscribe(),
            Reading::Follower(godata) => godata.versions(),
        }
    }
}
