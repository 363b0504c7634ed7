//! A hub with a database of its own.

use std::time::Duration;

use axum::body::Body;
use http::{Request, Response};
use pubsubhelper::{Config, GithubEvent, Hint, Hub, TakeOver, WebhookTls};
use store::{DatabaseUrl, Db, Dialect};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use transport::Viewer;

/// No test waits longer for what is to come.
pub(crate) const LONG: Duration = Duration::from_secs(60);

pub(crate) struct World {
    pub(crate) hub: Hub,
    pub(crate) db: Db,
    url: DatabaseUrl,
    dir: tempfile::TempDir,
    shutdown: CancellationToken,
    runs: JoinHandle<()>,
}

pub(crate) fn config() -> Config {
    Config {
        webhook_secret: Some("s3cr3t".into()),
        webhook_tls: WebhookTls::NotAsked,
        take_over: TakeOver::AtOnce,
        // Whoever waits in a test waits for an event.
        long_poll: LONG,
        ..Config::default()
    }
}

impl World {
    pub(crate) async fn new(dialect: Dialect) -> World {
        World::with(dialect, config()).await
    }

    pub(crate) async fn sqlite(config: Config) -> World {
        World::with(Dialect::Sqlite, config).await
    }

    async fn with(dialect: Dialect, config: Config) -> World {
        let dir = tempfile::tempdir().unwrap();
        let url = match dialect {
            Dialect::Sqlite => DatabaseUrl::Sqlite("bellwether.db".into()),
            #[cfg(feature = "postgres")]
            Dialect::Postgres => DatabaseUrl::Postgres(crate::pg::database().await),
            #[cfg(not(feature = "postgres"))]
            Dialect::Postgres => unreachable!("feature postgres is off"),
        };
        World::open(url, dir, config).await
    }

    /// A hub that nobody runs yet.
    pub(crate) async fn stopped(config: Config) -> World {
        let dir = tempfile::tempdir().unwrap();
        let url = DatabaseUrl::Sqlite("bellwether.db".into());
        let db = Db::open(&url, dir.path()).await.unwrap();
        let hub = Hub::open(config, db.clone()).await.unwrap();
        World { hub, db, url, dir, shutdown: CancellationToken::new(), runs: tokio::spawn(async {}) }
    }

    async fn open(url: DatabaseUrl, dir: tempfile::TempDir, config: Config) -> World {
        let db = Db::open(&url, dir.path()).await.unwrap();
        let hub = Hub::open(config, db.clone()).await.unwrap();
        let shutdown = CancellationToken::new();
        let runs = tokio::spawn({
            let (hub, shutdown) = (hub.clone(), shutdown.clone());
            async move { hub.run(shutdown).await.unwrap() }
        });
        let begins = async {
            while !hub.is_running() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LONG, begins).await.unwrap();
        World { hub, db, url, dir, shutdown, runs }
    }

    /// Ends everything and begins again on what is stored.
    pub(crate) async fn again(self) -> World {
        self.shutdown.cancel();
        self.runs.await.unwrap();
        self.db.close().await;
        World::open(self.url, self.dir, config()).await
    }

    pub(crate) async fn ask(&self, request: Request<Body>) -> Response<Body> {
        ask(&self.hub, request).await
    }
}

/// Asks as somebody who may read what is public.
pub(crate) async fn ask(hub: &Hub, mut request: Request<Body>) -> Response<Body> {
    request.extensions_mut().insert(Viewer::stranger(true));
    pubsubhelper::router(hub).oneshot(request).await.unwrap()
}

pub(crate) async fn text(answer: Response<Body>) -> String {
    let bytes = axum::body::to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

pub(crate) fn get(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).unwrap()
}

pub(crate) fn hint(number: i64) -> Hint {
    let (action, repo_owner, repo) = ("opened".into(), "golang".into(), "go".into());
    Hint::Github(GithubEvent { action, repo_owner, repo, issue_number: number, pull_request_number: 0 })
}
