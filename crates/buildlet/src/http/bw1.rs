//! The handlers of `/bw1`.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use futures::stream;
use http::{HeaderValue, StatusCode, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::agent::Agent;
use crate::exec::spool::ReadError;
use crate::exec::{Exec, StartError, Stop};
use crate::files;
use crate::wire::{ExecRequest, ExecState, GlobReport, GlobRequest, WipeReport};

use super::{ApiError, Token, outrun};

/// The greatest JSON body, in bytes.
const MAX_JSON: usize = 4 << 20;
/// The longest wait for a state.
const MAX_WAIT: Duration = Duration::from_secs(60);

pub(crate) async fn start(
    State(agent): State<Arc<Agent>>,
    token: Option<Extension<Token>>,
    body: Body,
) -> Result<Json<ExecState>, ApiError> {
    let request: ExecRequest = json(body).await?;
    let _open = agent.gate.read().await;
    not_outrun(&agent, token)?;
    if let Some(reason) = agent.set_aside() {
        return Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "set_aside", reason));
    }
    match agent.table.start(request) {
        Ok(exec) => Ok(Json(exec.state())),
        Err(StartError::Invalid(what)) => Err(ApiError::bad(what)),
        Err(error @ StartError::TooMany) => {
            Err(ApiError::new(StatusCode::TOO_MANY_REQUESTS, "too_many", error.to_string()))
        }
        Err(StartError::Io(error)) => Err(ApiError::io(&error)),
    }
}

/// Who has waited at the gate may have been outrun there, and the machine is a newer holder's.
fn not_outrun(agent: &Agent, token: Option<Extension<Token>>) -> Result<(), ApiError> {
    outrun(agent, token).map_or(Ok(()), |newest| Err(ApiError::stale(newest)))
}

#[derive(Deserialize)]
pub(crate) struct StateQuery {
    #[serde(default)]
    wait_ms: u64,
}

pub(crate) async fn state(
    State(agent): State<Arc<Agent>>,
    Path(id): Path<String>,
    Query(query): Query<StateQuery>,
) -> Result<Json<ExecState>, ApiError> {
    let exec = find(&agent, &id)?;
    let wait = Duration::from_millis(query.wait_ms).min(MAX_WAIT);
    if !wait.is_zero() {
        // If it has not ended by then, the present state is the answer.
        let _in_time = tokio::time::timeout(wait, exec.ended()).await;
    }
    Ok(Json(exec.state()))
}

#[derive(Deserialize)]
pub(crate) struct OutputQuery {
    #[serde(default)]
    from: u64,
}

pub(crate) async fn output(
    State(agent): State<Arc<Agent>>,
    Path(id): Path<String>,
    Query(query): Query<OutputQuery>,
) -> Result<Response, ApiError> {
    let exec = find(&agent, &id)?;
    let (written, acked) = exec.spool.extent();
    if query.from < acked {
        return Err(read_error(ReadError::Gone(acked)));
    }
    if query.from > written {
        return Err(read_error(ReadError::Beyond(written)));
    }
    let mut response = Body::from_stream(follow(exec, query.from)).into_response();
    let octets = HeaderValue::from_static("application/octet-stream");
    response.headers_mut().insert(header::CONTENT_TYPE, octets);
    Ok(response)
}

/// Yields output from an offset until the command has exited and all of it was yielded.
fn follow(exec: Arc<Exec>, from: u64) -> impl futures::Stream<Item = io::Result<Bytes>> {
    let progress = exec.progress.subscribe();
    stream::try_unfold((exec, progress, from), async |(exec, mut progress, from)| {
        loop {
            // Seen before the read: what comes after it wakes us.
            let exited = progress.borrow_and_update().exited;
            let bytes = exec.spool.read(from).map_err(io::Error::other)?;
            if !bytes.is_empty() {
                let next = from + bytes.len() as u64;
                return Ok(Some((bytes, (exec, progress, next))));
            }
            if exited {
                return Ok(None);
            }
            progress.changed().await.map_err(io::Error::other)?;
        }
    })
}

#[derive(Deserialize)]
pub(crate) struct AckQuery {
    upto: u64,
}

pub(crate) async fn ack(
    State(agent): State<Arc<Agent>>,
    Path(id): Path<String>,
    Query(query): Query<AckQuery>,
) -> Result<Json<serde_json::Value>, ApiError> {
    let acked = find(&agent, &id)?.ack(query.upto).map_err(read_error)?;
    Ok(Json(serde_json::json!({ "acked": acked })))
}

