//! The service: a core that owns database, objects and caches, and a router over it.

mod api;
mod attempts;
mod audit;
mod builds;
mod cells;
mod changes;
mod failures;
mod feed;
mod files;
mod legacy;
mod line;
mod logindex;
mod logs;
mod logsearch;
mod logstore;
mod pages;
mod plan;
mod refusal;
mod repos;
mod retention;
mod since;
mod steps;
mod tail;
mod testread;
mod tree;
mod visible;
mod window;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use store::{Db, Micros, Objects};
use tokio::sync::{Notify, Semaphore, broadcast, watch};
use tokio_util::sync::CancellationToken;
use transport::routes::get;
use transport::{Role, Routes, Viewer};

use cells::CellCache;
use failures::FailureCache;
use feed::FeedCache;
pub use legacy::{BadKey, builder_key};
use refusal::{Answer, Refusal};
pub use retention::{Amount, GcError, Gone, Item, Round};

/// Limits of the log store. Tests make them small.
#[derive(Debug, Clone)]
pub struct LogLimits {
    /// So many bytes of a log's beginning are kept whatever comes.
    pub head: u64,
    /// And so many of its end.
    pub tail: u64,
    /// Largest chunk, in bytes as written.
    pub chunk: usize,
    /// A chunk that is compressed to at most this is kept in its row.
    pub inline: usize,
    /// A live tail looks for news by itself so often, in case another process wrote them.
    pub poll: Duration,
}

impl Default for LogLimits {
    fn default() -> Self {
        Self {
            head: 512 << 20,
            tail: 256 << 20,
            chunk: 256 << 10,
            inline: 16 << 10,
            poll: Duration::from_secs(1),
        }
    }
}

/// What a dashboard needs.
#[derive(Debug)]
pub struct DashboardParts {
    /// The database.
    pub db: Db,
    /// Where logs and artefacts are.
    pub objects: Objects,
    /// The configuration as it is now, and its changes.
    pub config: watch::Receiver<Arc<buildenv::Config>>,
    /// Limits of the log store.
    pub logs: LogLimits,
}

/// The dashboard. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Dashboard(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    parts: DashboardParts,
    cells: CellCache,
    failures: FailureCache,
    trees: tree::TreeCache,
    last_check: audit::LastCheck,
    feed: FeedCache,
    keys: legacy::KeyRing,
    /// Names attempts whose log has news. Who misses one looks by itself after `logs.poll`.
    news: broadcast::Sender<store::AttemptId>,
    /// Says that a log has ended, to whoever puts it into the index.
    log_ended: Notify,
    /// Turns of those who search logs.
    searches: Semaphore,
    /// Counts changes of what pages show.
    changes: watch::Sender<u64>,
    /// Counts those of what is public.
    public_changes: watch::Sender<u64>,
    /// Counts pages that were opened.
    watched: AtomicU32,
}

impl Dashboard {
    /// Makes a dashboard. It does nothing by itself: see [`router`].
    #[must_use]
    pub fn new(parts: DashboardParts) -> Self {
        let (news, _) = broadcast::channel(1024);
        // Not from 0: a page that comes back after a restart must not find its count by chance.
        let start = Micros::now().0.unsigned_abs();
        let ((changes, _), (public_changes, _)) = (watch::channel(start), watch::channel(start));
        let (cells, failures, feed) = (CellCache::default(), FailureCache::default(), FeedCache::default());
        let (trees, last_check) = (tree::TreeCache::default(), audit::LastCheck::default());
        let keys = legacy::KeyRing::default();
        Self(Arc::new(Inner {
            parts,
            cells,
            failures,
            trees,
            last_check,
            feed,
            keys,
            news,
            log_ended: Notify::new(),
            searches: Semaphore::new(logsearch::AT_ONCE),
            changes,
            public_changes,
            watched: AtomicU32::new(0),
        }))
    }

    /// Opens the original's API to those who post: with a key that is, or comes from, this one.
    ///
    /// # Errors
    /// If it is empty, or was set before.
    pub fn set_builder_key(&self, master: &str) -> Result<(), BadKey> {
        self.0.keys.set(master)
    }

    /// Whether somebody shows the key of this name, which comes from the master key. None is good without a master key.
    #[must_use]
    pub fn is_builder_key(&self, key: &str, name: &str) -> bool {
        self.0.keys.is_of(key, name)
    }

    fn builder_keys(&self) -> &legacy::KeyRing {
        &self.0.keys
    }

    pub(crate) fn db(&self) -> &Db {
        &self.0.parts.db
    }

    pub(crate) fn objects(&self) -> &Objects {
        &self.0.parts.objects
    }

    pub(crate) fn limits(&self) -> &LogLimits {
        &self.0.parts.logs
    }

    pub(crate) fn config(&self) -> Arc<buildenv::Config> {
        self.0.parts.config.borrow().clone()
    }

