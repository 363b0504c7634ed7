//! A log as lines with numbers, from anywhere in it, without reading what is not shown. The page works by itself; the
//! script of a build's page takes lines out of it.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use futures::StreamExt as _;
use serde::Deserialize;
use store::logs::LogRow;
use transport::Viewer;
use webui::Markup;
use webui::ansi::{self, Look};

use super::super::refusal::{Answer, Path, Query, Refusal};
use super::super::{Dashboard, builds, logs, logstore, visible};
use super::{address, page, shown, size, word};
use crate::api::{BuildReport, LogInfo, LogSearch};

/// How much of a log's end is in a build's page, so that its first paint does not depend on the log's size.
const TAIL: u64 = 32 << 10;
/// So much of a log is read for one page, and so much HTML is made of it at most.
const READ: u64 = 96 << 10;
const MADE: usize = 128 << 10;
/// So much of one line is shown.
const LONGEST: usize = 4 << 10;
/// Lines of a page, if not said otherwise, and at most.
const LINES: u64 = 300;
const MOST_LINES: u64 = 1000;

/// Lines that follow one another.
#[derive(Default)]
pub(super) struct Lines {
    pub(super) lines: Vec<Line>,
    /// Whether the log goes on after them.
    pub(super) more: bool,
}

/// A line as HTML, with its number from 1.
pub(super) struct Line {
    pub(super) number: u64,
    pub(super) html: Markup,
}

impl Lines {
    /// Number of the first line, 1 if there is none.
    pub(super) fn first(&self) -> u64 {
        self.lines.first().map_or(1, |line| line.number)
    }

    /// Number after the last line.
    pub(super) fn next(&self) -> u64 {
        self.lines.last().map_or(1, |line| line.number + 1)
    }
}

/// Shows the end of a log.
pub(super) async fn tail(dashboard: &Dashboard, log: &LogRow) -> Answer<Lines> {
    let end = log.bytes as u64;
    let from = end.saturating_sub(TAIL);
    let mut lines = read(dashboard, log, from, end, usize::MAX).await?;
    // The first line is most likely cut.
    if from > 0 && lines.lines.len() > 1 {
        lines.lines.remove(0);
    }
    Ok(lines)
}

/// Shows at most `count` lines from a byte on.
async fn read(dashboard: &Dashboard, log: &LogRow, from: u64, to: u64, count: usize) -> Answer<Lines> {
    let mut shown = Lines::default();
    logstore::kept(log)?;
    let (mut look, mut made) = (Look::default(), 0);
    let mut last_end = from;
    let mut lines = std::pin::pin!(logs::lines(dashboard, log, from, to));
    while let Some(line) = lines.next().await {
        let line = line?;
        if shown.lines.len() == count || made > MADE {
            shown.more = true;
            return Ok(shown);
        }
        let cut = line.bytes.len().min(LONGEST);
        let left_out = (line.bytes.len() - cut) as u64;
        let html = ansi::shown(&mut look, &String::from_utf8_lossy(&line.bytes[..cut]), left_out);
        made += html.0.len();
        last_end = line.byte + line.bytes.len() as u64;
        shown.lines.push(Line { number: line.number + 1, html });
    }
    // What is read ends in the middle of a line, unless that is the log's end.
    if to < log.bytes as u64 {
        shown.more = true;
        if last_end >= to && shown.lines.len() > 1 {
            shown.lines.pop();
        }
    }
    Ok(shown)
}

/// Which part of a log to show. A form sends what is not filled in as empty.
#[derive(Debug, Default, Deserialize)]
pub(super) struct LogQuery {
    /// The first line, from 1.
    #[serde(default)]
    line: String,
    /// How many.
    #[serde(default)]
    lines: String,
    /// A byte in the first line.
    #[serde(default)]
    byte: String,
    /// The attempt; the last one if not given.
    #[serde(default)]
    attempt: String,
    /// What to look for.
    #[serde(default)]
    q: String,
    /// Whether that is a regular expression.
    #[serde(default)]
    regex: String,
}

fn number(text: &str, what: &str) -> Answer<Option<u64>> {
    match text.trim() {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| Refusal::bad(format!("{what} {text:?} is not a number"))),
    }
}

#[derive(Template)]
#[template(path = "log.html")]
struct LogPage {
    build: BuildReport,
    info: LogInfo,
    lines: Lines,
    search: Option<LogSearch>,
    query: LogQuery,
    count: u64,
}

impl LogPage {
    fn at(&self, line: u64) -> String {
        let path = format!("/builds/{}/log", self.build.id);
        let lines = if self.count == LINES { String::new() } else { self.count.to_string() };
        address(&path, &[("attempt", &self.query.attempt), ("line", &line.to_string()), ("lines", &lines)])
    }

    fn before(&self) -> u64 {
        self.lines.first().saturating_sub(self.count).max(1)
    }
}

/// `GET /builds/{id}/log`
pub(super) async fn log(
    State(dashboard): State<Dashboard>,
    viewer: Viewer,
    Path(path): Path<String>,
    Query(query): Query<LogQuery>,
) -> Response {
    shown(made(&dashboard, &viewer, &path, query).await)
}

async fn made(dashboard: &Dashboard, viewer: &Viewer, path: &str, query: LogQuery) -> Answer<Response> {
    let id = visible::build(dashboard, viewer, path).await?;
    let build = builds::load(dashboard, id).await?;
    let log = match query.attempt.as_str() {
        "" => logs::log_of_build(dashboard, viewer, path).await?,
        attempt => logs::log_of_attempt(dashboard, viewer, attempt).await?,
    };
    if log.build != id {
        return Err(Refusal::not_found(format!("log of attempt {:?} in build {path}", query.attempt)));
    }
    logstore::kept(&log)?;
    let count = number(&query.lines, "lines")?.unwrap_or(LINES).clamp(1, MOST_LINES);
    let from = match (number(&query.line, "line")?, number(&query.byte, "byte")?) {
        (Some(line), _) => logstore::line_start(dashboard, &log, line.saturating_sub(1)).await?,
        (None, Some(byte)) => byte.min(log.bytes as u64),
        (None, None) => 0,
    };
    let to = from.saturating_add(READ).min(log.bytes as u64);
    let lines = read(dashboard, &log, from, to, count as usize).await?;
    let search = match query.q.as_str() {
        "" => None,
        q => Some(logs::find(dashboard, &log, q, !query.regex.is_empty(), 200).await?),
    };
    page(&LogPage { build, info: logs::info(&log), lines, search, query, count })
}