#[derive(Deserialize)]
pub(crate) struct KillQuery {
    #[serde(default)]
    reason: String,
    grace_ms: Option<u64>,
}

/// Orders the end and waits for it as long as that should take.
pub(crate) async fn kill(
    State(agent): State<Arc<Agent>>,
    Path(id): Path<String>,
    Query(query): Query<KillQuery>,
) -> Result<Json<ExecState>, ApiError> {
    let exec = find(&agent, &id)?;
    let grace = query.grace_ms.map_or(agent.table.settings.grace, Duration::from_millis).min(MAX_WAIT);
    if !exec.progress.borrow().exited {
        exec.stop(Stop { cause: format!("killed:{}", query.reason), grace });
        let _in_time = tokio::time::timeout(grace + Duration::from_secs(10), exec.ended()).await;
    }
    Ok(Json(exec.state()))
}

/// Once begun it goes on to its end, also when whoever asked is gone: no job, and no other wipe, meets half of one.
pub(crate) async fn wipe(
    State(agent): State<Arc<Agent>>,
    token: Option<Extension<Token>>,
) -> Result<Json<WipeReport>, ApiError> {
    let tracker = agent.wipes.clone();
    let wiping = tracker.spawn(async move {
        let _alone = agent.gate.write().await;
        not_outrun(&agent, token)?;
        agent.ssh.end_sessions("this machine is wiped").await;
        crate::wipe::wipe(&agent).await.map_err(|error| ApiError::io(&error))
    });
    wiping.await.map_err(|error| ApiError::io(&io::Error::other(error)))?.map(Json)
}

pub(crate) async fn extend() -> Json<serde_json::Value> {
    // The guard has noted the contact.
    Json(serde_json::json!({}))
}

pub(crate) async fn glob(State(agent): State<Arc<Agent>>, body: Body) -> Result<Json<GlobReport>, ApiError> {
    let request: GlobRequest = json(body).await?;
    let workdir = agent.workdir().to_owned();
    let found = agent.as_job(move || files::glob(&workdir, &request)).await;
    found.map_err(|e| ApiError::io(&e))?.map(Json).map_err(file_error)
}

#[derive(Deserialize)]
pub(crate) struct FileQuery {
    path: String,
}

pub(crate) async fn file(
    State(agent): State<Arc<Agent>>,
    Query(query): Query<FileQuery>,
) -> Result<Response, ApiError> {
    let workdir = agent.workdir().to_owned();
    let opened = agent.as_job(move || files::open(&workdir, &query.path)).await;
    let (file, size) = opened.map_err(|e| ApiError::io(&e))?.map_err(file_error)?;
    // Exactly the announced length, even if somebody appends meanwhile.
    let limited = tokio::io::AsyncReadExt::take(tokio::fs::File::from_std(file), size);
    let stream = tokio_util::io::ReaderStream::with_capacity(limited, 128 << 10);
    let mut response = Body::from_stream(stream).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(size));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    Ok(response)
}

fn find(agent: &Agent, id: &str) -> Result<Arc<Exec>, ApiError> {
    let unknown = || ApiError::new(StatusCode::NOT_FOUND, "unknown_exec", format!("no command {id:?}"));
    agent.table.get(id).ok_or_else(unknown)
}

fn read_error(error: ReadError) -> ApiError {
    match &error {
        ReadError::Gone(_) => ApiError::new(StatusCode::GONE, "gone", error.to_string()),
        ReadError::Beyond(_) => {
            ApiError::new(StatusCode::RANGE_NOT_SATISFIABLE, "beyond_end", error.to_string())
        }
        ReadError::Io(error) => ApiError::io(error),
    }
}

fn file_error(error: files::FileError) -> ApiError {
    match &error {
        files::FileError::Refused(_) => ApiError::bad(error.to_string()),
        files::FileError::Missing(_) => ApiError::new(StatusCode::NOT_FOUND, "not_found", error.to_string()),
        files::FileError::Io(error) => ApiError::io(error),
    }
}

async fn json<T: DeserializeOwned>(body: Body) -> Result<T, ApiError> {
    let bytes = axum::body::to_bytes(body, MAX_JSON).await.map_err(|e| ApiError::bad(e.to_string()))?;
    serde_json::from_slice(&bytes).map_err(|e| ApiError::bad(e.to_string()))
}
