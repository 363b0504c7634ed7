//! Logs over HTTP: chunks in under a fence, bytes out by range, lines found.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures::{Stream, StreamExt as _, TryStreamExt as _};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use schemars::JsonSchema;
use serde::Deserialize;
use store::logs::LogRow;
use store::{AttemptId, BuildId};
use transport::Viewer;
use transport::operation::{Count, UlidText};

use super::logstore::{self, NewChunk, Piece};
use super::refusal::{Answer, Path, Query, Refusal};
use super::{Dashboard, id, visible};
use crate::api::{LogGap, LogInfo, LogSearch, LogState, SearchHit};

/// Longest line that a search looks at, in bytes; what is longer is searched in parts.
const LONGEST_LINE: usize = 1 << 20;
/// Longest text of a line that was found.
const LONGEST_HIT: usize = 4096;
/// Size up to which a regular expression may be compiled.
const LARGEST_REGEX: usize = 1 << 20;

fn number(value: u64, what: &str) -> Answer<i64> {
    i64::try_from(value).map_err(|_| Refusal::bad(format!("{what} is too large")))
}

/// Query of opening a log.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct OpenQuery {
    /// The owner's fencing token.
    #[schemars(with = "Count")]
    fence: u64,
    /// The attempt's build.
    #[schemars(with = "UlidText")]
    build: String,
}

/// Query of finishing a log.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct FinishQuery {
    /// The owner's fencing token.
    #[schemars(with = "Count")]
    fence: u64,
}

/// `POST /api/v1/attempts/{attempt}/log/open`
pub(super) async fn open(
    State(dashboard): State<Dashboard>,
    Path(attempt): Path<String>,
    Query(query): Query<OpenQuery>,
) -> Answer<Json<LogState>> {
    let attempt = id("attempt", &attempt)?;
    let build: BuildId = query.build.parse().map_err(|_| Refusal::bad("`build` is not the id of a build"))?;
    logstore::open(&dashboard, attempt, build, number(query.fence, "fence")?).await.map(Json)
}

/// `POST /api/v1/attempts/{attempt}/log/finish`
pub(super) async fn finish(
    State(dashboard): State<Dashboard>,
    Path(attempt): Path<String>,
    Query(query): Query<FinishQuery>,
) -> Answer<Json<LogState>> {
    logstore::finish(&dashboard, id("attempt", &attempt)?, number(query.fence, "fence")?).await.map(Json)
}

/// Query of a chunk.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct ChunkQuery {
    /// The owner's fencing token.
    #[schemars(with = "Count")]
    fence: u64,
    /// Offset of the chunk's first byte in the log.
    #[schemars(with = "Count")]
    first_byte: u64,
    /// How far the worker's own output is in the log with it.
    #[schemars(with = "Count")]
    raw_end: u64,
}

