//! The loop of one repository: fetch, wake the pushes, post, wait.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use git::{FetchOptions, Listing, ObjectId, RefName, RefSpec, RemoteUrl, Scope};
use tokio_util::sync::CancellationToken;
use transport::Service;

use crate::post::Poster;
use crate::repo::{Known, Repo, SharedRepo, Source};
use crate::{branches, watch};

/// How often a fetch is tried in a round.
const TRIES: u32 = 3;
/// Where a `HEAD` on no branch is kept.
pub(crate) const DETACHED_REF: &str = "refs/bellwether/head";

/// Whether a look at the source brought news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum News {
    None,
    Fetched,
}

impl Repo {
    /// Looks after the repository until it is told to stop.
    pub(crate) async fn watch_over(self: SharedRepo, dashboard: Service, cancel: CancellationToken) {
        let mut poster = Poster::new(dashboard, self.clone());
        loop {
            self.view.send_modify(|view| view.started += 1);
            let before = watch::fingerprint(self.local_folders().await).await;
            let went_well = tokio::select! {
                () = cancel.cancelled() => return,
                went_well = self.round(&mut poster, &cancel) => went_well,
            };
            let poll = self.settings().poll;
            let wait = if went_well { poll } else { poll.min(self.tuning.retry) };
            tokio::select! {
                () = cancel.cancelled() => return,
                () = self.wake.notified() => {}
                () = tokio::time::sleep(wait) => {}
                () = watch::changed(self.local_folders().await, before, self.tuning.watch) => {}
            }
        }
    }

    async fn local_folders(&self) -> Option<watch::Folders> {
        self.source().await.ok().and_then(|source| source.local)
    }

    /// Does one round and says whether all went well.
    async fn round(self: &SharedRepo, poster: &mut Poster, cancel: &CancellationToken) -> bool {
        self.status().note("fetching".into());
        let fetched = self.sync_with_retries(cancel).await;
        let blocked = fetched.as_ref().err().map(reason);
        self.view.send_modify(|view| view.blocked.clone_from(&blocked));
        if let Some(reason) = &blocked {
            tracing::warn!(repo = self.name, reason, "the repository can't be fetched");
        }
        self.status().note("posting".into());
        let posted = poster.post().await;
        let trouble = posted.err().map(|error| format!("posting to the dashboard: {error}"));
        if fetched == Ok(News::Fetched) {
            self.tidy().await;
        }
        let went_well = blocked.is_none() && trouble.is_none();
        {
            let mut status = self.status();
            match blocked.as_ref().or(trouble.as_ref()) {
                Some(error) => {
                    status.bad(Instant::now(), error);
                    status.note(error.clone());
                }
                None => {
                    status.good(Instant::now());
                    status.note("waiting".into());
                }
            }
        }
        self.view.send_modify(|view| {
            view.trouble = trouble;
            view.finished = view.started;
        });
        went_well
    }

    async fn tidy(&self) {
        if let Ok(repository) = self.repository().await
            && let Err(error) = repository.maintain().await
        {
            tracing::warn!(repo = self.name, %error, "the mirror can't be tidied");
        }
    }

    async fn sync_with_retries(&self, cancel: &CancellationToken) -> Result<News, SyncError> {
        let mut last = None;
        for attempt in 0..TRIES {
            tokio::time::sleep(self.tuning.back_off * attempt).await;
            match self.sync(cancel).await {
                Ok(news) => return Ok(news),
                Err(error) => {
                    let again = error.is_transient();
                    self.status().note(format!("fetch, attempt {attempt}: {error}"));
                    last = Some(SyncError::from(error));
                    if !again {
                        break;
                    }
                }
            }
        }
        Err(last.unwrap_or(SyncError(String::new())))
    }

    /// Compares the source's branches and tags with ours and fetches where they differ.
    pub(crate) async fn sync(&self, cancel: &CancellationToken) -> Result<News, git::Error> {
        let mut known = self.fetching.lock().await;
        let result = self.sync_known(&mut known, cancel).await;
        if result.is_err() {
            // The next round looks again where the source is.
            self.forget_source();
        }
        result
    }

