//! Commits that someone asks for: found here, or fetched once for all who ask.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use git::{FetchOptions, ObjectId, RefName, RefSpec, Rev};
use tokio::time::Instant;

use crate::repo::{Repo, SharedRepo};

/// How many unknown revisions are remembered.
const MAX_UNKNOWN: usize = 4096;

type Answer = Result<Option<ObjectId>, Arc<git::Error>>;

/// Fetches that are under way, and revisions that the source did not have.
#[derive(Default)]
pub(crate) struct Demand {
    running: Mutex<HashMap<String, Shared<BoxFuture<'static, Answer>>>>,
    unknown: Mutex<HashMap<String, Instant>>,
}

impl Demand {
    /// Forgets what was unknown: the source has news.
    pub(crate) fn forget_unknown(&self) {
        self.unknown.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn is_unknown(&self, rev: &str, for_: std::time::Duration) -> bool {
        let unknown = self.unknown.lock().unwrap_or_else(PoisonError::into_inner);
        unknown.get(rev).is_some_and(|since| since.elapsed() < for_)
    }

    fn note_unknown(&self, rev: &str) {
        let mut unknown = self.unknown.lock().unwrap_or_else(PoisonError::into_inner);
        if unknown.len() >= MAX_UNKNOWN {
            unknown.clear();
        }
        unknown.insert(rev.to_owned(), Instant::now());
    }
}

/// Why a revision has no commit.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DemandError {
    #[error("{0}")]
    BadRevision(#[from] git::NameError),
    #[error("unknown revision {0:?}")]
    Unknown(String),
    #[error("{0}")]
    Source(Arc<git::Error>),
}

impl Repo {
    /// Finds the commit of a revision: by the names of the last round, here, or at the source.
    pub(crate) async fn commit(self: &SharedRepo, rev: &str) -> Result<ObjectId, DemandError> {
        let named = self.named(rev);
        if let Some(id) = named.or_else(|| rev.parse().ok())
            && self.is_present(id)
        {
            return Ok(id);
        }
        let parsed: Rev = match named {
            Some(id) => id.into(),
            None => rev.parse()?,
        };
        if let Some(id) = self.here(&parsed).await.map_err(|error| DemandError::Source(Arc::new(error)))? {
            return Ok(id);
        }
        if self.demand.is_unknown(rev, self.tuning.unknown) {
            return Err(DemandError::Unknown(rev.to_owned()));
        }
        let fetch = {
            let mut running = self.demand.running.lock().unwrap_or_else(PoisonError::into_inner);
            running
                .entry(rev.to_owned())
                .or_insert_with(|| self.clone().start(rev.to_owned(), parsed))
                .clone()
        };
        fetch.await.map_err(DemandError::Source)?.ok_or_else(|| DemandError::Unknown(rev.to_owned()))
    }

    /// Starts to bring a revision. Its task ends by the time limits of git or with the mirror, whether or not anyone
    /// still waits for it.
    fn start(self: SharedRepo, rev: String, parsed: Rev) -> Shared<BoxFuture<'static, Answer>> {
        let cancelled = || Err(Arc::new(git::Error::Cancelled { what: "fetch".into() }));
        let task = tokio::spawn(async move {
            let answer = tokio::select! {
                () = self.stop.cancelled() => cancelled(),
                answer = self.clone().bring(parsed) => answer,
            };
            if matches!(answer, Ok(None)) {
                self.demand.note_unknown(&rev);
            }
            self.demand.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&rev);
            answer
        });
        async move { task.await.unwrap_or_else(|_| cancelled()) }.boxed().shared()
    }

    async fn here(&self, rev: &Rev) -> Result<Option<ObjectId>, git::Error> {
        let id = self.repository().await?.resolve(rev).await?;
        if let Some(id) = id {
            self.note_present(id);
        }
        Ok(id)
    }

    /// Brings a revision from the source.
    async fn bring(self: SharedRepo, rev: Rev) -> Answer {
        // While the first round runs, it brings everything; a second transfer of it all helps nobody.
        let mut view = self.view.subscribe();
        let _ = view.wait_for(|view| view.started == 0 || view.finished > 0).await;
        let found = async {
            if let Some(id) = self.here(&rev).await? {
                return Ok(Some(id));
            }
            let cancel = Default::default();
            match rev.as_id() {
                Some(id) => {
                    let url = self.source().await?.url;
                    let name = format!("refs/bellwether/wanted/{id}");
                    let name: RefName = name.parse().expect("invariant: hexadecimal digits make a name");
                    let timeout = self.git.limits().transfer;
                    let options = FetchOptions { prune: false, depth: None, timeout, cancel };
                    let repository = self.repository().await?;
                    match repository.fetch_quietly(&url, &[RefSpec::object(id, &name)], &options).await {
                        Ok(()) => {}
                        Err(git::Error::NoSuchRevision { .. }) => return Ok(None),
                        Err(error) => return Err(error),
                    }
                }
                None => drop(self.sync(&cancel).await?),
            }
            if let Some(id) = self.named(rev.as_str()) {
                return self.here(&id.into()).await;
            }
            self.here(&rev).await
        };
        found.await.map_err(Arc::new)
    }
}