/// `PUT /api/v1/attempts/{attempt}/log/{n}`
pub(super) async fn put(
    State(dashboard): State<Dashboard>,
    Path((attempt, n)): Path<(String, u64)>,
    Query(query): Query<ChunkQuery>,
    body: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> Answer<Json<LogState>> {
    let largest = dashboard.limits().chunk;
    let too_large = || {
        let message = format!("a chunk holds at most {largest} bytes");
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
    };
    let bytes = match body {
        Ok(bytes) if bytes.len() > largest => return Err(too_large()),
        Ok(bytes) => bytes,
        Err(error) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => return Err(too_large()),
        Err(error) => return Err(Refusal::new(error.status(), "bad_request", error.body_text())),
    };
    let chunk = NewChunk {
        attempt: id("attempt", &attempt)?,
        fence: number(query.fence, "fence")?,
        n: number(n, "n")?,
        first_byte: number(query.first_byte, "first_byte")?,
        raw_end: number(query.raw_end, "raw_end")?,
        bytes,
    };
    logstore::append(&dashboard, chunk).await.map(Json)
}

/// Finds the log of an attempt.
pub(super) async fn log_of_attempt(dashboard: &Dashboard, viewer: &Viewer, attempt: &str) -> Answer<LogRow> {
    visible::attempt(dashboard, viewer, attempt).await
}

/// Finds the log of a build: its last attempt's.
pub(super) async fn log_of_build(dashboard: &Dashboard, viewer: &Viewer, build: &str) -> Answer<LogRow> {
    let build_id = visible::build(dashboard, viewer, build).await?;
    let mut logs = store::logs::of_build(&mut dashboard.db().read().await?, build_id).await?;
    logs.pop().ok_or_else(|| Refusal::not_found(format!("log of build {build}")))
}

macro_rules! readers {
    ($name:ident, $find:ident) => {
        /// The handlers that read a log.
        pub(super) mod $name {
            use super::*;

            /// `GET …/log`
            pub(in crate::server) async fn read(
                State(dashboard): State<Dashboard>,
                viewer: Viewer,
                Path(of): Path<String>,
                Query(query): Query<ReadQuery>,
                headers: HeaderMap,
            ) -> Answer<Response> {
                let log = $find(&dashboard, &viewer, &of).await?;
                super::read(&dashboard, log, &query, &headers).await
            }

            /// `GET …/log/info`
            pub(in crate::server) async fn info(
                State(dashboard): State<Dashboard>,
                viewer: Viewer,
                Path(of): Path<String>,
            ) -> Answer<Json<LogInfo>> {
                Ok(Json(super::info(&$find(&dashboard, &viewer, &of).await?)))
            }

            /// `GET …/log/search`
            pub(in crate::server) async fn search(
                State(dashboard): State<Dashboard>,
                viewer: Viewer,
                Path(of): Path<String>,
                Query(query): Query<SearchQuery>,
            ) -> Answer<Json<LogSearch>> {
                let log = $find(&dashboard, &viewer, &of).await?;
                super::search(&dashboard, &log, &query).await.map(Json)
            }
        }
    };
}

readers!(of_build, log_of_build);
readers!(of_attempt, log_of_attempt);

/// Shows what is known of a log.
pub(super) fn info(log: &LogRow) -> LogInfo {
    let state = logstore::state(log);
    let gap = (!log.gap.is_empty()).then(|| LogGap {
        first_byte: log.gap.first as u64,
        end_byte: log.gap.end as u64,
        lines: (log.gap.end_line - log.gap.first_line) as u64,
    });
    LogInfo {
        attempt: log.attempt.to_string(),
        build: log.build.to_string(),
        bytes: state.bytes,
        lines: state.lines,
        finished: state.finished,
        gap,
    }
}

/// Query of reading a log: bytes, or lines, or all.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub(super) struct ReadQuery {
    /// The first byte.
    from: Option<u64>,
    /// The first byte that is not wanted any more.
    to: Option<u64>,
    /// The first line, counted from 0; instead of bytes.
    line: Option<u64>,
    /// How many lines; all if not given.
    lines: Option<u64>,
    /// Whether to go on with what is written until the log is finished.
    #[serde(default)]
    follow: bool,
}

struct Span {
    from: u64,
    to: u64,
    partial: bool,
}

async fn span(dashboard: &Dashboard, log: &LogRow, query: &ReadQuery, headers: &HeaderMap) -> Answer<Span> {
    let size = log.bytes as u64;
    if let Some(line) = query.line {
        let end = match query.lines {
            Some(lines) => logstore::line_start(dashboard, log, line.saturating_add(lines)).await?,
            None => size,
        };
        return Ok(Span { from: logstore::line_start(dashboard, log, line).await?, to: end, partial: false });
    }
    if query.from.is_some() || query.to.is_some() {
        let (from, to) = (query.from.unwrap_or(0), query.to.unwrap_or(size).min(size));
        return Ok(Span { from: from.min(to), to, partial: false });
    }
    let asked = headers.get(header::RANGE).filter(|_| log.gap.is_empty());
    match asked.and_then(|range| parse_range(range, size)) {
        Some(Ok((from, to))) => Ok(Span { from, to, partial: true }),
        Some(Err(())) => {
            Err(Refusal::new(StatusCode::RANGE_NOT_SATISFIABLE, "range", format!("the log has {size} bytes")))
        }
        None => Ok(Span { from: 0, to: size, partial: false }),
    }
}

