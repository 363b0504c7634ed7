//! The JSON API.

use std::collections::{BTreeMap, HashMap};

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use git::{ObjectId, RefName};
use http::{StatusCode, header};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt;
use transport::Viewer;
use transport::extract::{Path, Query};
use transport::operation::{HashText, RevText};

use super::{Refusal, commit, repo, repo_to_order, seen};
use crate::repo::SharedRepo;
use crate::{Mirror, RepoState};

/// The largest file that is given, in bytes.
const MAX_FILE: u64 = 1 << 20;
/// How deep a listing goes, and how long it is.
const DEPTH: usize = 3;
const MAX_PATHS: usize = 5000;
/// How many commits a bundle has if nothing else is asked for.
const BUNDLE_DEPTH: u32 = 50;

type Parameters = Query<HashMap<String, String>>;

// Queries, as they are described. What is given is read one by one, so that each mistake has its own words.

/// A revision.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct RevQuery {
    /// A branch, a tag or a commit.
    #[schemars(with = "RevText")]
    rev: String,
}

/// A file of a revision.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct FileQuery {
    /// A branch, a tag or a commit.
    #[schemars(with = "RevText")]
    rev: String,
    /// Its path from the top.
    path: String,
}

/// Two commits.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct AncestorQuery {
    /// The one that may be in the history of the other.
    #[schemars(with = "RevText")]
    ancestor: String,
    /// The other.
    #[schemars(with = "RevText")]
    commit: String,
}

/// The commit that may have landed.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct LandedQuery {
    /// A branch, a tag or a commit.
    #[schemars(with = "RevText")]
    commit: String,
}

/// How much of a history.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct BundleQuery {
    /// A branch, a tag or a commit.
    #[schemars(with = "RevText")]
    rev: String,
    /// How many commits, 50 if not given; 0 for all.
    depth: Option<u32>,
}

/// Whether to wait.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct HintQuery {
    /// `1` answers after the round.
    #[schemars(with = "Option<Switch>")]
    wait: Option<String>,
}

/// 0 or 1.
#[derive(JsonSchema)]
#[schemars(inline)]
#[expect(dead_code, reason = "only its schema is used")]
enum Switch {
    #[schemars(rename = "0")]
    Off,
    #[schemars(rename = "1")]
    On,
}

/// What a bundle brings.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct ImportQuery {
    /// The commit.
    #[schemars(with = "HashText")]
    commit: String,
}

pub(super) async fn states(State(mirror): State<Mirror>, viewer: Viewer) -> Json<Vec<RepoState>> {
    Json(mirror.all().iter().filter(|repo| seen(repo, &viewer)).map(|repo| repo.state()).collect())
}

pub(super) async fn state(
    State(mirror): State<Mirror>,
    viewer: Viewer,
    Path(name): Path<String>,
) -> Result<Json<RepoState>, Refusal> {
    Ok(Json(repo(&mirror, &viewer, &name)?.state()))
}

/// Wakes the loop; with `wait=1` answers after the round, with the state it left.
pub(super) async fn hint(
    State(mirror): State<Mirror>,
    viewer: Viewer,
    Path(name): Path<String>,
    Query(query): Parameters,
) -> Result<Response, Refusal> {
    let repo = repo_to_order(&mirror, &viewer, &name)?;
    let wait = query.get("wait").map_or("0", String::as_str);
    if !matches!(wait, "0" | "1") {
        return Err(Refusal::bad("the parameter wait is neither 0 nor 1"));
    }
    if wait == "0" {
        mirror.hint(&name);
        return Ok((StatusCode::ACCEPTED, Json(repo.state())).into_response());
    }
    let late = || Refusal::new(StatusCode::GATEWAY_TIMEOUT, "timeout", "the round did not end in time");
    mirror.hint_and_wait(&name).await.map(|state| Json(state).into_response()).ok_or_else(late)
}

/// A revision, resolved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Resolved {
    /// The commit, 40 digits.
    pub commit: String,
}

pub(super) async fn resolve(
    State(mirror): State<Mirror>,
    viewer: Viewer,
    Path(name): Path<String>,
    Query(query): Parameters,
) -> Result<Json<Resolved>, Refusal> {
    let repo = repo(&mirror, &viewer, &name)?;
    Ok(Json(Resolved { commit: commit(&repo, query.get("rev")).await?.to_string() }))
}