    async fn sync_known(&self, known: &mut Known, cancel: &CancellationToken) -> Result<News, git::Error> {
        let repository = self.repository().await?;
        let source = self.source().await?;
        let head_known = known.head_at.is_some_and(|at| at.elapsed() < self.tuning.head);
        let attached = self.view.borrow().default_branch.as_deref() != Some(branches::DETACHED);
        let scope =
            if source.local.is_none() && head_known && attached { Scope::HeadsAndTags } else { Scope::All };
        let listing = self.git.ls_remote(&source.url, scope, self.git.limits().listing).await?;
        let theirs = heads_and_tags(listing.refs.iter().map(|entry| (&entry.name, entry.id)));
        if theirs.is_empty() && (listing.head.is_none() || scope == Scope::HeadsAndTags) {
            known.head_at = None;
            return Err(git::Error::Empty { url: source.url.to_string() });
        }
        let (default_branch, detached) = match scope {
            Scope::All => {
                known.head_at = Some(tokio::time::Instant::now());
                let default = branches::default_branch(&listing);
                let detached = listing.head.filter(|_| default.as_deref() == Some(branches::DETACHED));
                (default, detached)
            }
            Scope::HeadsAndTags => self.still_default(known, &listing),
        };
        let seen = self.view.borrow().seen;
        let (ours, kept) = if seen {
            let view = self.view.borrow();
            (view.refs.clone(), view.detached)
        } else {
            let all = repository.refs("refs/").await?;
            let kept = all.iter().find(|entry| entry.name.as_str() == DETACHED_REF).map(|entry| entry.id);
            (Arc::new(heads_and_tags(all.iter().map(|entry| (&entry.name, entry.id)))), kept)
        };
        let mut news = News::None;
        let mut refs = ours.clone();
        let deeper = repository.is_shallow().await && was_deepened(&source, repository).await;
        if *ours != theirs || detached.is_some_and(|id| Some(id) != kept) || deeper {
            self.fetch_all(&source.url, detached.is_some(), cancel).await?;
            let all = repository.refs("refs/").await?;
            refs = Arc::new(heads_and_tags(all.iter().map(|entry| (&entry.name, entry.id))));
            news = News::Fetched;
            self.demand.forget_unknown();
        }
        self.view.send_modify(|view| {
            view.refs = refs;
            view.detached = detached;
            view.default_branch = default_branch;
            view.seen = true;
            view.blocked = None;
            view.fetches += u64::from(news == News::Fetched);
        });
        Ok(news)
    }

    async fn fetch_all(
        &self,
        url: &RemoteUrl,
        detached: bool,
        cancel: &CancellationToken,
    ) -> Result<(), git::Error> {
        let timeout = self.git.limits().transfer;
        let options = FetchOptions { prune: true, depth: None, timeout, cancel: cancel.clone() };
        let repository = self.repository().await?;
        repository.fetch_quietly(url, &RefSpec::heads_and_tags(), &options).await?;
        if detached {
            let name: RefName = DETACHED_REF.parse().expect("invariant: a plain name");
            repository
                .fetch_quietly(url, &[RefSpec::head(&name)], &FetchOptions { prune: false, ..options })
                .await?;
        }
        Ok(())
    }

    /// Keeps the default branch where `HEAD` was not asked for, unless it is gone.
    fn still_default(&self, known: &mut Known, listing: &Listing) -> (Option<String>, Option<ObjectId>) {
        let view = self.view.borrow();
        let there = |name: &String| listing.refs.iter().any(|entry| entry.name.as_branch() == Some(name));
        match view.default_branch.clone().filter(there) {
            Some(name) => (Some(name), None),
            None => {
                known.head_at = None;
                (branches::default_branch(listing), None)
            }
        }
    }
}

/// Whether a source on this machine has another edge of its history than the mirror.
async fn was_deepened(source: &Source, mirror: &git::Repository) -> bool {
    let Some((_, common_dir)) = &source.local else { return false };
    let edge = async |dir: &std::path::Path| {
        let text = tokio::fs::read_to_string(dir.join("shallow")).await.unwrap_or_default();
        text.lines().map(str::to_owned).collect::<std::collections::BTreeSet<_>>()
    };
    edge(common_dir).await != edge(mirror.dir()).await
}

/// Why a repository is blocked.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SyncError(String);

impl From<git::Error> for SyncError {
    fn from(error: git::Error) -> Self {
        SyncError(error.to_string())
    }
}

fn reason(error: &SyncError) -> String {
    error.0.clone()
}

fn heads_and_tags<'a>(refs: impl Iterator<Item = (&'a RefName, ObjectId)>) -> BTreeMap<RefName, ObjectId> {
    let ours = |name: &RefName| name.as_branch().is_some() || name.as_tag().is_some();
    refs.filter(|(name, _)| ours(name)).map(|(name, id)| (name.clone(), id)).collect()
}
