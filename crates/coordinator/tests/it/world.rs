//! All that surrounds a coordinator: database, objects, dashboard, mirror, clock, buildlet processes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use buildenv::{Config, Source};
use coordinator::{
    Coordinator, Handles, LocalPool, LocalPoolConfig, Measures, NoHooks, Options, OrderKey, Pool,
    SharedHooks, Shells, SshHostKey, Status, Stopped, TakeOver,
};
use dashboard::api::{AttemptReport, BranchUpdate, BuildReport, CommitInfo, LogRange, RepoState, RepoUpdate};
use dashboard::client::{DashboardClient, LogOf};
use dashboard::{Dashboard, DashboardParts, LogLimits};
use store::builds::BuildRow;
use store::{BuildId, DatabaseUrl, Db, Dialect, Objects};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use transport::Service;

use crate::hooks::TurnedClock;
use crate::mirror::{self, Mirror};

/// The longest that a test waits for anything.
pub const PATIENCE: Duration = Duration::from_secs(80);

pub struct World {
    pub url: DatabaseUrl,
    pub db: Db,
    pub objects: Objects,
    pub dashboard: DashboardClient,
    pub dashboard_router: axum::Router,
    pub mirror: Arc<Mirror>,
    pub clock: Arc<TurnedClock>,
    pub config: watch::Sender<Arc<Config>>,
    pub secrets: BTreeMap<String, String>,
    pub gomote_idle: Duration,
    pub channels: coordinator::outbox::Channels,
    pub outbox: coordinator::outbox::Limits,
    pub alarms: Duration,
    /// Where machines dial in, for whoever cuts one off.
    pub reception: Option<coordinator::Reception>,
    // Fields are dropped in this order: the workers end before their directories go.
    _workers: Workers,
    pub dir: tempfile::TempDir,
    /// What is known of changes under review.
    pub changes: Option<coordinator::Changes>,
    /// What orders are signed with.
    pub order_key: OrderKey,
    pub confined: coordinator::Confined,
}

/// Ends the workers of a directory.
struct Workers(PathBuf);

impl Drop for Workers {
    fn drop(&mut self) {
        for entry in std::fs::read_dir(&self.0).into_iter().flatten().flatten() {
            if let Some(pid) = worker_pid(&entry.path()) {
                kill(pid);
            }
        }
    }
}

/// The pid in a worker's directory, if it is that worker's still.
pub fn worker_pid(folder: &Path) -> Option<i32> {
    let text = std::fs::read(folder.join("worker.json")).ok()?;
    let kept: serde_json::Value = serde_json::from_slice(&text).ok()?;
    let pid = i32::try_from(kept["pid"].as_i64()?).ok().filter(|pid| *pid > 1)?;
    let command = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    String::from_utf8_lossy(&command).contains(&*folder.to_string_lossy()).then_some(pid)
}

