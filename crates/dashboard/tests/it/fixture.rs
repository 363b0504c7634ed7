//! A dashboard with a database of its own, and words to make what it is told.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use buildenv::{Config, Source};
use dashboard::api::{
    AttemptReport, BranchAnswer, BranchUpdate, BuildReport, BuildState, CommitInfo, EmptyCell, LogState,
    Outcome, RepoState, RepoUpdate,
};
use dashboard::client::DashboardClient;
use dashboard::{Dashboard, DashboardParts, LogLimits};
use http::{Request, Response};
use jiff::Timestamp;
use store::{AttemptId, BuildId, DatabaseUrl, Db, Dialect, Micros, Objects};
use tokio::sync::watch;
use transport::Service;

/// Builders `a` and `b` for everything; `sub` needs `lib`.
pub(crate) const CONFIG: &str = r#"
[repo.one]
url = "https://example.com/one"
horizon = 3

[repo.lib]
url = "https://example.com/lib"
branches = ["main", "release-*"]
horizon = 2

[repo.sub]
url = "https://example.com/sub"
needs = ["lib"]
horizon = 3

[builder.a]
host = "local"
recipe = "r"

[builder.b]
host = "local"
recipe = "r"
repos = ["one"]

[recipe.r]
run = "true"
"#;

pub(crate) fn config(text: &str) -> Config {
    let sources = [buildenv::embedded("linux", "amd64"), Source::server("server.toml", text)];
    buildenv::load(&sources, &|_| Err(std::io::ErrorKind::NotFound.into()), None)
        .unwrap_or_else(|e| panic!("{e}"))
}

pub(crate) struct Fixture {
    pub(crate) client: DashboardClient,
    pub(crate) service: Service,
    pub(crate) db: Db,
    pub(crate) objects: Objects,
    pub(crate) config: watch::Sender<Arc<Config>>,
    pub(crate) dir: tempfile::TempDir,
}

impl Fixture {
    pub(crate) async fn new(dialect: Dialect) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let url = match dialect {
            Dialect::Sqlite => DatabaseUrl::Sqlite("bellwether.db".into()),
            #[cfg(feature = "postgres")]
            Dialect::Postgres => DatabaseUrl::Postgres(crate::pg::database().await),
            #[cfg(not(feature = "postgres"))]
            Dialect::Postgres => unreachable!("feature postgres is off"),
        };
        let db = Db::open(&url, dir.path()).await.unwrap();
        let objects = Objects::open(&"file:objects".parse().unwrap(), dir.path()).unwrap();
        let (config, _) = watch::channel(Arc::new(config(CONFIG)));
        let service = service(&db, &objects, &config, LogLimits::default());
        Self { client: DashboardClient::new(service.clone()), service, db, objects, config, dir }
    }

    /// Another dashboard on the same database, with other limits or objects.
    pub(crate) fn with(&self, objects: &Objects, logs: LogLimits) -> DashboardClient {
        DashboardClient::new(service(&self.db, objects, &self.config, logs))
    }

    /// The same, with nothing but the way to it.
    pub(crate) fn with_service(&self, logs: LogLimits) -> Service {
        service(&self.db, &self.objects, &self.config, logs)
    }

    pub(crate) fn dashboard(&self) -> Dashboard {
        dashboard(&self.db, &self.objects, &self.config, LogLimits::default())
    }

    pub(crate) async fn get(&self, path: &str) -> Response<Body> {
        self.service.send(Request::get(path).body(Body::empty()).unwrap()).await.unwrap()
    }

    pub(crate) async fn text(&self, path: &str) -> String {
        let bytes = axum::body::to_bytes(self.get(path).await.into_body(), 1 << 24).await.unwrap();
        String::from_utf8(bytes.into()).unwrap()
    }

    /// Posts a repo and a branch with commits `c` (newest first), each the parent of the one before it.
    pub(crate) async fn push(&self, repo: &str, branch: &str, commits: &[u32]) -> BranchAnswer {
        let default_branch = Some("main".to_owned());
        let state =
            RepoUpdate { state: RepoState::Ok, reason: None, default_branch, head: None, visibility: None };
        self.client.put_repo(repo, &state).await.unwrap();
        self.client.put_branch(repo, branch, &line(branch, commits)).await.unwrap()
    }

    pub(crate) async fn empty(&self) -> Vec<EmptyCell> {
        let cells = self.client.empty_cells(1000).await.unwrap();
        assert_eq!(cells.more, 0);
        cells.cells
    }

    /// The empty cells of a repo as `builder position revision`, with commits as their numbers.
    pub(crate) async fn due(&self, repo: &str) -> Vec<String> {
        let cells = self.empty().await.into_iter().filter(|cell| cell.repo == repo);
        cells.map(|cell| format!("{} {} {}", cell.builder, cell.position, numbers(&cell.revision))).collect()
    }

    /// Opens the log of an attempt and writes it in chunks.
    pub(crate) async fn log(&self, attempt: &str, build: &str, chunks: &[&[u8]]) -> LogState {
        write_log(&self.client, attempt, build, chunks).await
    }
}

