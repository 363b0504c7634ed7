//! `/writetgz` and `/tgz`.

use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use http::{HeaderMap, HeaderValue, Method, Uri, header};
use tokio::sync::mpsc;
use tokio_util::io::{StreamReader, SyncIoBridge};

use crate::agent::Agent;
use crate::fetch::Fetched;
use crate::files::open_beneath;
use crate::http::{ApiError, GoError, Token, outrun};
use crate::pack::{Level, pack};
use crate::paths::{clean, is_relative_beneath};
use crate::sys::fd::OwnedFd;
use crate::sys::fs::OFlags;
use crate::untar::{MEMBERS, Most, UntarError, untar};

use super::form::Form;
use super::{files, internal, require};

pub(crate) async fn writetgz(
    State(agent): State<Arc<Agent>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    token: Option<axum::Extension<Token>>,
    body: Body,
) -> Result<&'static str, Response> {
    let form = Form::of_query(uri.query());
    let dir = match form.get("dir") {
        "" => String::new(),
        dir => clean(dir).ok_or_else(|| GoError::bad("bad 'dir' parameter").into_response())?,
    };
    let archive: Fetched = if method == Method::PUT {
        body.into_data_stream().map_err(io::Error::other).boxed()
    } else if method == Method::POST {
        // The toolchain that builds others stays what it was.
        if form.get("dir") == "go1.4" && agent.workdir().join("go1.4").is_dir() {
            return Ok("SKIP");
        }
        let form = Form::read(uri.query(), &headers, body).await.map_err(GoError::into_response)?;
        fetch(&agent, form.get("url")).await.map_err(GoError::into_response)?
    } else {
        return Err(GoError::bad("requires PUT or POST method").into_response());
    };
    let mut reader = SyncIoBridge::new(StreamReader::new(archive));
    let unpack = {
        let agent = Arc::clone(&agent);
        move || -> Result<(), Box<Response>> {
            // A holder whose lease ended meanwhile stops writing, or does not begin.
            let go_on = || outrun(&agent, token).is_none();
            if !go_on() {
                return Err(Box::new(ApiError::stale(agent.fence.current()).into_response()));
            }
            let dest = files::make_dirs(agent.workdir(), &dir).map_err(|e| Box::new(files::answer(e)))?;
            let refuse = |error| match error {
                // Whatever it broke at.
                _ if !go_on() => ApiError::stale(agent.fence.current()).into_response(),
                UntarError::Refused(what) => GoError::bad(what).into_response(),
                UntarError::Interrupted => ApiError::stale(agent.fence.current()).into_response(),
                UntarError::Io { source, .. } if crate::http::is_full(&source) => {
                    ApiError::io(&source).into_response()
                }
                error @ UntarError::Io { .. } => internal(error).into_response(),
            };
            let most = Most { bytes: agent.upload_bytes, members: MEMBERS };
            let sent = agent.fence.holds(token.map(|axum::Extension(Token(token))| token), &mut reader);
            let unpacked = untar(sent, dest, SystemTime::now(), most, &go_on);
            let hears_why = match &unpacked {
                Err(UntarError::Refused(_)) => true,
                Err(UntarError::Io { source, .. }) => crate::http::is_full(source),
                _ => false,
            };
            // Who was asked for the archive hears nothing from us.
            if hears_why && method == Method::PUT {
                files::drain(reader);
            }
            unpacked.map_err(|error| Box::new(refuse(error)))
        }
    };
    match agent.as_job(unpack).await {
        Ok(done) => done.map(|()| "OK").map_err(|response| *response),
        Err(error) => Err(internal(error).into_response()),
    }
}

async fn fetch(agent: &Agent, url: &str) -> Result<Fetched, GoError> {
    if url.is_empty() {
        return Err(GoError::bad("requires 'url' parameter"));
    }
    agent.fetcher.fetch(url).await.map_err(|error| {
        tracing::info!(%error, "an archive was not fetched");
        if error.is_askers() { GoError::bad(error.to_string()) } else { internal(error) }
    })
}

pub(crate) async fn tgz(
    State(agent): State<Arc<Agent>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, GoError> {
    require(&method, &Method::GET)?;
    let form = Form::of_query(uri.query());
    let dir = form.get("dir").to_owned();
    if !is_relative_beneath(&dir) {
        return Err(GoError::bad("bad 'dir' parameter"));
    }
    let level = match form.get("level") {
        "" => Level::default(),
        text => Level::of(text).ok_or_else(|| GoError::bad("bad 'level' parameter: 1 to 9"))?,
    };
    drop(headers);
    let workdir = agent.workdir().to_owned();
    // A piece is what was made of a block.
    let (sender, receiver) = mpsc::channel(1);
    let user = agent.table.settings.user.clone();
    // It ends when the receiver is dropped, since every send then fails.
    let writer = tokio::task::spawn_blocking(move || {
        let send = |piece| sender.blocking_send(Ok(piece)).map_err(|_gone| io::ErrorKind::BrokenPipe.into());
        let rights = crate::user::of(user.as_deref());
        // The threads of it have these rights too, and end before they are given back.
        let packed = rights.and_then(|_rights| open(&workdir, &dir).and_then(|base| pack(base, level, send)));
        if let Err(error) = packed {
            tracing::info!(%error, "tgz broken off");
            // The connection breaks, so that the client sees no clean end.
            let _gone = sender.blocking_send(Err(error));
        }
    });
    let chunks = stream::unfold((receiver, writer), async |(mut receiver, writer)| {
        let chunk: Option<io::Result<Bytes>> = receiver.recv().await;
        chunk.map(|chunk| (chunk, (receiver, writer)))
    });
    let mut response = Body::from_stream(chunks).into_response();
    let gzip = HeaderValue::from_static("application/x-gzip");
    response.headers_mut().insert(header::CONTENT_TYPE, gzip);
    Ok(response)
}

fn open(workdir: &std::path::Path, dir: &str) -> io::Result<OwnedFd> {
    std::fs::create_dir_all(workdir)?;
    open_beneath(workdir, dir, OFlags::RDONLY | OFlags::DIRECTORY).map_err(io::Error::other)
}