/// kill -9 of a process and its group.
pub fn kill(pid: i32) {
    if let Some(pid) = rustix::process::Pid::from_raw(pid) {
        let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

/// The buildlet program beside this test's, built anew where it is missing or older than its sources.
pub fn buildlet() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT
        .get_or_init(|| {
            let own = std::env::current_exe().unwrap();
            let profile = own.parent().and_then(Path::parent).unwrap();
            let program = profile.join("buildlet");
            let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../buildlet");
            let built = std::fs::metadata(&program).and_then(|found| found.modified()).ok();
            if built.is_none_or(|built| built < newest(&sources.join("src"))) {
                let mut command = Command::new(env!("CARGO"));
                // Build scripts that look at these (ring's) would run anew, and all built upon them with them.
                for (name, _) in std::env::vars_os() {
                    let shown = name.to_string_lossy();
                    if shown.starts_with("CARGO_PKG_") || shown.starts_with("CARGO_MANIFEST_") {
                        command.env_remove(name);
                    }
                }
                command.args(["build", "--quiet", "--package", "buildlet", "--target-dir"]);
                command.arg(profile.parent().unwrap()).current_dir(&sources);
                if profile.ends_with("release") {
                    command.arg("--release");
                }
                assert!(command.status().unwrap().success(), "the buildlet does not build");
            }
            program
        })
        .clone()
}

fn newest(dir: &Path) -> SystemTime {
    let times = std::fs::read_dir(dir).unwrap().map(|entry| {
        let entry = entry.unwrap();
        match entry.file_type().unwrap().is_dir() {
            true => newest(&entry.path()),
            false => entry.metadata().unwrap().modified().unwrap(),
        }
    });
    times.max().unwrap_or(SystemTime::UNIX_EPOCH)
}

pub fn config(text: &str) -> Config {
    let sources = [buildenv::embedded("linux", "amd64"), Source::server("server.toml", text)];
    buildenv::load(&sources, &|_| Err(std::io::ErrorKind::NotFound.into()), None)
        .unwrap_or_else(|e| panic!("{e}"))
}

/// One repo, one builder; the recipe's line is the test's.
pub fn simple(run: &str, more: &str) -> String {
    format!(
        "[host.h]\npool = \"local\"\ntrust = \"trusted\"\ncapacity = 2\nenv_pass = [\"PATH\"]\n\
         [repo.one]\nurl = \"https://example.com/one\"\nhorizon = 1\n\
         [builder.b]\nhost = \"h\"\nrecipe = \"r\"\n\
         [recipe.r]\nrun = '''{run}'''\n{more}"
    )
}

pub fn hash(n: u32) -> String {
    format!("{n:040x}")
}

impl World {
    pub async fn new(dialect: Dialect) -> World {
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
        let (config, seen) = watch::channel(Arc::new(config(&simple("true", ""))));
        let parts = DashboardParts {
            db: db.clone(),
            objects: objects.clone(),
            config: seen,
            logs: LogLimits::default(),
        };
        let dashboard_router = dashboard::router(&Dashboard::new(parts));
        let workers = Workers(dir.path().join("workers"));
        World {
            url,
            db,
            objects,
            dashboard: DashboardClient::new(Service::in_process(dashboard_router.clone())),
            dashboard_router,
            mirror: Arc::default(),
            clock: Arc::default(),
            gomote_idle: Duration::from_secs(1800),
            channels: coordinator::outbox::Channels::new(),
            outbox: coordinator::outbox::Limits::default(),
            alarms: coordinator::ALARMS,
            reception: None,
            config,
            secrets: BTreeMap::new(),
            order_key: OrderKey::of(&[6; 32]),
            confined: coordinator::Confined::none(),
            changes: None,
            _workers: workers,
            dir,
        }
    }

    /// Opens the database anew, as the next program does, with a dashboard on it.
    pub async fn reopen(&mut self) {
        self.db = Db::open(&self.url, self.dir.path()).await.unwrap();
        let parts = DashboardParts {
            db: self.db.clone(),
            objects: self.objects.clone(),
            config: self.config.subscribe(),
            logs: LogLimits::default(),
        };
        self.dashboard_router = dashboard::router(&Dashboard::new(parts));
        self.dashboard = DashboardClient::new(Service::in_process(self.dashboard_router.clone()));
    }

    pub fn configure(&self, text: &str) {
        self.config.send_replace(Arc::new(config(text)));
    }

    /// Posts a repo whose main branch has these commits, newest first.
    pub async fn push(&self, repo: &str, commits: &[u32]) {
        self.mirror
            .files
            .lock()
            .unwrap()
            .entry(repo.to_owned())
            .or_insert_with(|| BTreeMap::from([("hello".to_owned(), format!("from {repo}\n"))]));
        let state = RepoUpdate {
            state: RepoState::Ok,
            reason: None,
            default_branch: Some("main".into()),
            head: None,
            visibility: None,
        };
        self.dashboard.put_repo(repo, &state).await.unwrap();
        let parents = commits.iter().skip(1).copied().map(Some).chain([None]);
        let commit = |(n, parent): (&u32, Option<u32>)| CommitInfo {
            hash: hash(*n),
            parents: parent.map(hash).into_iter().collect(),
            author_name: "Ada".into(),
            author_email: Some("ada@example.com".into()),
            time_us: i64::from(*n) * 1_000_000,
            message: format!("commit {n}"),
        };
        let update = BranchUpdate {
            head: commits.first().copied().map(hash),
            default: true,
            first_parent: commits.iter().copied().map(hash).collect(),
            complete: true,
            base: None,
            commits: commits.iter().zip(parents).map(commit).collect(),
        };
        self.dashboard.put_branch(repo, "main", &update).await.unwrap();
    }

    pub fn local_pool(&self) -> Arc<dyn Pool> {
        self.local_pool_by(vec![buildlet().to_string_lossy().into_owned()])
    }

    /// A local pool whose workers are started by this command.
    pub fn local_pool_by(&self, command: Vec<String>) -> Arc<dyn Pool> {
        let env = [("PATH".to_owned(), std::env::var("PATH").unwrap())];
        let pool = LocalPool::open(LocalPoolConfig {
            dir: self.dir.path().join("workers"),
            sockets: self.dir.path().join("s"),
            command,
            env: env.into(),
            idle_exit: Duration::from_secs(300),
            order_key: self.order_key.public(),
            confined: self.confined.clone(),
        });
        Arc::new(pool.unwrap())
    }

    pub async fn start(&self) -> Running {
        self.start_with(self.local_pool(), Arc::new(NoHooks)).await
    }

    pub async fn start_with(&self, pool: Arc<dyn Pool>, hooks: SharedHooks) -> Running {
        self.start_at(pool, hooks, Service::in_process(self.dashboard_router.clone())).await
    }

    pub async fn start_at(&self, pool: Arc<dyn Pool>, hooks: SharedHooks, dashboard: Service) -> Running {
        let handles = Handles {
            reception: self.reception.clone(),
            db: self.db.clone(),
            objects: self.objects.clone(),
            dashboard,
            mirror: Service::in_process(mirror::router(Arc::clone(&self.mirror))),
            config: self.config.subscribe(),
            pools: vec![pool],
            clock: Arc::clone(&self.clock) as _,
            hooks,
            secrets: self.secrets.clone(),
            blocked: Arc::new(|_, _| None),
            ssh_key: SshHostKey::of(&[5; 32]),
            order_key: self.order_key.clone(),
            changes: self.changes.clone(),
            pulls: None,
            recompose: None,
            channels: self.channels.clone(),
        };
        let options = Options {
            holder: "a test".into(),
            take_over: TakeOver::AtOnce,
            capacity: 2,
            patience: Duration::from_secs(20),
            gomote_idle: self.gomote_idle,
            outbox: self.outbox,
            alarms: self.alarms,
        };
        let coordinator = Coordinator::start(options, handles).await.unwrap();
        let service = Service::in_process(coordinator.router());
        let (measures, identities) = (coordinator.measures(), coordinator.identities());
        let shells = coordinator.shells();
        let (drain, stop) = (CancellationToken::new(), CancellationToken::new());
        let task = tokio::spawn(coordinator.run(drain.clone(), stop.clone()));
        Running { service, measures, identities, shells, _drain: drain, stop, task }
    }

    /// Waits for a build of a cell to be there and as wanted.
    pub async fn until(&self, repo: &str, builder: &str, wanted: impl Fn(&BuildRow) -> bool) -> BuildRow {
        let end = Instant::now() + PATIENCE;
        loop {
            let found = self.builds().await;
            let found: Vec<_> =
                found.into_iter().filter(|row| row.repo == repo && row.builder == builder).collect();
            if let Some(row) = found.iter().find(|row| wanted(row)) {
                return row.clone();
            }
            assert!(Instant::now() < end, "{repo} {builder}: waited too long, there are {found:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits for a build to be done and reported.
    pub async fn done(&self, repo: &str, builder: &str) -> BuildReport {
        let row = self.until(repo, builder, |row| row.state == "done" && row.reported).await;
        self.dashboard.build(&row.id.to_string()).await.unwrap()
    }

    /// All builds, in order of their ids.
    pub async fn builds(&self) -> Vec<BuildRow> {
        let mut reader = self.db.read().await.unwrap();
        let mut ids: Vec<BuildId> = Vec::new();
        for row in store::builds::open(&mut reader).await.unwrap() {
            ids.push(row.id);
        }
        drop(reader);
        // What is reported is listed by the dashboard.
        let query = dashboard::api::BuildQuery { limit: Some(1000), ..Default::default() };
        for summary in self.dashboard.builds(&query).await.unwrap().builds {
            ids.push(summary.id.parse().unwrap());
        }
        ids.sort();
        ids.dedup();
        let mut rows = Vec::new();
        let mut reader = self.db.read().await.unwrap();
        for id in ids {
            rows.extend(store::builds::get(&mut reader, id).await.unwrap());
        }
        rows
    }

    pub async fn log(&self, attempt: &AttemptReport) -> String {
        let bytes =
            self.dashboard.log_bytes(LogOf::Attempt(&attempt.id), LogRange::All, 1 << 26).await.unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// All that is durable, for telling whether anything was written.
    pub async fn everything(&self) -> String {
        use std::fmt::Write as _;
        let mut text = String::new();
        let mut reader = self.db.read().await.unwrap();
        writeln!(text, "events up to {}", store::events::last(&mut reader).await.unwrap()).unwrap();
        writeln!(text, "{:?}", store::workers::live(&mut reader).await.unwrap()).unwrap();
        writeln!(
            text,
            "{:?}",
            store::leader::current(&mut reader, "coordinator").await.unwrap().map(|l| l.epoch)
        )
        .unwrap();
        drop(reader);
        for row in self.builds().await {
            let mut reader = self.db.read().await.unwrap();
            writeln!(text, "{row:?}").unwrap();
            for attempt in store::attempts::of_build(&mut reader, row.id).await.unwrap() {
                writeln!(text, "{attempt:?}").unwrap();
                let spans = store::spans::of_attempt(&mut reader, attempt.id).await.unwrap();
                writeln!(text, "{spans:?}").unwrap();
            }
            drop(reader);
            if let Ok(report) = self.dashboard.build(&row.id.to_string()).await {
                writeln!(text, "{report:?}").unwrap();
                for attempt in &report.attempts {
                    let log = self.dashboard.log_info(LogOf::Attempt(&attempt.id)).await;
                    writeln!(text, "{:?}", log.ok()).unwrap();
                }
            }
        }
        for prefix in ["logs", "snapshots", "staged", "artifacts"] {
            writeln!(text, "{:?}", self.objects.list(prefix).await.unwrap()).unwrap();
        }
        text
    }
}

/// A coordinator at work.
pub struct Running {
    pub service: Service,
    measures: Measures,
    pub shells: Shells,
    pub identities: coordinator::Identities,
    _drain: CancellationToken,
    pub stop: CancellationToken,
    pub task: JoinHandle<Stopped>,
}

impl Running {
    /// The value of a row of the metrics, such as `builds_total{outcome="ok"}`; zero if there is none.
    pub fn measured(&self, row: &str) -> f64 {
        let mut registry = prometheus_client::registry::Registry::default();
        self.measures.register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        let found = text.lines().find_map(|line| line.strip_prefix(row)?.strip_prefix(' '));
        found.map_or(0.0, |value| value.parse().unwrap())
    }

    pub async fn status(&self) -> Status {
        self.service.get_json("/api/v1/status").await.unwrap()
    }

    /// The service, as somebody who runs it.
    pub fn admin(&self) -> Service {
        self.service.clone().asking_as(transport::Viewer::known("ann", transport::Role::Admin))
    }

    pub async fn post(&self, path: &str) -> serde_json::Value {
        let body = serde_json::json!({});
        self.service.call_json(http::Method::POST, path, Some(&body)).await.unwrap()
    }

    pub async fn until(&self, wanted: impl Fn(&Status) -> bool) -> Status {
        let end = Instant::now() + PATIENCE;
        loop {
            let status = self.status().await;
            if wanted(&status) {
                return status;
            }
            assert!(Instant::now() < end, "waited too long: {status:#?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn stopped(mut self) -> Stopped {
        tokio::time::timeout(PATIENCE, &mut self.task).await.expect("the coordinator does not end").unwrap()
    }

    /// Ends it in order.
    pub async fn end(self) {
        self.stop.cancel();
        self.stopped().await;
    }

    /// As kill -9: not a word more from any task.
    pub async fn kill(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}
