//! Live logs: a stream that goes on until the log is finished, and the same as events that can be taken up again.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::{Stream, StreamExt as _, TryStreamExt as _};
use http::{HeaderMap, HeaderValue, header};
use schemars::JsonSchema;
use serde::Deserialize;
use store::AttemptId;
use store::logs::LogRow;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use transport::Viewer;

use super::Dashboard;
use super::logs::{attempt, log_of_attempt, log_of_build};
use super::logstore::{self, Piece};
use super::refusal::{Answer, Path, Query, Refusal};
use crate::api::LogEvent;

/// The most that is taken out of the store before a reader has what was taken before. Who never reads holds so much, and not
/// what lies ahead in the log.
const STEP: u64 = 32 << 10;

/// Reads a log from an offset, and goes on with what is written until the log is finished.
pub(super) fn follow(
    dashboard: Dashboard,
    attempt: AttemptId,
    from: u64,
) -> impl Stream<Item = Answer<Piece>> + Send {
    struct Follow {
        dashboard: Dashboard,
        news: broadcast::Receiver<AttemptId>,
        at: u64,
    }
    // Listening begins before the first look, so that nothing falls between.
    let news = dashboard.news().subscribe();
    let start = Follow { dashboard, news, at: from };
    let parts = futures::stream::try_unfold(start, move |mut follow| async move {
        loop {
            let log = logstore::existing(&follow.dashboard, attempt).await?;
            logstore::kept(&log)?;
            let end = log.bytes as u64;
            if end > follow.at {
                let to = end.min(follow.at + STEP);
                let part = logstore::read(&follow.dashboard, attempt, follow.at, to);
                let mut part: Vec<Piece> = part.try_collect().await?;
                // The note on a gap goes as far as the gap.
                follow.at = part.iter().map(|piece| piece.end).fold(to, u64::max);
                for piece in &mut part {
                    // A part of a chunk would keep all of it.
                    piece.bytes = Bytes::copy_from_slice(&piece.bytes);
                }
                return Ok(Some((futures::stream::iter(part.into_iter().map(Ok)), follow)));
            }
            if log.finished {
                return Ok::<_, Refusal>(None);
            }
            wait(&mut follow.news, attempt, follow.dashboard.limits().poll).await;
        }
    });
    parts.try_flatten()
}