pub(crate) async fn write_log(
    client: &DashboardClient,
    attempt: &str,
    build: &str,
    chunks: &[&[u8]],
) -> LogState {
    let mut state = client.log_open(attempt, build, 1).await.unwrap();
    for chunk in chunks {
        let end = state.bytes + chunk.len() as u64;
        let bytes = chunk.to_vec().into();
        state = client.log_put(attempt, 1, state.next_n, state.bytes, end, bytes).await.unwrap();
    }
    state
}

fn service(db: &Db, objects: &Objects, config: &watch::Sender<Arc<Config>>, logs: LogLimits) -> Service {
    let dashboard = dashboard(db, objects, config, logs);
    Service::in_process(dashboard::router(&dashboard)).with_timeout(Duration::from_secs(30))
}

fn dashboard(db: &Db, objects: &Objects, config: &watch::Sender<Arc<Config>>, logs: LogLimits) -> Dashboard {
    let parts = DashboardParts { db: db.clone(), objects: objects.clone(), config: config.subscribe(), logs };
    Dashboard::new(parts)
}

pub(crate) fn hash(n: u32) -> String {
    format!("{n:040x}")
}

/// Shortens each 40-digit hash to its number.
pub(crate) fn numbers(revision: &str) -> String {
    let number = |part: &str| {
        let (repo, hash) = part.split_once('@').unwrap();
        format!("{repo}@{}", u128::from_str_radix(hash, 16).unwrap())
    };
    revision.split('+').map(number).collect::<Vec<_>>().join("+")
}

pub(crate) fn commit(n: u32, parent: Option<u32>) -> CommitInfo {
    CommitInfo {
        hash: hash(n),
        parents: parent.map(hash).into_iter().collect(),
        author_name: "Ada".into(),
        author_email: Some("ada@example.com".into()),
        time_us: i64::from(n) * 1_000_000,
        message: format!("commit {n}\n\nwith a body"),
    }
}

pub(crate) fn line(branch: &str, commits: &[u32]) -> BranchUpdate {
    let parents = commits.iter().skip(1).copied().map(Some).chain([None]);
    BranchUpdate {
        head: commits.first().copied().map(hash),
        default: branch == "main",
        first_parent: commits.iter().copied().map(hash).collect(),
        complete: true,
        base: None,
        commits: commits.iter().zip(parents).map(|(n, parent)| commit(*n, parent)).collect(),
    }
}

pub(crate) fn build_id(n: u8) -> String {
    BuildId::new(Micros(i64::from(n) * 1_000_000), &mut |to| to.fill(n)).to_string()
}

pub(crate) fn attempt_id(n: u8) -> String {
    AttemptId::new(Micros(i64::from(n) * 1_000_000), &mut |to| to.fill(n)).to_string()
}

pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + seconds).unwrap()
}

/// A build of one commit of `one`.
pub(crate) fn report(n: u8, builder: &str, revision: &str) -> BuildReport {
    BuildReport {
        id: build_id(n),
        builder: builder.into(),
        repo: revision.split('@').next().unwrap().into(),
        branch: "main".into(),
        revision: revision.into(),
        class: "post_submit".into(),
        state: BuildState::Queued,
        outcome: None,
        cause: None,
        fence: 1,
        version: 1,
        created: at(0),
        started: None,
        ended: None,
        expected_ms: None,
        recipe: None,
        wait: None,
        attempts: Vec::new(),
        trigger: None,
        url: None,
        failure: None,
        sample: false,
    }
}

pub(crate) fn done(mut report: BuildReport, outcome: Outcome, seconds: i64) -> BuildReport {
    let id = attempt_id(report.id.as_bytes()[9]);
    report.state = BuildState::Done;
    report.outcome = Some(outcome);
    report.version += 1;
    report.started = Some(at(10));
    report.ended = Some(at(10 + seconds));
    report.attempts = vec![AttemptReport {
        id,
        number: 1,
        worker: Some("w1".into()),
        host: Some("local".into()),
        state: Some(BuildState::Done),
        outcome: Some(outcome),
        cause: None,
        started: report.started,
        ended: report.ended,
        spans: vec![dashboard::api::Span {
            name: "source".into(),
            detail: "archive".into(),
            start: at(10),
            end: Some(at(11)),
            error: None,
        }],
        inputs: Default::default(),
        warnings: vec!["a process was left behind".into()],
        steps: Vec::new(),
        job: None,
        spread: None,
    }];
    report
}

/// Replaces numbers by hashes: `sub@1+lib@2`.
pub(crate) fn revision(short: &str) -> String {
    let full = |part: &str| {
        let (repo, n) = part.split_once('@').unwrap();
        format!("{repo}@{}", hash(n.parse().unwrap()))
    };
    short.split('+').map(full).collect::<Vec<_>>().join("+")
}