/// Reads `bytes=a-b`, `bytes=a-` and `bytes=-n`. What is not understood is ignored, as RFC 9110 wants it.
fn parse_range(range: &HeaderValue, size: u64) -> Option<Result<(u64, u64), ()>> {
    let (first, last) = range.to_str().ok()?.strip_prefix("bytes=")?.split_once('-')?;
    let (from, to) = match (first.trim(), last.trim()) {
        ("", last) => (size.saturating_sub(last.parse().ok()?), size),
        (first, "") => (first.parse().ok()?, size),
        (first, last) => (first.parse().ok()?, last.parse::<u64>().ok()?.saturating_add(1).min(size)),
    };
    Some(if from < to { Ok((from, to)) } else { Err(()) })
}

async fn read(
    dashboard: &Dashboard,
    log: LogRow,
    query: &ReadQuery,
    headers: &HeaderMap,
) -> Answer<Response> {
    if query.follow {
        let from = query.from.unwrap_or(0);
        let pieces = super::tail::follow(dashboard.clone(), log.attempt, from);
        return Ok(text(pieces).into_response());
    }
    logstore::kept(&log)?;
    let span = span(dashboard, &log, query, headers).await?;
    let mut pieces = Box::pin(logstore::read(dashboard, log.attempt, span.from, span.to));
    // Where not even the beginning can be had, one should hear so and not of a log that breaks off.
    let first = pieces.next().await.transpose()?;
    let pieces = futures::stream::iter(first.map(Ok)).chain(pieces);
    let mut response = text(pieces).into_response();
    let head = response.headers_mut();
    head.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let gap = !log.gap.is_empty() && span.from < log.gap.end as u64 && span.to > log.gap.first as u64;
    if !gap {
        head.insert(header::CONTENT_LENGTH, HeaderValue::from(span.to - span.from));
    }
    if span.partial {
        let range = format!("bytes {}-{}/{}", span.from, span.to - 1, log.bytes);
        if let Ok(range) = HeaderValue::try_from(range) {
            head.insert(header::CONTENT_RANGE, range);
        }
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    Ok(response)
}

/// A log as it was written is text of nobody knows what encoding, and never a page.
fn text(pieces: impl Stream<Item = Answer<Piece>> + Send + 'static) -> Response {
    let bytes = pieces.map_ok(|piece| piece.bytes).map_err(|refusal| {
        tracing::warn!(cause = refusal.message, "a log breaks off");
        std::io::Error::other(refusal.message)
    });
    let head = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (head, Body::from_stream(bytes)).into_response()
}

/// Query of a search.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct SearchQuery {
    /// What is searched for.
    q: String,
    /// Whether that is a regular expression.
    #[serde(default)]
    regex: bool,
    /// At most so many lines, 100 if not given.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<u32>,
}

async fn search(dashboard: &Dashboard, log: &LogRow, query: &SearchQuery) -> Answer<LogSearch> {
    let limit = Refusal::limit(query.limit, 100, 1000)? as usize;
    find(dashboard, log, &query.q, query.regex, limit).await
}

/// Finds the first lines of a log in which a text is, or that a regular expression fits.
pub(super) async fn find(
    dashboard: &Dashboard,
    log: &LogRow,
    q: &str,
    regex: bool,
    limit: usize,
) -> Answer<LogSearch> {
    logstore::kept(log)?;
    let pattern = if regex { q.to_owned() } else { regex::escape(q) };
    let pattern = regex::bytes::RegexBuilder::new(&pattern)
        .size_limit(LARGEST_REGEX)
        .build()
        .map_err(|error| Refusal::bad(format!("not a regular expression: {error}")))?;
    let mut found = LogSearch::default();
    let mut lines = std::pin::pin!(lines(dashboard, log, 0, u64::MAX));
    while let Some(line) = lines.next().await {
        let line = line?;
        if !pattern.is_match(&line.bytes) {
            continue;
        }
        if found.hits.len() == limit {
            found.more = true;
            break;
        }
        let shown = &line.bytes[..line.bytes.len().min(LONGEST_HIT)];
        let text = String::from_utf8_lossy(shown).into_owned();
        found.hits.push(SearchHit { line: line.number, byte: line.byte, text });
    }
    Ok(found)
}

/// A line of a log, without its end.
pub(super) struct Line {
    pub(super) number: u64,
    pub(super) byte: u64,
    pub(super) bytes: Bytes,
}