/// Waits for news of an attempt, or until it is time to look.
async fn wait(news: &mut broadcast::Receiver<AttemptId>, attempt: AttemptId, poll: Duration) {
    let heard = async {
        loop {
            match news.recv().await {
                Ok(of) if of != attempt => {}
                Ok(_) | Err(RecvError::Lagged(_)) => return,
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
    };
    let _ = tokio::time::timeout(poll, heard).await;
}

/// Query of a live tail.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct TailQuery {
    /// The first byte, for who has no `Last-Event-ID`.
    from: Option<u64>,
}

/// `GET /api/v1/builds/{id}/log/events`
pub(super) async fn of_build(
    State(dashboard): State<Dashboard>,
    viewer: Viewer,
    Path(build): Path<String>,
    Query(query): Query<TailQuery>,
    headers: HeaderMap,
) -> Answer<Response> {
    let log = log_of_build(&dashboard, &viewer, &build).await?;
    events(&dashboard, &log, &query, &headers)
}

/// `GET /api/v1/attempts/{attempt}/log/events`
pub(super) async fn of_attempt(
    State(dashboard): State<Dashboard>,
    viewer: Viewer,
    Path(attempt): Path<String>,
    Query(query): Query<TailQuery>,
    headers: HeaderMap,
) -> Answer<Response> {
    let log = log_of_attempt(&dashboard, &viewer, &attempt).await?;
    events(&dashboard, &log, &query, &headers)
}

/// Sends a log as events `log` whose ids are the offsets after them, then one event `end`. Who comes back with the
/// last id it saw goes on right there.
fn events(dashboard: &Dashboard, log: &LogRow, query: &TailQuery, headers: &HeaderMap) -> Answer<Response> {
    let bad = || Refusal::bad("`Last-Event-ID` is not an offset in the log");
    let number = |id: &HeaderValue| id.to_str().ok().and_then(|id| id.trim().parse().ok()).ok_or_else(bad);
    let last = headers.get("last-event-id").map(number).transpose()?;
    let from = last.or(query.from).unwrap_or(0);
    let end = futures::stream::iter([Ok(None)]);
    let pieces = follow(dashboard.clone(), attempt(log), from).map_ok(Some).chain(end);
    let events = pieces
        .scan(Utf8 { byte: from, ..Utf8::default() }, |utf8, piece| {
            let events = match piece {
                Ok(Some(piece)) => utf8.push(&piece),
                Ok(None) => {
                    let mut last = utf8.end();
                    last.push(utf8.note("end", ""));
                    last
                }
                Err(refusal) => {
                    tracing::warn!(cause = refusal.message, "a live log breaks off");
                    vec![utf8.note("broken", "the log can't be read")]
                }
            };
            std::future::ready(Some(futures::stream::iter(events).map(Ok::<_, Infallible>)))
        })
        .flatten();
    let mut response = Sse::new(events).keep_alive(KeepAlive::default()).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(response)
}

/// Keeps a character that is cut by a chunk's end until the rest of it comes, so that an event's id never lies in
/// the middle of one.
#[derive(Default)]
struct Utf8 {
    held: Vec<u8>,
    byte: u64,
    line: u64,
}

impl Utf8 {
    fn push(&mut self, piece: &Piece) -> Vec<Event> {
        let mut events = Vec::new();
        let note = piece.end - piece.byte != piece.bytes.len() as u64;
        if note {
            // What stands for a gap is not the log's own bytes.
            events.extend(self.end());
        }
        if self.held.is_empty() {
            (self.byte, self.line) = (piece.byte, piece.line);
        }
        self.held.extend_from_slice(&piece.bytes);
        let whole = whole_characters(&self.held);
        if note {
            events.push(event(&self.held, self.byte, self.line, piece.end));
            self.held.clear();
            self.byte = piece.end;
        } else if whole > 0 {
            let end = self.byte + whole as u64;
            events.push(event(&self.held[..whole], self.byte, self.line, end));
            self.line += self.held[..whole].iter().filter(|byte| **byte == b'\n').count() as u64;
            self.held.drain(..whole);
            self.byte = end;
        }
        events
    }

    fn end(&mut self) -> Vec<Event> {
        if self.held.is_empty() {
            return Vec::new();
        }
        let (start, end) = (self.byte, self.byte + self.held.len() as u64);
        self.byte = end;
        vec![event(&std::mem::take(&mut self.held), start, self.line, end)]
    }

    /// An event about the log where it stands, without an id: it is no part of it.
    fn note(&self, name: &str, text: &str) -> Event {
        let data = LogEvent { byte: self.byte, line: self.line, text: text.to_owned() };
        let event = Event::default().event(name);
        match event.json_data(&data) {
            Ok(event) => event,
            // A message of numbers and a text is always JSON.
            Err(_) => Event::default().event(name).data("{}"),
        }
    }
}

fn event(bytes: &[u8], byte: u64, line: u64, end: u64) -> Event {
    let data = LogEvent { byte, line, text: String::from_utf8_lossy(bytes).into_owned() };
    let event = Event::default().event("log").id(end.to_string());
    match event.json_data(&data) {
        Ok(event) => event,
        Err(_) => Event::default().event("broken").data("{}"),
    }
}

/// Returns the length of `bytes` without a character that is cut off at its end.
fn whole_characters(bytes: &[u8]) -> usize {
    let cut = bytes.iter().rev().take(3).position(|byte| byte & 0xc0 != 0x80);
    let Some(back) = cut else { return bytes.len() };
    let at = bytes.len() - 1 - back;
    let wants = match bytes[at] {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => 1,
    };
    if bytes.len() - at < wants { at } else { bytes.len() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_character_is_kept_back() {
        for (text, whole) in [("", 0), ("abc", 3), ("aé", 3), ("a€", 4), ("a\u{1f411}", 5)] {
            let bytes = text.as_bytes();
            assert_eq!(whole_characters(bytes), whole, "{text}");
            if whole > 2 && !text.is_ascii() {
                for cut in 2..bytes.len() {
                    assert_eq!(whole_characters(&bytes[..cut]), 1, "{text} {cut}");
                }
            }
        }
        // What is not UTF-8 at all is not waited for.
        assert_eq!(whole_characters(&[0xff, 0x80, 0x80, 0x80, 0x80]), 5);
        assert_eq!(whole_characters(&[b'a', 0xff]), 2);
    }
}
