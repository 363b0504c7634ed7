//! The service: a core that owns database, objects and caches, and a router over it.

mod builds;
mod cells;
mod changes;
mod failures;
mod files;
mod legacy;
mod line;
mod logs;
mod logstore;
mod pages;
mod plan;
mod refusal;
mod repos;
mod since;
mod tail;
mod visible;
mod window;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use store::{Db, Micros, Objects};
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;
use transport::routes::{get, post, put};
use transport::{Role, Routes, Viewer};

use cells::CellCache;
use failures::FailureCache;
pub use legacy::{BadKey, builder_key};
use refusal::{Answer, Refusal};

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
    keys: legacy::KeyRing,
    /// Names attempts whose log has news. Who misses one looks by itself after `logs.poll`.
    news: broadcast::Sender<store::AttemptId>,
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
        let ((changes, _), (public_changes, _)) = (watch::channel(0), watch::channel(0));
        let (cells, failures) = (CellCache::default(), FailureCache::default());
        let keys = legacy::KeyRing::default();
        let watched = AtomicU32::new(0);
        Self(Arc::new(Inner { parts, cells, failures, keys, news, changes, public_changes, watched }))
    }

    /// Opens the original's API to those who post: with a key that is, or comes from, this one.
    ///
    /// # Errors
    /// If it is empty, or was set before.
    pub fn set_builder_key(&self, master: &str) -> Result<(), BadKey> {
        self.0.keys.set(master)
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

    fn news(&self) -> &broadcast::Sender<store::AttemptId> {
        &self.0.news
    }
}

/// Largest body of a branch's post: 500 commits with messages of 64 KiB.
const LARGEST_BRANCH: usize = 40 << 20;
/// Largest list of test results.
const LARGEST_TESTS: usize = 64 << 20;

/// Returns the pages and the API of a dashboard, each route with its role.
pub fn routes(dashboard: &Dashboard) -> Routes {
    let api = Routes::new()
        .route("/repos", get(Role::Reader, repos::list))
        .route("/repos/{repo}", put(Role::Service, repos::put_repo))
        .route(
            "/repos/{repo}/branches/{branch}",
            put(Role::Service, repos::put_branch).layer(DefaultBodyLimit::max(LARGEST_BRANCH)),
        )
        .route("/cells", get(Role::Reader, window::window))
        .route("/cells/empty", get(Role::Service, cells::empty))
        .route("/builds", get(Role::Reader, builds::list))
        .route(
            "/builds/{id}",
            get(Role::Reader, builds::get)
                .put(Role::Service, builds::put)
                .layer(DefaultBodyLimit::max(8 << 20)),
        )
        .route("/builds/{id}/failure", get(Role::Reader, failures::get))
        .route("/builds/{id}/tests", get(Role::Reader, files::tests))
        .route("/builds/{id}/artifacts", get(Role::Reader, files::artifacts))
        .route("/builds/{id}/log", get(Role::Reader, logs::of_build::read))
        .route("/builds/{id}/log/info", get(Role::Reader, logs::of_build::info))
        .route("/builds/{id}/log/search", get(Role::Reader, logs::of_build::search))
        .route("/builds/{id}/log/events", get(Role::Reader, tail::of_build))
        .route("/expected", get(Role::Reader, builds::expected))
        .route("/attempts/{attempt}/log", get(Role::Reader, logs::of_attempt::read))
        .route("/attempts/{attempt}/log/info", get(Role::Reader, logs::of_attempt::info))
        .route("/attempts/{attempt}/log/search", get(Role::Reader, logs::of_attempt::search))
        .route("/attempts/{attempt}/log/events", get(Role::Reader, tail::of_attempt))
        .route("/attempts/{attempt}/log/open", post(Role::Service, logs::open))
        .route("/attempts/{attempt}/log/finish", post(Role::Service, logs::finish))
        .route(
            "/attempts/{attempt}/log/{n}",
            put(Role::Service, logs::put).layer(DefaultBodyLimit::max(dashboard.limits().chunk + 1)),
        )
        .route(
            "/attempts/{attempt}/tests",
            put(Role::Service, files::put_tests).layer(DefaultBodyLimit::max(LARGEST_TESTS)),
        )
        .route(
            "/attempts/{attempt}/artifacts/{name}",
            put(Role::Service, files::put_artifact)
                .get(Role::Reader, files::artifact)
                .layer(DefaultBodyLimit::disable()),
        );
    Routes::new()
        .nest("/api/v1", api)
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
