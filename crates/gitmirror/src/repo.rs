//! One mirrored repository: what its tasks and requests share.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use git::{Git, ObjectId, RefName, RemoteUrl, Repository};
use tokio::sync::{Notify, OnceCell, watch};
use tokio_util::sync::CancellationToken;

use crate::demand::Demand;
use crate::round::DETACHED_REF;
use crate::state::View;
use crate::status::Status;
use crate::{DestinationState, Health, RepoConfig, RepoState, Tuning, branches};

pub(crate) struct Repo {
    pub(crate) name: String,
    url: String,
    /// Where it is pushed to.
    pub(crate) places: Vec<String>,
    settings: RwLock<Arc<Settings>>,
    pub(crate) git: Git,
    pub(crate) tuning: Tuning,
    dir: PathBuf,
    repository: OnceCell<Repository>,
    /// Held while branches and tags are brought here.
    pub(crate) fetching: tokio::sync::Mutex<Known>,
    source: Mutex<Option<Source>>,
    pub(crate) view: watch::Sender<View>,
    pub(crate) wake: Notify,
    pub(crate) demand: Demand,
    /// Ends with the mirror.
    pub(crate) stop: CancellationToken,
    status: Mutex<Status>,
    destinations: Mutex<BTreeMap<String, DestinationState>>,
    /// Commits that are known to be here.
    present: Mutex<HashMap<ObjectId, ()>>,
    landed: Mutex<Landed>,
}

/// Commits that branches, tags and a `HEAD` on no branch are known to have in their history, as long as those are what they were.
#[derive(Default)]
struct Landed {
    refs: Arc<BTreeMap<RefName, ObjectId>>,
    detached: Option<ObjectId>,
    commits: HashSet<ObjectId>,
}

/// What a repository is told and may be told otherwise while it is looked after.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Patterns of the branches that are posted.
    pub(crate) branches: Vec<String>,
    pub(crate) horizon: u32,
    pub(crate) poll: Duration,
    pub(crate) private: bool,
}

impl From<&RepoConfig> for Settings {
    fn from(config: &RepoConfig) -> Self {
        let RepoConfig { branches, horizon, poll, private, name: _, url: _, destinations: _ } = config;
        Settings { branches: branches.clone(), horizon: *horizon, poll: *poll, private: *private }
    }
}

/// What is known of the source.
#[derive(Default)]
pub(crate) struct Known {
    /// When `HEAD` was last asked for.
    pub(crate) head_at: Option<tokio::time::Instant>,
}

/// Where a repository comes from.
#[derive(Clone)]
pub(crate) struct Source {
    pub(crate) url: RemoteUrl,
    /// Its folders, if it lies on this machine: of `HEAD`, and of the branches.
    pub(crate) local: Option<(PathBuf, PathBuf)>,
}

impl Repo {
    pub(crate) fn new(
        config: RepoConfig,
        git: Git,
        dir: &Path,
        tuning: Tuning,
        stop: CancellationToken,
    ) -> Self {
        let dir = dir.join(format!("{}.git", config.name));
        let status = Mutex::new(Status::new(Instant::now(), config.poll));
        let settings = RwLock::new(Arc::new(Settings::from(&config)));
        let RepoConfig { name, url, destinations, .. } = config;
        Repo {
            status,
            name,
            url,
            places: destinations,
            settings,
            git,
            tuning,
            dir,
            repository: OnceCell::new(),
            fetching: Default::default(),
            source: Mutex::default(),
            view: watch::Sender::new(View::default()),
            wake: Notify::new(),
            demand: Demand::default(),
            stop,
            destinations: Mutex::default(),
            present: Mutex::default(),
            landed: Mutex::default(),
        }
    }

    /// Whether it needs no other tasks than it has to be as this configuration says.
    pub(crate) fn is_of(&self, config: &RepoConfig) -> bool {
        self.url == config.url && self.places == config.destinations
    }

    /// Takes over what another one, whose tasks end, knows of the same source: nobody is to take it for new.
    pub(crate) fn inherit(&self, other: &Repo) {
        if self.url == other.url {
            self.view.send_replace(other.view.borrow().clone());
        }
    }