/// The parents of a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Parents {
    /// The commit, 40 digits.
    pub commit: String,
    /// Its parents, the first first; none of a root.
    pub parents: Vec<String>,
}

pub(super) async fn parents(
    State(mirror): State<Mirror>,
    viewer: Viewer,
    Path(name): Path<String>,
    Query(query): Parameters,
) -> Result<Json<Parents>, Refusal> {
    let repo = repo(&mirror, &viewer, &name)?;
    let commit = commit(&repo, query.get("rev")).await?;
    let found = repo.repository().await?.commits(&[commit]).await?;
    let parents = found.into_iter().flat_map(|one| one.parents).map(|parent| parent.to_string());
    Ok(Json(Parents { commit: commit.to_string(), parents: parents.collect() }))
}

pub(super) async fn file(
    State(mirror): State<Mirror>,
    viewer: Viewer,
    Path(name): Path<String>,
    Query(query): Parameters,
) -> Result<Response, Refusal> {
    let repo = repo(&mirror, &viewer, &name)?;
    let path = query.get("path").ok_or_else(|| Refusal::bad("the parameter path is missing"))?;
    let commit = commit(&repo, query.get("rev")).await?;
    match repo.repository().await?.read_file(commit, path, MAX_FILE).await? {
        Some(bytes) => Ok(([(header::CONTENT_TYPE, "application/octet-stream")], bytes).into_response()),
        None => Err(Refusal::not_found(format!("there is no file {path:?} in {name} at {commit}"))),
    }
}

async fn listed(
    mirror: &Mirror,
    viewer: &Viewer,
    name: &str,
    query: &HashMap<String, String>,
) -> Result<git::Listed, Refusal> {
    let repo = repo(mirror, viewer, name)?;
    let commit = commit(&repo, query.get("rev")).await?;
    Ok(repo.repository().await?.list_tree(commit, DEPTH, MAX_PATHS).await?)
}

pub(super) async fn tree(
    State(mirror): State<Mirror>,
    viewer: Viewer,
    Path(name): Path<String>,
    Query(query): Parameters,
) -> Result<Response, Refusal> {
    let listed = listed(&mirror, &viewer, &name, &query).await?;
    let truncated = [("Bw-Truncated", if listed.truncated { "1" } else { "0" })];
    Ok((truncated, Json(listed.paths)).into_response())
}

pub(super) async fn submodules(
    State(mirror): State<Mirror>,
    viewer: Viewer,
    Path(name): Path<String>,
    Query(query): Parameters,
) -> Result<Json<Vec<String>>, Refusal> {
    Ok(Json(listed(&mirror, &viewer, &name, &query).await?.submodules))
}

/// Branches and tags of a mirror.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Refs {
    /// The branch of the source's `HEAD`.
    pub default_branch: Option<String>,
    /// Its commit.
    pub head: Option<String>,
    /// Full names and what they point to.
    pub refs: BTreeMap<String, String>,
}

pub(super) async fn refs(
    State(mirror): State<Mirror>,
    viewer: Viewer,
    Path(name): Path<String>,
) -> Result<Json<Refs>, Refusal> {
    let repo = repo(&mirror, &viewer, &name)?;
    let state = repo.state();
    let refs = repo.view.borrow().refs.clone();
    let refs = refs.iter().map(|(name, id)| (name.to_string(), id.to_string())).collect();
    Ok(Json(Refs { default_branch: state.default_branch, head: state.head, refs }))
}

/// Whether a commit is in the history of another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ancestor {
    /// It is.
    pub ancestor: bool,
}

pub(super) async fn ancestor(
    State(mirror): State<Mirror>,
    viewer: Viewer,
    Path(name): Path<String>,
    Query(query): Parameters,
) -> Result<Json<Ancestor>, Refusal> {
    let repo = repo(&mirror, &viewer, &name)?;
    let below = commit(&repo, query.get("ancestor")).await?;
    let above = commit(&repo, query.get("commit")).await?;
    Ok(Json(Ancestor { ancestor: repo.repository().await?.is_ancestor(below, above).await? }))
}

/// Whether a commit has landed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Landed {
    /// A branch or a tag of the source, or a `HEAD` of it that is on no branch, has it in its history, as far as that is known here.
    pub landed: bool,
}

