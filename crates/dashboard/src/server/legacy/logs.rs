//! Logs by the SHA-1 of their text: those that were posted, and those of our own builds.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures::TryStreamExt as _;
use http::{Method, StatusCode, header};
use sha1::{Digest as _, Sha1};
use store::legacy::logs::{self as rows, LogRow};
use store::{Micros, ObjectError};

use super::super::logstore;
use super::answer::{Fault, NO_ENTITY};
use super::call::Desk;
use super::own;

/// Good for what is written once and read seldom.
const LEVEL: i32 = 3;

/// Keeps a text and returns its SHA-1.
pub(super) async fn put(desk: &Desk, text: &str) -> Result<String, Fault> {
    let sha1 = hex(&Sha1::digest(text.as_bytes()));
    let db = desk.dashboard.db();
    if rows::get(&mut db.read().await?, &sha1).await?.is_some() {
        return Ok(sha1);
    }
    let frame = zstd::bulk::compress(text.as_bytes(), LEVEL).map_err(|error| Fault(error.to_string()))?;
    let bytes = i64::try_from(text.len()).unwrap_or(i64::MAX);
    let mut row = LogRow { bytes, inline: None, object: None };
    if frame.len() <= desk.dashboard.limits().inline {
        row.inline = Some(frame);
    } else {
        let path = format!("legacy/logs/{sha1}.zst");
        match desk.dashboard.objects().put_new(&path, Bytes::from(frame)).await {
            Ok(()) | Err(ObjectError::Exists(_)) => row.object = Some(path),
            Err(error) => return Err(error.into()),
        }
    }
    let mut tx = db.begin().await?;
    rows::put(&mut tx, &sha1, &row, Micros::now()).await?;
    tx.commit().await?;
    Ok(sha1)
}

/// Writes bytes in hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `/log/`: a log that has no name.
pub(super) async fn none() -> Response {
    failed(&Fault::new(NO_ENTITY))
}

/// `/log/SHA1`
pub(super) async fn log(State(desk): State<Desk>, request: Request) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return failed(&Fault(format!("bad method: {}", request.method())));
    }
    let key = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
    match find(&desk, &key).await {
        Ok(Some(body)) => (text_head(), body).into_response(),
        Ok(None) => failed(&Fault::new(NO_ENTITY)),
        Err(fault) => failed(&fault),
    }
}

fn text_head() -> [(header::HeaderName, &'static str); 2] {
    [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")]
}

fn failed(fault: &Fault) -> Response {
    let text = format!("Error: {}", escape(&fault.0));
    (StatusCode::INTERNAL_SERVER_ERROR, text_head(), text).into_response()
}

/// Escapes as Go's html package does.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('\'', "&#39;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&#34;")
}

async fn find(desk: &Desk, key: &str) -> Result<Option<Body>, Fault> {
    let row = rows::get(&mut desk.dashboard.db().read().await?, key).await?;
    if let Some(row) = row {
        return content(desk, &row).await.map(|text| Some(Body::from(text)));
    }
    let log = own::log(desk, key).await?.filter(|log| log.expired.is_none());
    let Some(log) = log else { return Ok(None) };
    let pieces = logstore::read(&desk.dashboard, log.attempt, 0, u64::try_from(log.bytes).unwrap_or(0));
    let pieces = pieces.map_ok(|piece| piece.bytes).map_err(|refusal| {
        tracing::warn!(cause = refusal.message, "a log breaks off");
        std::io::Error::other(refusal.message)
    });
    Ok(Some(Body::from_stream(pieces)))
}

async fn content(desk: &Desk, row: &LogRow) -> Result<Bytes, Fault> {
    let frame = match (&row.inline, &row.object) {
        (Some(frame), _) => Bytes::copy_from_slice(frame),
        (None, Some(object)) => desk.dashboard.objects().get(object).await?,
        (None, None) => return Err(Fault::new(NO_ENTITY)),
    };
    let size = usize::try_from(row.bytes).unwrap_or(0);
    let text = zstd::bulk::decompress(&frame, size).map_err(|error| Fault(error.to_string()))?;
    Ok(text.into())
}
