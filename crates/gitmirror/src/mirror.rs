//! The mirror: its repositories and their tasks.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use git::{Git, Version};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::{CancellationToken, DropGuard};
use transport::Service;

use crate::archives::Archives;
use crate::config::is_name;
use crate::repo::{Repo, Settings, SharedRepo};
use crate::{MirrorConfig, OpenError, RepoConfig, RepoState, Tuning};

/// The oldest git that does what is asked of it here.
const OLDEST: Version = Version(2, 39, 0);

/// A handle on the mirrors. Cheap to clone.
#[derive(Clone)]
pub struct Mirror {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    git: Git,
    dir: std::path::PathBuf,
    tuning: Tuning,
    repos: Mutex<BTreeMap<String, SharedRepo>>,
    /// Counts changes of `repos`.
    changes: watch::Sender<u64>,
    pub(crate) archives: Archives,
    /// Ends fetches that requests asked for.
    stop: CancellationToken,
    _end: DropGuard,
}

/// Opens a mirror and runs it until `shutdown`; whoever needs its pages too uses [`Mirror`] itself.
///
/// # Errors
/// The mirror can't be opened.
pub async fn serve(
    config: MirrorConfig,
    dashboard: Service,
    shutdown: CancellationToken,
) -> Result<(), OpenError> {
    Mirror::open(config).await?.run(dashboard, shutdown).await;
    Ok(())
}

impl Mirror {
    /// Prepares the folders. Starts no task and asks no source.
    ///
    /// # Errors
    /// The folders can't be written, git is missing or too old, or a name is bad.
    pub async fn open(config: MirrorConfig) -> Result<Self, OpenError> {
        Mirror::open_with(config, Tuning::default()).await
    }

    /// Opens as [`Mirror::open`] does, with other times.
    ///
    /// # Errors
    /// As there.
    pub async fn open_with(config: MirrorConfig, tuning: Tuning) -> Result<Self, OpenError> {
        let folder = |path: &Path, source| OpenError::Folder { path: path.to_owned(), source };
        let dir = std::path::absolute(&config.dir).map_err(|error| folder(&config.dir, error))?;
        tokio::fs::create_dir_all(&dir).await.map_err(|error| folder(&dir, error))?;
        let git = Git::new(config.git)?;
        let version = git.version().await?;
        if version < OLDEST {
            return Err(OpenError::TooOld(version.0, version.1, version.2));
        }
        let archives = dir.join("archives");
        let archives = Archives::open(&archives, config.cache_bytes, tuning.memory_bytes)
            .await
            .map_err(|error| folder(&archives, error))?;
        let changes = watch::Sender::new(0);
        let stop = CancellationToken::new();
        let _end = stop.clone().drop_guard();
        let inner = Inner { git, dir, tuning, repos: Mutex::default(), changes, archives, stop, _end };
        let mirror = Mirror { inner: Arc::new(inner) };
        mirror.set_repos(config.repos)?;
        Ok(mirror)
    }

    fn repos(&self) -> MutexGuard<'_, BTreeMap<String, SharedRepo>> {
        self.inner.repos.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn repo(&self, name: &str) -> Option<SharedRepo> {
        self.repos().get(name).cloned()
    }

    pub(crate) fn all(&self) -> Vec<SharedRepo> {
        self.repos().values().cloned().collect()
    }

    /// Replaces the list of repositories. Those that are unchanged go on undisturbed. Where branches, the horizon, the
    /// time between two looks or the visibility differ, the repository is changed in place: what is known of it stays.
    /// Another source begins anew. A mirror that is no longer in the list stays on the disk.
    ///
    /// # Errors
    /// A name is bad or used twice; then nothing is changed.
    pub fn set_repos(&self, configs: Vec<RepoConfig>) -> Result<(), OpenError> {
        let mut new = BTreeMap::new();
        let mut told = Vec::new();
        let mut repos = self.repos();
        for config in configs {
            let (name, settings) = (config.name.clone(), Settings::from(&config));
            let repo = self.of(config, repos.get(&name));
            told.push((repo.clone(), settings));
            if !is_name(&name) || new.insert(name.clone(), repo).is_some() {
                return Err(OpenError::Name(name));
            }
        }
        *repos = new;
        drop(repos);
        // Only now, as nothing may change where one of them is bad.
        told.into_iter().for_each(|(repo, settings)| repo.set(settings));
        self.inner.changes.send_modify(|changes| *changes += 1);
        Ok(())
    }

    /// The one that is there, if it can be as this configuration says, or another.
    fn of(&self, config: RepoConfig, known: Option<&SharedRepo>) -> SharedRepo {
        if let Some(same) = known.filter(|repo| repo.is_of(&config)) {
            return same.clone();
        }
        let Inner { git, dir, tuning, stop, .. } = &*self.inner;
        let repo = Repo::new(config, git.clone(), dir, tuning.clone(), stop.clone());
        known.into_iter().for_each(|known| repo.inherit(known));
        Arc::new(repo)
    }