    pub(crate) fn settings(&self) -> Arc<Settings> {
        self.settings.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes the settings in place. What is newly wanted is brought by a round that begins at once, or after the one
    /// that runs.
    pub(crate) fn set(&self, settings: Settings) {
        if *self.settings() == settings {
            return;
        }
        self.status().expect_within(settings.poll);
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
        self.wake.notify_one();
    }

    /// Opens or makes the bare repository, once.
    pub(crate) async fn repository(&self) -> Result<&Repository, git::Error> {
        self.repository.get_or_try_init(|| self.git.init_bare(&self.dir)).await
    }

    /// Finds where the repository comes from: once, and again after a failure.
    pub(crate) async fn source(&self) -> Result<Source, git::Error> {
        let known = self.source.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(source) = known {
            return Ok(source);
        }
        let no = |url: &str, error: git::UrlError| git::Error::NotFound {
            url: url.to_owned(),
            detail: error.to_string(),
        };
        let url: RemoteUrl = self.url.parse().map_err(|error| no("of the configuration", error))?;
        let source = match url.local_path() {
            None => Source { url, local: None },
            Some(path) => {
                let found = self.git.find(path).await?;
                let url = RemoteUrl::from_path(&found.top).map_err(|error| no("on this machine", error))?;
                Source { url, local: Some((found.git_dir, found.common_dir)) }
            }
        };
        self.source.lock().unwrap_or_else(PoisonError::into_inner).replace(source.clone());
        Ok(source)
    }

    pub(crate) fn forget_source(&self) {
        self.source.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    pub(crate) fn status(&self) -> MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn destinations(&self) -> MutexGuard<'_, BTreeMap<String, DestinationState>> {
        self.destinations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_present(&self, id: ObjectId) -> bool {
        self.present.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&id)
    }

    pub(crate) fn note_present(&self, id: ObjectId) {
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        if present.len() >= 10_000 {
            present.clear();
        }
        present.insert(id, ());
    }

    /// Whether a branch or a tag of the source, as it is known here, has a commit in its history; or its `HEAD`, if that is on no
    /// branch. Before the source was looked at none is known to.
    pub(crate) async fn has_landed(&self, commit: ObjectId) -> Result<bool, git::Error> {
        let (refs, detached, seen) = {
            let view = self.view.borrow();
            (Arc::clone(&view.refs), view.detached, view.seen)
        };
        if !seen {
            return Ok(false);
        }
        // Most often it is what came just now.
        if refs.values().any(|at| *at == commit) {
            return Ok(true);
        }
        let known = || self.landed.lock().unwrap_or_else(PoisonError::into_inner);
        let is_of = |known: &Landed| Arc::ptr_eq(&known.refs, &refs) && known.detached == detached;
        {
            let known = known();
            if is_of(&known) && known.commits.contains(&commit) {
                return Ok(true);
            }
        }
        let repository = self.repository().await?;
        // What was fetched of it, which may be newer than what was seen of it.
        let head = match detached.is_some() {
            true => repository.refs(DETACHED_REF).await?,
            false => Vec::new(),
        };
        let head: Vec<_> = head.iter().map(|entry| entry.id).collect();
        let landed = repository.is_reachable(commit, &head).await?;
        if landed {
            let mut known = known();
            if !is_of(&known) || known.commits.len() >= 10_000 {
                *known = Landed { refs: Arc::clone(&refs), detached, commits: HashSet::new() };
            }
            known.commits.insert(commit);
        }
        Ok(landed)
    }

    pub(crate) fn state(&self) -> RepoState {
        let view = self.view.borrow().clone();
        let selected = branches::select(&view, &self.settings().branches);
        let head = view.default_branch.as_ref().and_then(|name| head_of(&view, name));
        let state = match (&view.blocked, view.seen) {
            (Some(_), _) => Health::Blocked,
            (None, true) => Health::Ok,
            (None, false) => Health::Pending,
        };
        RepoState {
            name: self.name.clone(),
            state,
            reason: view.blocked.clone().or_else(|| view.trouble.clone()),
            default_branch: view.default_branch.clone(),
            head: head.map(|id| id.to_string()),
            branches: selected.into_iter().map(|(name, id)| (name, id.to_string())).collect(),
            rounds: view.finished,
            fetches: view.fetches,
            status: self.status().line(Instant::now()),
            destinations: self.destinations().values().cloned().collect(),
        }
    }

    /// Finds a branch, tag or `HEAD` among the names that the last round saw. Tags may name a tag object.
    pub(crate) fn named(&self, rev: &str) -> Option<ObjectId> {
        let view = self.view.borrow();
        if rev == "HEAD" {
            return view.default_branch.as_ref().and_then(|name| head_of(&view, name));
        }
        let full = rev.parse::<RefName>().ok().and_then(|name| view.refs.get(&name));
        let branch = || RefName::branch(rev).ok().and_then(|name| view.refs.get(&name));
        let tag = || RefName::tag(rev).ok().and_then(|name| view.refs.get(&name));
        full.or_else(branch).or_else(tag).copied()
    }
}

pub(crate) fn head_of(view: &View, branch: &str) -> Option<ObjectId> {
    if branch == branches::DETACHED {
        return view.detached;
    }
    view.refs.get(&RefName::branch(branch).ok()?).copied()
}

/// A shared handle.
pub(crate) type SharedRepo = Arc<Repo>;
