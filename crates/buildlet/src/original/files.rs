//! `/write` and `/removeall`.

use std::fs::File;
use std::io::{self, Read, Write as _};
use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use futures::TryStreamExt as _;
use http::{HeaderMap, Method, StatusCode, Uri};
use tokio_util::io::{StreamReader, SyncIoBridge};

use crate::agent::Agent;
use crate::beneath::{self, permissions};
use crate::files::{FileError, open_beneath};
use crate::gomode::unix_from_go;
use crate::http::{ApiError, GoError, Token, outrun};
use crate::paths::clean;
use crate::sys::Errno;
use crate::sys::fd::OwnedFd;
use crate::sys::fs::{OFlags, fchmod, mkdirat};

use super::form::Form;
use super::{internal, require};

/// How much of a refused upload is read to its end, in bytes.
const DRAIN: u64 = 256 << 20;

/// Reads the rest of a refused upload: a sender that is still writing would see a broken connection and not our reason.
pub(super) fn drain(upload: impl Read) {
    // Whoever has gone away does not want to know.
    let _read = io::copy(&mut upload.take(DRAIN), &mut io::sink());
}

pub(crate) async fn write(
    State(agent): State<Arc<Agent>>,
    method: Method,
    uri: Uri,
    token: Option<axum::Extension<Token>>,
    body: Body,
) -> Result<&'static str, Response> {
    if method != Method::PUT {
        // The original names the wrong method here.
        return Err(GoError::bad("requires POST method").into_response());
    }
    let form = Form::of_query(uri.query());
    let inside = clean(form.get("path")).filter(|path| !path.is_empty());
    let path = inside.ok_or_else(|| GoError::bad("bad path").into_response())?;
    let mode = unix_from_go(form.get("mode")).ok_or_else(|| GoError::bad("bad mode").into_response())?;
    let reader = StreamReader::new(body.into_data_stream().map_err(io::Error::other));
    let token = token.map(|axum::Extension(Token(token))| token);
    let mut reader = agent.fence.holds(token, SyncIoBridge::new(Box::pin(reader)));
    let workdir = agent.workdir().to_owned();
    let most = agent.upload_bytes;
    let write = move || -> Result<(), FileError> {
        let mut file = create(&workdir, &path)?;
        // One byte more than is taken shows that there is more.
        let copied = io::copy(&mut (&mut reader).take(most.saturating_add(1)), &mut file);
        if copied.as_ref().is_ok_and(|copied| *copied > most) {
            file.set_len(0)?;
            drain(reader);
            return Err(FileError::Refused(format!(
                "{path:?} has more than {most} bytes; this buildlet's operator would allow more with --upload-bytes"
            )));
        }
        if let Err(error) = copied.and_then(|_bytes| file.flush()) {
            if crate::http::is_full(&error) {
                drain(reader);
            }
            return Err(error.into());
        }
        fchmod(&file, permissions(mode)).map_err(io::Error::from)?;
        Ok(())
    };
    match agent.as_job(write).await {
        Ok(Ok(())) => Ok("OK"),
        Ok(Err(error)) => Err(answer(error)),
        Err(error) => Err(internal(error).into_response()),
    }
}

/// Creates or empties a file beneath the work directory, with the directories above it.
fn create(workdir: &std::path::Path, path: &str) -> Result<File, FileError> {
    let (dir, leaf) = path.rsplit_once('/').unwrap_or(("", path));
    let parent = make_dirs(workdir, dir)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC | OFlags::NONBLOCK;
    match beneath::open(&parent, leaf, flags, permissions(0o600)) {
        Ok(fd) => Ok(File::from(fd)),
        Err(Errno::XDEV | Errno::LOOP) => {
            Err(FileError::Refused(format!("{path:?} is a link that leads out")))
        }
        Err(error) => Err(FileError::Io(error.into())),
    }
}

/// Makes a directory beneath the work directory, with those above it, and opens it.
pub(super) fn make_dirs(workdir: &std::path::Path, dir: &str) -> Result<OwnedFd, FileError> {
    let dirs = OFlags::RDONLY | OFlags::DIRECTORY;
    std::fs::create_dir_all(workdir)?;
    let mut made = String::new();
    let mut parent = open_beneath(workdir, "", dirs)?;
    for part in dir.split('/').filter(|part| !part.is_empty()) {
        match mkdirat(&parent, part, permissions(0o755)) {
            Err(Errno::EXIST) => {}
            done => done.map_err(io::Error::from)?,
        }
        if !made.is_empty() {
            made.push('/');
        }
        made.push_str(part);
        // From the top: a link on the way may lead about within, and not out.
        parent = open_beneath(workdir, &made, dirs)?;
    }
    Ok(parent)
}

pub(super) fn answer(error: FileError) -> Response {
    match error {
        FileError::Refused(what) => GoError::bad(what).into_response(),
        FileError::Missing(what) => internal(format!("{what}: no such file or directory")).into_response(),
        FileError::Io(error) if crate::http::is_full(&error) => ApiError::io(&error).into_response(),
        FileError::Io(error) => internal(error).into_response(),
    }
}

pub(crate) async fn removeall(
    State(agent): State<Arc<Agent>>,
    token: Option<Extension<Token>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<(), GoError> {
    require(&method, &Method::POST)?;
    let form = Form::read(uri.query(), &headers, body).await?;
    if outrun(&agent, token).is_some() {
        return Err(GoError(StatusCode::CONFLICT, "a newer holder has this machine".to_owned()));
    }
    let paths: Vec<Option<String>> = form.all("path").map(clean).collect();
    if paths.is_empty() {
        return Err(GoError::bad("requires 'path' parameter"));
    }
    let paths: Vec<String> =
        paths.into_iter().collect::<Option<_>>().ok_or_else(|| GoError::bad("bad 'path' parameter"))?;
    let workdir = agent.workdir().to_owned();
    let remove = move || -> io::Result<()> {
        for path in paths {
            if path.is_empty() {
                let problems = crate::removal::empty_dir(&workdir)?;
                if let Some(problem) = problems.into_iter().next() {
                    return Err(io::Error::other(problem));
                }
            } else {
                crate::removal::remove(&workdir, &path)?;
            }
        }
        Ok(())
    };
    agent.as_job(remove).await.map_err(internal)?.map_err(internal)
}
