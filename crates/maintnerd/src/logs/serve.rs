//! The answers, by the table of spec/maintner.md §2.4.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::Logs;
use super::range::{Asked, asked};
use maintner::journal::{Committed, Segment};

/// Of what is named by its digest.
const FOR_EVER: &str = "max-age=31536000, immutable";

/// `GET /logs[?startseg=N][&waitsizenot=N]`
pub(super) async fn index(State(logs): State<Logs>, method: Method, RawQuery(query): RawQuery) -> Response {
    if !reads(&method) {
        return refused("bad method");
    }
    let query = query.unwrap_or_default();
    let from = match parameter(&query, "startseg").map(|text| text.parse::<i64>()) {
        None | Some(Err(_)) => 0,
        Some(Ok(number)) => match u64::try_from(number) {
            Ok(number) => number,
            Err(_) => return refused("bad startseg"),
        },
    };
    let known = match parameter(&query, "waitsizenot").filter(|text| !text.is_empty()) {
        None => None,
        Some(text) => match text.parse::<i64>().ok().and_then(|size| u64::try_from(size).ok()) {
            Some(size) => Some(size),
            None => return refused("bad waitsizenot"),
        },
    };
    let committed = match logs.other_than(known).await {
        Ok(committed) => committed,
        Err(response) => return *response,
    };
    let from = if from > u64::from(current(&committed)) { 0 } else { from };
    let (text, bytes) = logs.0.index.list(&committed, from, logs.copied());
    let head = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::HeaderName::from_static("x-sum-segment-size"), HeaderValue::from(bytes)),
    ];
    (head, text).into_response()
}

impl Logs {
    /// Waits until the log has not that many bytes.
    async fn other_than(&self, known: Option<u64>) -> Result<Arc<Committed>, Box<Response>> {
        let now = self.committed();
        if known.is_none_or(|known| known != now.total) {
            return Ok(now);
        }
        let Ok(_seat) = self.0.waiting.try_acquire() else {
            return Err(Box::new(later("too many are waiting")));
        };
        let mut committed = self.0.committed.clone();
        let changed = committed.wait_for(|now| Some(now.total) != known);
        let waited = tokio::select! {
            () = self.0.ending.cancelled() => return Err(Box::new(later("the server is ending"))),
            waited = tokio::time::timeout(self.0.config.wait, changed) => waited,
        };
        match waited {
            Ok(Ok(now)) => Ok(now.clone()),
            Ok(Err(_)) => Err(Box::new(later("the server is ending"))),
            Err(_) => Err(Box::new(StatusCode::NOT_MODIFIED.into_response())),
        }
    }
}

/// `/logs/`
pub(super) async fn segment_of_nothing(method: Method) -> Response {
    refused(if reads(&method) { "bad path" } else { "bad method" })
}

/// `GET /logs/NUM`, `GET /logs/NUM/NAME`
pub(super) async fn segment(
    State(logs): State<Logs>,
    method: Method,
    Path(path): Path<String>,
    headers: HeaderMap,
) -> Response {
    if !reads(&method) {
        return refused("bad method");
    }
    let committed = logs.committed();
    let (number, name) = match path.split_once('/') {
        None => (path.as_str(), None),
        Some((number, name)) => (number, Some(name)),
    };
    let Ok(number) = number.parse::<i64>() else { return refused("bad path") };
    let current = current(&committed);
    let Some(number) = u32::try_from(number).ok().filter(|number| *number <= current) else {
        return refused("bad segment number");
    };
    let segment = usize::try_from(number).ok().and_then(|number| committed.segments.get(number));
    match (segment, name) {
        // The one that is next has nothing yet.
        (None, None) => bytes_of(&logs, &committed, None, &method, &headers).await,
        (Some(segment), None) if segment.sealed => {
            let location = HeaderValue::try_from(logs.0.index.url(segment, logs.copied()));
            let head = location.map(|to| [(header::LOCATION, to)]);
            head.map_or_else(|_| refused("bad path"), |head| (StatusCode::FOUND, head).into_response())
        }
        (Some(segment), None) => bytes_of(&logs, &committed, Some(segment), &method, &headers).await,
        (Some(segment), Some(name)) if segment.sealed && name == segment.name() => {
            let mut response = bytes_of(&logs, &committed, Some(segment), &method, &headers).await;
            if response.status().is_success() {
                response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(FOR_EVER));
            }
            response
        }
        (_, Some(_)) => text(StatusCode::NOT_FOUND, "no segment has this name"),
    }
}

async fn bytes_of(
    logs: &Logs,
    committed: &Arc<Committed>,
    segment: Option<&Segment>,
    method: &Method,
    headers: &HeaderMap,
) -> Response {
    let size = segment.map_or(0, |segment| segment.size);
    // There is nothing by which a part could be known to be of the same whole.
    let range = headers.get(header::RANGE).filter(|_| !headers.contains_key(header::IF_RANGE));
    let range = match range.map(HeaderValue::to_str).transpose() {
        Ok(range) => asked(range, size),
        Err(_) => Asked::Malformed,
    };
    let (status, part) = match range {
        Asked::All => (StatusCode::OK, 0..size),
        Asked::Part(part) => (StatusCode::PARTIAL_CONTENT, part),
        Asked::Malformed => return text(StatusCode::RANGE_NOT_SATISFIABLE, "invalid range"),
        Asked::Beyond => {
            let mut response = text(StatusCode::RANGE_NOT_SATISFIABLE, "invalid range: failed to overlap");
            if let Ok(value) = HeaderValue::try_from(format!("bytes */{size}")) {
                response.headers_mut().insert(header::CONTENT_RANGE, value);
            }
            return response;
        }
    };
    let body = match segment.filter(|_| *method == Method::GET && !part.is_empty()) {
        None => Body::empty(),
        Some(segment) => {
            let (logs, committed, segment, part) = (logs.clone(), committed.clone(), *segment, part.clone());
            let read = tokio::task::spawn_blocking(move || logs.0.files.read(&committed, &segment, part));
            match read.await.unwrap_or_else(|ended| Err(std::io::Error::other(ended))) {
                Ok(bytes) => bytes.into(),
                Err(why) => {
                    tracing::error!(number = segment.number, "a segment can't be read: {why}");
                    return text(StatusCode::INTERNAL_SERVER_ERROR, "the segment can't be read");
                }
            }
        }
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let head = response.headers_mut();
    head.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    head.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    head.insert(header::CONTENT_LENGTH, HeaderValue::from(part.end - part.start));
    if status == StatusCode::PARTIAL_CONTENT
        && let Ok(value) = HeaderValue::try_from(format!("bytes {}-{}/{size}", part.start, part.end - 1))
    {
        head.insert(header::CONTENT_RANGE, value);
    }
    response
}

/// The number of the segment that grows, whether or not it has begun.
fn current(committed: &Committed) -> u32 {
    match committed.segments.last() {
        None => 0,
        Some(last) => last.number + u32::from(last.sealed),
    }
}

fn parameter(query: &str, wanted: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    pairs.find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned())
}

fn reads(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

fn refused(why: &str) -> Response {
    text(StatusCode::BAD_REQUEST, why)
}

fn later(why: &str) -> Response {
    let mut response = text(StatusCode::SERVICE_UNAVAILABLE, why);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    response
}

fn text(status: StatusCode, why: &str) -> Response {
    let head = [(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"))];
    (status, head, format!("{why}\n")).into_response()
}