/// Reads a log by lines.
pub(super) fn lines(
    dashboard: &Dashboard,
    log: &LogRow,
    from: u64,
    to: u64,
) -> impl Stream<Item = Answer<Line>> + Send + use<> {
    let pieces = logstore::read(dashboard, log.attempt, from, to.min(log.bytes as u64));
    let cutter = Cutter::default();
    // A last `None` lets the cutter give what it still holds.
    let pieces = pieces.map_ok(Some).chain(futures::stream::iter([Ok(None)]));
    pieces
        .scan(cutter, |cutter, piece| {
            let lines = match piece {
                Ok(Some(piece)) => cutter.push(&piece).into_iter().map(Ok).collect(),
                Ok(None) => cutter.end().into_iter().map(Ok).collect(),
                Err(error) => vec![Err(error)],
            };
            std::future::ready(Some(futures::stream::iter(lines)))
        })
        .flatten()
}

/// Cuts pieces into lines, joining what a line has in several of them.
#[derive(Default)]
struct Cutter {
    held: Vec<u8>,
    held_at: (u64, u64),
}

impl Cutter {
    fn push(&mut self, piece: &Piece) -> Vec<Line> {
        let mut lines = Vec::new();
        let (mut at, mut number) = (0, piece.line);
        for end in piece.bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(end, _)| end) {
            let line = piece.bytes.slice(at..end);
            lines.push(self.take(line, piece.byte + at as u64, number));
            at = end + 1;
            number += 1;
        }
        let rest = &piece.bytes[at..];
        if !rest.is_empty() {
            if self.held.is_empty() {
                self.held_at = (piece.byte + at as u64, number);
            }
            self.held.extend_from_slice(rest);
            if self.held.len() > LONGEST_LINE {
                lines.extend(self.end());
            }
        }
        lines
    }

    fn take(&mut self, line: Bytes, byte: u64, number: u64) -> Line {
        if self.held.is_empty() {
            return Line { number, byte, bytes: line };
        }
        self.held.extend_from_slice(&line);
        let (byte, number) = self.held_at;
        Line { number, byte, bytes: std::mem::take(&mut self.held).into() }
    }

    fn end(&mut self) -> Option<Line> {
        if self.held.is_empty() {
            return None;
        }
        let (byte, number) = self.held_at;
        Some(Line { number, byte, bytes: std::mem::take(&mut self.held).into() })
    }
}

/// Says whose log a live tail is of.
pub(super) fn attempt(log: &LogRow) -> AttemptId {
    log.attempt
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let parse = |text: &str| parse_range(&HeaderValue::try_from(text).unwrap(), 100);
        assert_eq!(parse("bytes=0-9"), Some(Ok((0, 10))));
        assert_eq!(parse("bytes=90-"), Some(Ok((90, 100))));
        assert_eq!(parse("bytes=-5"), Some(Ok((95, 100))));
        assert_eq!(parse("bytes=-500"), Some(Ok((0, 100))));
        assert_eq!(parse("bytes=50-999"), Some(Ok((50, 100))));
        assert_eq!(parse("bytes=100-"), Some(Err(())));
        assert_eq!(parse("bytes=9-1"), Some(Err(())));
        assert_eq!(parse("lines=1-2"), None);
        assert_eq!(parse("bytes=1-2,5-6"), None);
        assert_eq!(parse("bytes=x-"), None);
    }

    fn piece(byte: u64, line: u64, text: &'static str) -> Piece {
        let bytes = Bytes::from_static(text.as_bytes());
        Piece { byte, end: byte + text.len() as u64, line, bytes }
    }

    #[test]
    fn lines_over_pieces_are_joined() {
        let mut cutter = Cutter::default();
        let mut lines = cutter.push(&piece(0, 0, "a\nb"));
        lines.extend(cutter.push(&piece(3, 1, "c")));
        lines.extend(cutter.push(&piece(4, 1, "d\n\ne")));
        lines.extend(cutter.end());
        let lines: Vec<_> = lines.iter().map(|line| (line.number, line.byte, &*line.bytes)).collect();
        assert_eq!(lines, [(0, 0, &b"a"[..]), (1, 2, b"bcd"), (2, 6, b""), (3, 7, b"e")]);
    }
}
