//! A gitmirror in miniature: archives, commits and ancestry from memory, and failures on request.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use http::StatusCode;
use serde_json::json;

/// What the stub knows; shared with the test.
#[derive(Default)]
pub struct Mirror {
    /// Files of each repo's every commit: name to text.
    pub files: Mutex<BTreeMap<String, BTreeMap<String, String>>>,
    /// Repos whose archives are refused.
    pub broken: Mutex<BTreeSet<String>>,
    /// Archives asked for.
    pub archives: Mutex<Vec<String>>,
    /// Commits that no branch has.
    pub unlanded: Mutex<BTreeSet<String>>,
    /// How many times it is no help in saying what has landed.
    pub unsure: AtomicUsize,
    /// Whether the sources can't be looked at.
    pub away: AtomicBool,
    /// Ancestors that are missing.
    pub missing: Mutex<BTreeSet<String>>,
    /// Ancestors at whose asking it refuses, and how.
    pub refused: Mutex<BTreeMap<String, StatusCode>>,
}

type Shared = State<Arc<Mirror>>;
type Asked = Query<BTreeMap<String, String>>;

pub fn router(mirror: Arc<Mirror>) -> Router {
    Router::new()
        .route("/{archive}", get(archive))
        .route("/mirror/{repo}/resolve", get(resolve))
        .route("/mirror/{repo}/ancestor", get(ancestor))
        .route("/mirror/{repo}/landed", get(landed))
        .route("/mirror/{repo}/hint", post(hint))
        .with_state(mirror)
}

async fn archive(State(mirror): Shared, Path(archive): Path<String>, Query(asked): Asked) -> Response {
    let repo = archive.trim_end_matches(".tar.gz").to_owned();
    mirror.archives.lock().unwrap().push(format!("{repo}@{}", asked["rev"]));
    if mirror.broken.lock().unwrap().contains(&repo) {
        let body = json!({"code": "not_found", "message": "no such commit", "request_id": ""});
        return (StatusCode::NOT_FOUND, axum::Json(body)).into_response();
    }
    let files = mirror.files.lock().unwrap().get(&repo).cloned().unwrap_or_default();
    tokio::task::spawn_blocking(move || tgz(&files)).await.unwrap().into_response()
}

/// A gzipped tar of the files, by the real `tar`.
pub fn tgz(files: &BTreeMap<String, String>) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut file = std::fs::File::create(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        if text.starts_with("#!") {
            file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        }
    }
    let done = Command::new("tar")
        .arg("-C")
        .arg(dir.path())
        .args(["-cz", "."])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    done.stdout
}

async fn resolve(Query(asked): Asked) -> Response {
    let rev = &asked["rev"];
    let commit = if rev.len() == 40 { rev.clone() } else { format!("{:040x}", 1) };
    axum::Json(json!({ "commit": commit })).into_response()
}

async fn landed(State(mirror): Shared, Path(_repo): Path<String>, Query(asked): Asked) -> Response {
    let unsure = |left: usize| left.checked_sub(1);
    if mirror.unsure.fetch_update(Ordering::Relaxed, Ordering::Relaxed, unsure).is_ok() {
        let body = json!({"code": "source", "message": "the source is not there", "request_id": ""});
        return (StatusCode::BAD_GATEWAY, axum::Json(body)).into_response();
    }
    let unlanded = mirror.unlanded.lock().unwrap().contains(&asked["commit"]);
    axum::Json(json!({ "landed": !unlanded })).into_response()
}

async fn hint(State(mirror): Shared) -> Response {
    match mirror.away.load(Ordering::Relaxed) {
        true => axum::Json(json!({"state": "blocked", "reason": "no route to the source"})),
        false => axum::Json(json!({"state": "ok", "reason": null})),
    }
    .into_response()
}

async fn ancestor(State(mirror): Shared, Path(_repo): Path<String>, Query(asked): Asked) -> Response {
    if let Some(status) = mirror.refused.lock().unwrap().get(&asked["ancestor"]) {
        let body = json!({"code": "refused", "message": "no such commit, or no answer", "request_id": ""});
        return (*status, axum::Json(body)).into_response();
    }
    let missing = mirror.missing.lock().unwrap().contains(&asked["ancestor"]);
    axum::Json(json!({ "ancestor": !missing })).into_response()
}
