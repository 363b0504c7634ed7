//! Sources, a mirror and a dashboard.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::{Json, Router};
use gitmirror::{Mirror, MirrorConfig, RepoConfig, RepoState, Tuning};
use http::{Method, Request, StatusCode, Uri};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use transport::Service;

pub struct Fixture {
    pub dir: TempDir,
    pub dashboard: Dashboard,
    pub env: Vec<(String, String)>,
    pub limits: git::Limits,
    pub tuning: Tuning,
    pub cache_bytes: u64,
}

/// A mirror that runs, and is ended with the test.
pub struct Running {
    pub mirror: Mirror,
    pub web: Service,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Fixture {
    pub fn new() -> Self {
        let ms = Duration::from_millis;
        let tuning = Tuning {
            back_off: ms(1),
            retry: ms(100),
            watch: ms(30),
            unknown: Duration::from_secs(60),
            compare: Duration::from_secs(60),
            ..Tuning::default()
        };
        Fixture {
            dir: tempfile::tempdir().unwrap(),
            dashboard: Dashboard::default(),
            env: Vec::new(),
            limits: git::Limits::default(),
            tuning,
            cache_bytes: 1 << 30,
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Makes a work tree with one commit.
    pub fn source(&self, name: &str) -> Source {
        let source = Source(self.path(name));
        std::fs::create_dir_all(&source.0).unwrap();
        source.run(&["init", "-q", "-b", "main"]);
        source.commit("one");
        source
    }

    pub fn repo(&self, name: &str, path: &Path) -> RepoConfig {
        // So long that only news, hints and failures start rounds.
        RepoConfig { poll: Duration::from_secs(3600), ..RepoConfig::new(name, path.to_str().unwrap()) }
    }

    pub async fn open(&self, repos: Vec<RepoConfig>) -> Mirror {
        let config = git::GitConfig {
            env: self.env.clone(),
            limits: self.limits.clone(),
            ..git::GitConfig::new(self.path("home"))
        };
        let config =
            MirrorConfig { dir: self.path("mirrors"), cache_bytes: self.cache_bytes, repos, git: config };
        Mirror::open_with(config, self.tuning.clone()).await.unwrap()
    }

    pub async fn start(&self, repos: Vec<RepoConfig>) -> Running {
        let mirror = self.open(repos).await;
        let (shutdown, service) = (CancellationToken::new(), self.dashboard.service());
        let task = tokio::spawn({
            let (mirror, shutdown) = (mirror.clone(), shutdown.clone());
            async move { mirror.run(service, shutdown).await }
        });
        let web = Service::in_process(gitmirror::router(&mirror));
        Running { mirror, web, shutdown, task }
    }

    /// Counts the processes that belong to this fixture's git.
    pub fn alive(&self) -> usize {
        let home = format!("HOME={}", self.path("home").display());
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let ours = processes.filter(|entry| {
            let variables = std::fs::read(entry.path().join("environ")).unwrap_or_default();
            variables.split(|byte| *byte == 0).any(|variable| variable == home.as_bytes())
        });
        ours.count()
    }
}

impl Running {
    pub async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.unwrap();
    }

    pub async fn first(&self, repo: &str) -> RepoState {
        self.mirror.wait_first_round(repo).await.unwrap()
    }

    pub async fn call(&self, method: Method, path: &str) -> (StatusCode, http::HeaderMap, Vec<u8>) {
        self.send(Request::builder().method(method).uri(path).body(Body::empty()).unwrap()).await
    }

    pub async fn send(&self, request: Request<Body>) -> (StatusCode, http::HeaderMap, Vec<u8>) {
        let (head, body) = self.web.send(request).await.unwrap().into_parts();
        let body = axum::body::to_bytes(body, 1 << 30).await.unwrap();
        (head.status, head.headers, body.to_vec())
    }

    pub async fn get(&self, path: &str) -> (StatusCode, String) {
        let (status, _, body) = self.call(Method::GET, path).await;
        (status, String::from_utf8(body).unwrap())
    }

    pub async fn json(&self, path: &str) -> Value {
        let (status, text) = self.get(path).await;
        assert_eq!(status, StatusCode::OK, "{path}: {text}");
        serde_json::from_str(&text).unwrap()
    }
}

/// Waits until something holds.
pub async fn until(what: &str, wanted: impl Fn() -> bool) {
    for _ in 0..1000 {
        if wanted() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never: {what}");
}

pub struct Source(pub PathBuf);

impl Source {
    pub fn run(&self, args: &[&str]) -> String {
        let out = Command::new("git")
            .args(args)
            .current_dir(&self.0)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", "/nonexistent")
            .envs([("GIT_CONFIG_NOSYSTEM", "1"), ("GIT_AUTHOR_NAME", "A"), ("GIT_AUTHOR_EMAIL", "a@x")])
            .envs([("GIT_COMMITTER_NAME", "C"), ("GIT_COMMITTER_EMAIL", "c@x")])
            .output()
            .unwrap();
        assert!(out.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8_lossy(&out.stdout).trim_end().to_owned()
    }

    pub fn commit(&self, message: &str) -> String {
        self.run(&["add", "-A"]);
        self.run(&["commit", "-q", "--allow-empty", "-m", message]);
        self.run(&["rev-parse", "HEAD"])
    }

    pub fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.0.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
}

/// A dashboard that keeps what it is told, and asks for commits that it does not have.
#[derive(Clone, Default)]
pub struct Dashboard(Arc<Mutex<Told>>);

#[derive(Default)]
pub struct Told {
    /// Every call: path and body.
    pub calls: Vec<(String, Value)>,
    pub commits: BTreeMap<String, Value>,
    /// First parents by branch path, newest first.
    pub branches: BTreeMap<String, Vec<String>>,
    pub repos: BTreeMap<String, Value>,
    /// Answer 503 to everything.
    pub down: bool,
}

impl Dashboard {
    pub fn service(&self) -> Service {
        Service::in_process(Router::new().fallback(tell).with_state(self.clone()))
    }

    pub fn told(&self) -> std::sync::MutexGuard<'_, Told> {
        self.0.lock().unwrap()
    }

    pub fn branch(&self, repo: &str, branch: &str) -> Option<Vec<String>> {
        self.told().branches.get(&format!("/api/v1/repos/{repo}/branches/{branch}")).cloned()
    }

    pub fn head(&self, repo: &str, branch: &str) -> Option<String> {
        self.branch(repo, branch)?.first().cloned()
    }
}

async fn tell(
    State(dashboard): State<Dashboard>,
    uri: Uri,
    method: Method,
    Json(body): Json<Value>,
) -> (StatusCode, Json<Value>) {
    let mut told = dashboard.told();
    if told.down {
        return (StatusCode::SERVICE_UNAVAILABLE, Json(json!({"code": "down", "message": "not now"})));
    }
    assert_eq!(method, Method::PUT);
    let path = uri.path().to_owned();
    told.calls.push((path.clone(), body.clone()));
    if !path.contains("/branches/") {
        told.repos.insert(path, body);
        return (StatusCode::OK, Json(Value::Null));
    }
    let names = |value: &Value| -> Vec<String> {
        value.as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
    };
    if body["head"].is_null() {
        told.branches.remove(&path);
        return (StatusCode::OK, Json(json!({})));
    }
    let mut list = names(&body["first_parent"]);
    if let Some(base) = body["base"].as_str() {
        let known = told.branches.get(&path).cloned().unwrap_or_default();
        if known.first().map(String::as_str) != Some(base) && known.first() != list.first() {
            return (StatusCode::CONFLICT, Json(json!({"code": "stale_base", "message": "another head"})));
        }
        let below = known.iter().position(|id| id == base).map_or(&[][..], |at| &known[at..]);
        list.extend_from_slice(below);
    }
    for commit in body["commits"].as_array().unwrap() {
        told.commits.insert(commit["hash"].as_str().unwrap().to_owned(), commit.clone());
    }
    let missing: BTreeSet<&String> = list.iter().filter(|id| !told.commits.contains_key(*id)).collect();
    let answer = json!({"missing": missing});
    told.branches.insert(path, list);
    (StatusCode::OK, Json(answer))
}