    fn cells(&self) -> &CellCache {
        &self.0.cells
    }

    fn trees(&self) -> &tree::TreeCache {
        &self.0.trees
    }

    fn last_check(&self) -> &audit::LastCheck {
        &self.0.last_check
    }

    fn failures(&self) -> &FailureCache {
        &self.0.failures
    }

    /// Lets go of what watches pages, after a change of what is of this revision (or repo).
    async fn changed(&self, revision: &str) {
        self.0.changes.send_modify(|count| *count += 1);
        let eyes = visible::eyes(self, &Viewer::stranger(true)).await;
        // Who can't be told now looks again by themselves after a while.
        if eyes.is_ok_and(|eyes| eyes.revision(revision)) {
            self.0.public_changes.send_modify(|count| *count += 1);
        }
    }

    /// The changes that somebody may know of.
    fn changes(&self, viewer: &Viewer) -> watch::Receiver<u64> {
        let of = if viewer.sees_all() { &self.0.changes } else { &self.0.public_changes };
        of.subscribe()
    }

    /// How many pages are open that are told of changes.
    fn watchers(&self) -> usize {
        self.0.changes.receiver_count() + self.0.public_changes.receiver_count()
    }

    /// A number for a page that is opened.
    fn next_watcher(&self) -> u32 {
        self.0.watched.fetch_add(1, Ordering::Relaxed)
    }

    /// All changes; who listens must show only what they may know of.
    fn all_changes(&self) -> watch::Receiver<u64> {
        self.0.changes.subscribe()
    }

    fn feed(&self) -> &FeedCache {
        &self.0.feed
    }

    fn log_ended(&self) -> &Notify {
        &self.0.log_ended
    }

    fn searches(&self) -> &Semaphore {
        &self.0.searches
    }

    fn news(&self) -> &broadcast::Sender<store::AttemptId> {
        &self.0.news
    }
}

/// Returns the pages and the API of a dashboard, each route with its role.
pub fn routes(dashboard: &Dashboard) -> Routes {
    Routes::new()
        .nest("/api/v1", api::routes(dashboard.limits().chunk))
        .merge(pages::routes())
        .route(webui::assets::PATH, get(Role::Anonymous, webui::assets::asset))
        .with_state(dashboard.clone())
        .merge(legacy::routes(dashboard))
}

/// The same as a router of its own.
pub fn router(dashboard: &Dashboard) -> Router {
    routes(dashboard).into_router()
}

/// How long requests may still take once a server is to end. Live logs never end by themselves.
const DRAIN: Duration = Duration::from_secs(5);

/// Serves a dashboard's router, behind the layer that says who asks, on a listener until `shutdown`, then lets requests end for a few seconds.
///
/// # Errors
/// If the listener fails.
pub async fn serve(
    router: Router,
    listener: tokio::net::TcpListener,
    shutdown: CancellationToken,
) -> std::io::Result<()> {
    let draining = shutdown.clone();
    let served =
        axum::serve(listener, router).with_graceful_shutdown(draining.cancelled_owned()).into_future();
    let drained = async {
        shutdown.cancelled().await;
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        served = served => served,
        () = drained => Ok(()),
    }
}

/// Shows a time of the database.
pub(crate) fn time(at: Micros) -> jiff::Timestamp {
    jiff::Timestamp::from_microsecond(at.0).unwrap_or_default()
}

/// Stores a time that was sent.
pub(crate) fn micros(at: jiff::Timestamp) -> Micros {
    Micros(at.as_microsecond())
}

fn check_name(what: &str, name: &str) -> Answer<()> {
    let fine = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let first = name.bytes().next().is_some_and(fine);
    if first && name.len() <= 64 && name.bytes().all(|byte| fine(byte) || b"._-".contains(&byte)) {
        Ok(())
    } else {
        Err(Refusal::bad(format!("{name:?} is not the name of a {what}: [a-z0-9][a-z0-9._-]{{0,63}}")))
    }
}

fn check_branch(branch: &str) -> Answer<()> {
    if branch.is_empty() || branch.len() > 1024 || branch.chars().any(char::is_control) {
        return Err(Refusal::bad("not the name of a branch"));
    }
    Ok(())
}

fn check_hash(hash: &str) -> Answer<()> {
    let fine = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if hash.len() == 40 && hash.bytes().all(fine) {
        Ok(())
    } else {
        Err(Refusal::bad(format!(
            "{:?} is not a commit (40 hexadecimal digits)",
            hash.get(..48).unwrap_or(hash)
        )))
    }
}

/// Reads an id out of a path; one that is none names nothing.
fn id<T: std::str::FromStr>(what: &str, text: &str) -> Answer<T> {
    text.parse().map_err(|_| Refusal::not_found(format!("{what} {text:?}")))
}