    /// Wakes the repository's loop now. Says whether there is such a repository.
    pub fn hint(&self, repo: &str) -> bool {
        let repo = self.repo(repo);
        if let Some(repo) = &repo {
            repo.demand.forget_unknown();
            repo.wake.notify_one();
        }
        repo.is_some()
    }

    /// Wakes the repository's loop and waits for the end of a round that began after this call. `None` if there is
    /// no such repository, or the round does not end in time.
    pub async fn hint_and_wait(&self, repo: &str) -> Option<RepoState> {
        let repo = self.repo(repo)?;
        let mut view = repo.view.subscribe();
        let wanted = view.borrow().started + 1;
        self.hint(&repo.name);
        let ended = view.wait_for(|view| view.finished >= wanted);
        tokio::time::timeout(self.inner.tuning.hint, ended).await.ok()?.ok()?;
        Some(repo.state())
    }

    /// Waits for the end of the repository's first round, for as long as nobody runs the mirror. `None` if there is
    /// no such repository.
    pub async fn wait_first_round(&self, name: &str) -> Option<RepoState> {
        let mut changes = self.inner.changes.subscribe();
        loop {
            changes.borrow_and_update();
            let repo = self.repo(name)?;
            let mut view = repo.view.subscribe();
            let first = async { view.wait_for(|view| view.finished > 0).await.map(|_| ()) };
            tokio::select! {
                ended = first => return ended.ok().map(|()| repo.state()),
                // Another source or destination makes another one of it, and the rounds of the one before never end.
                changed = changes.changed() => changed.ok()?,
            }
        }
    }

    /// Tells what is known of a repository.
    pub fn state(&self, repo: &str) -> Option<RepoState> {
        self.repo(repo).map(|repo| repo.state())
    }

    /// Tells what is known of every repository, by name.
    pub fn states(&self) -> Vec<RepoState> {
        self.all().iter().map(|repo| repo.state()).collect()
    }

    /// Looks after all repositories until `shutdown`, then ends every git that runs; after that the mirror only gives
    /// what it has.
    pub async fn run(&self, dashboard: Service, shutdown: CancellationToken) {
        let mut changes = self.inner.changes.subscribe();
        let mut tasks: BTreeMap<String, Task> = BTreeMap::new();
        loop {
            let wanted = {
                changes.borrow_and_update();
                self.repos().clone()
            };
            let is_wanted = |name: &String, task: &Task| {
                wanted.get(name).is_some_and(|repo| Arc::ptr_eq(repo, &task.repo))
            };
            let ending =
                tasks.extract_if(.., |name, task| !is_wanted(name, task)).map(|(_, task)| task.end());
            // All end before any of the same folder begins.
            futures::future::join_all(ending).await;
            for (name, repo) in wanted {
                tasks.entry(name).or_insert_with(|| Task::start(repo, dashboard.clone()));
            }
            tokio::select! {
                () = shutdown.cancelled() => break,
                changed = changes.changed() => if changed.is_err() { break },
            }
        }
        self.inner.stop.cancel();
        futures::future::join_all(tasks.into_values().map(Task::end)).await;
    }
}

/// The tasks of one repository.
struct Task {
    repo: SharedRepo,
    cancel: CancellationToken,
    handle: JoinHandle<()>,
}

impl Task {
    fn start(repo: SharedRepo, dashboard: Service) -> Self {
        let cancel = CancellationToken::new();
        let handle = tokio::spawn(supervise(repo.clone(), dashboard, cancel.clone()));
        Task { repo, cancel, handle }
    }

    async fn end(mut self) {
        self.cancel.cancel();
        let _ = (&mut self.handle).await;
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.handle.abort();
    }
}

/// Keeps the loop and the pushes of one repository running; one that panics is started again.
async fn supervise(repo: SharedRepo, dashboard: Service, cancel: CancellationToken) {
    let mut tasks: JoinSet<()> = JoinSet::new();
    let mut kinds = std::collections::HashMap::new();
    let start = |tasks: &mut JoinSet<()>, kind: Option<String>| match kind {
        None => tasks.spawn(repo.clone().watch_over(dashboard.clone(), cancel.clone())).id(),
        Some(destination) => tasks.spawn(repo.clone().push_to(destination, cancel.clone())).id(),
    };
    let all = std::iter::once(None).chain(repo.places.iter().cloned().map(Some));
    for kind in all {
        kinds.insert(start(&mut tasks, kind.clone()), kind);
    }
    while let Some(ended) = tasks.join_next_with_id().await {
        let Err(error) = ended else { continue };
        let kind = kinds.remove(&error.id());
        let (true, Some(kind)) = (error.is_panic() && !cancel.is_cancelled(), kind) else { continue };
        tracing::error!(repo = repo.name, %error, "a task of the mirror panicked and is started again");
        tokio::time::sleep(Duration::from_secs(1)).await;
        kinds.insert(start(&mut tasks, kind.clone()), kind);
    }
}