pub(super) async fn landed(
    State(mirror): State<Mirror>,
    viewer: Viewer,
    Path(name): Path<String>,
    Query(query): Parameters,
) -> Result<Json<Landed>, Refusal> {
    let repo = repo(&mirror, &viewer, &name)?;
    let commit = commit(&repo, query.get("commit")).await?;
    Ok(Json(Landed { landed: repo.has_landed(commit).await? }))
}

/// A history as a bundle. `depth=0` is all of it; the header `Bw-Shallow` names where it is cut, and
/// `Bw-Submodules` says whether the tree has any (1) or not (0).
pub(super) async fn bundle(
    State(mirror): State<Mirror>,
    viewer: Viewer,
    Path(name): Path<String>,
    Query(query): Parameters,
) -> Result<Response, Refusal> {
    let repo = repo(&mirror, &viewer, &name)?;
    let depth = match query.get("depth").map(|depth| depth.parse::<u32>()) {
        None => Some(BUNDLE_DEPTH),
        Some(Ok(0)) => None,
        Some(Ok(depth)) => Some(depth),
        Some(Err(_)) => return Err(Refusal::bad("the parameter depth is not a number")),
    };
    let commit = commit(&repo, query.get("rev")).await?;
    let repository = repo.repository().await?;
    let bundle = repository.bundle(commit, depth, repo.tuning.bundle_bytes).await?;
    let submodules = repository.read_file(commit, ".gitmodules", MAX_FILE).await?.is_some();
    let shallow: Vec<String> = bundle.shallow.iter().map(ObjectId::to_string).collect();
    let headers = [
        (header::CONTENT_TYPE.as_str(), "application/x-git-bundle".to_owned()),
        ("Bw-Commit", commit.to_string()),
        ("Bw-Shallow", shallow.join(",")),
        ("Bw-Submodules", u8::from(submodules).to_string()),
    ];
    Ok((headers, bundle.bytes).into_response())
}

/// Takes a bundle with a commit that no branch has: an uncommitted tree that someone wants built.
pub(super) async fn import(
    State(mirror): State<Mirror>,
    viewer: Viewer,
    Path(name): Path<String>,
    Query(query): Parameters,
    body: Body,
) -> Result<Json<Resolved>, Refusal> {
    let repo = repo_to_order(&mirror, &viewer, &name)?;
    let commit = query.get("commit").and_then(|hex| hex.parse::<ObjectId>().ok());
    let commit =
        commit.ok_or_else(|| Refusal::bad("the parameter commit is not an object name of 40 digits"))?;
    let file = tempfile_in(&repo, commit).await?;
    let taken = async {
        receive(body, &file, repo.tuning.bundle_bytes).await?;
        let to: RefName =
            format!("refs/bellwether/dirty/{commit}").parse().expect("invariant: digits make a name");
        repo.repository().await?.import_bundle(&file, commit, &to).await.map_err(|error| match error {
            error @ git::Error::NoSpace { .. } => error.into(),
            error => {
                // Where files lie here is nobody's business.
                let message = error.to_string().replace(&*file.to_string_lossy(), "the body");
                Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_bundle", message)
            }
        })
    }
    .await;
    let _ = tokio::fs::remove_file(&file).await;
    taken?;
    repo.note_present(commit);
    Ok(Json(Resolved { commit: commit.to_string() }))
}

async fn tempfile_in(repo: &SharedRepo, commit: ObjectId) -> Result<std::path::PathBuf, Refusal> {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let name = format!("upload-{commit}-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    Ok(repo.repository().await?.dir().join(name))
}

async fn receive(body: Body, file: &std::path::Path, limit: u64) -> Result<(), Refusal> {
    let disk = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::StorageFull => {
            Refusal::new(StatusCode::INSUFFICIENT_STORAGE, "no_space", "no space left on the disk")
        }
        _ => Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "disk", error.to_string()),
    };
    let mut out = tokio::fs::File::create(file).await.map_err(disk)?;
    let (mut stream, mut size) = (body.into_data_stream(), 0);
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|error| Refusal::bad(format!("the upload broke off: {error}")))?;
        size += chunk.len() as u64;
        if size > limit {
            let message = format!("the bundle is larger than {limit} bytes");
            return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message));
        }
        out.write_all(&chunk).await.map_err(disk)?;
    }
    out.flush().await.map_err(disk)
}
