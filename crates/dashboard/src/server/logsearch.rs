//! Finds lines in the logs of many builds: the index says which logs may have some, and those are read.

use std::collections::VecDeque;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use futures::StreamExt as _;
use http::StatusCode;
use regex::bytes::{Regex, RegexBuilder};
use store::log_index::{self, IndexedLog, Which};
use store::{AttemptId, BuildId, Micros};
use tokio::time::Instant;
use transport::Viewer;

use super::refusal::{Answer, Query, Refusal};
use super::{Dashboard, check_branch, check_name, logindex, logs, logstore, micros, time, visible};
use crate::api::{FoundLine, FoundLog, LogsFound, LogsQuery, Truncated};
use crate::grams::needed::Needed;

/// One request looks for so long; who wants more goes on from its cursor.
const TIME: Duration = Duration::from_secs(5);
/// And so long it waits for others that search.
const PATIENCE: Duration = Duration::from_secs(10);
/// So many requests search at a time.
pub(super) const AT_ONCE: usize = 2;
/// The answer gets no larger than about this, in bytes of text.
const SIZE: usize = 2 << 20;
/// Rows of the index that are read at a time, at first and then.
const FIRST: u32 = 64;
const BATCH: u32 = 512;
/// Longest text of a line.
const LONGEST: usize = 1 << 10;
/// Expressions of a request, and their characters together.
const EXPRESSIONS: usize = 10;
const CHARACTERS: usize = 1000;
/// Size up to which an expression may be compiled.
const COMPILED: usize = 1 << 20;

/// `GET /api/v1/logs/search`
pub(super) async fn search(
    State(dashboard): State<Dashboard>,
    viewer: Viewer,
    Query(query): Query<LogsQuery>,
) -> Answer<Json<LogsFound>> {
    let wanted = Wanted::of(&query)?;
    let which = which(&query)?;
    let after = query.cursor.as_deref().map(place).transpose()?;
    let busy = || {
        let message = format!("{AT_ONCE} searches of logs are on, and none came to its end; try again");
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "busy", message)
    };
    let turn = tokio::time::timeout(PATIENCE, dashboard.searches().acquire()).await;
    let _turn = turn.map_err(|_| busy())?.map_err(|_| busy())?;
    find(&dashboard, &viewer, &wanted, &which, after, Instant::now() + TIME).await.map(Json)
}

/// What is looked for in each log.
struct Wanted {
    expressions: Vec<Regex>,
    omit: Option<Regex>,
    needed: Needed,
    context: usize,
    lines: usize,
    limit: usize,
}

impl Wanted {
    fn of(query: &LogsQuery) -> Answer<Self> {
        let texts: Vec<&str> = query.q.lines().filter(|text| !text.is_empty()).collect();
        if texts.is_empty() {
            return Err(Refusal::bad("`q` is empty: it is a regular expression, or one on each line"));
        }
        let omit = query.omit.as_deref().filter(|text| !text.is_empty());
        let characters = query.q.chars().count() + omit.map_or(0, |text| text.chars().count());
        if texts.len() > EXPRESSIONS || characters > CHARACTERS {
            return Err(Refusal::bad(format!(
                "at most {EXPRESSIONS} regular expressions of {CHARACTERS} characters together are looked for"
            )));
        }
        let context = query.context.unwrap_or(0);
        if context > 20 {
            return Err(Refusal::bad(format!("`context` is {context}, and is at most 20")));
        }
        Ok(Self {
            needed: Needed::all(texts.iter().map(|text| Needed::of(text))),
            expressions: texts.into_iter().map(|text| compiled("q", text)).collect::<Answer<_>>()?,
            omit: omit.map(|text| compiled("omit", text)).transpose()?,
            context: context as usize,
            lines: bounded("lines", query.lines, 1000)?,
            limit: bounded("limit", query.limit, 200)?,
        })
    }
}

fn compiled(name: &str, text: &str) -> Answer<Regex> {
    let built = RegexBuilder::new(text).size_limit(COMPILED).build();
    built.map_err(|error| Refusal::bad(format!("`{name}` is not a regular expression: {error}")))
}

fn bounded(name: &str, asked: Option<u32>, most: u32) -> Answer<usize> {
    match asked.unwrap_or(20) {
        n if (1..=most).contains(&n) => Ok(n as usize),
        n => Err(Refusal::bad(format!("`{name}` is {n}, and is from 1 to {most}"))),
    }
}

fn which(query: &LogsQuery) -> Answer<Which> {
    let named = |text: &Option<String>| text.clone().unwrap_or_default();
    let (repo, builder, branch) = (named(&query.repo), named(&query.builder), named(&query.branch));
    for (what, name) in [("repo", &repo), ("builder", &builder)] {
        if !name.is_empty() {
            check_name(what, name)?;
        }
    }
    if !branch.is_empty() {
        check_branch(&branch)?;
    }
    // An id begins with its time in milliseconds: the first one of `since`.
    let since = query.since.map_or(Micros(0), micros);
    let since = BuildId::new(Micros(since.0.max(0)), &mut |bytes| bytes.fill(0));
    let outcome = query.outcome.map(|outcome| outcome.to_string()).unwrap_or_default();
    Ok(Which { since, repo, builder, branch, outcome })
}

/// Reads a cursor: the build and the attempt that were looked at last.
fn place(cursor: &str) -> Answer<(BuildId, AttemptId)> {
    let read = cursor
        .split_once('.')
        .and_then(|(build, attempt)| Some((build.parse().ok()?, attempt.parse().ok()?)));
    read.ok_or_else(|| Refusal::bad("`cursor` is not one of an answer of this search"))
}

async fn find(
    dashboard: &Dashboard,
    viewer: &Viewer,
    wanted: &Wanted,
    which: &Which,
    after: Option<(BuildId, AttemptId)>,
    until: Instant,
) -> Answer<LogsFound> {
    let eyes = visible::eyes(dashboard, viewer).await?;
    let mut found = LogsFound { indexed: !wanted.needed.is_nothing(), ..LogsFound::default() };
    let (mut after, mut size, mut batch) = (after, 0, FIRST);
    loop {
        let rows = log_index::list(&mut dashboard.db().read().await?, which, after, batch).await?;
        let last = rows.len() < batch as usize;
        after = rows.last().map(|row| (row.build, row.attempt));
        batch = BATCH;
        // What does not exist for the viewer takes no part, not even in where the cursor stands.
        for row in rows.into_iter().filter(|row| eyes.revision(&row.revision)) {
            found.looked_at += 1;
            let cursor = format!("{}.{}", row.build, row.attempt);
            let passed_over = row.filter.as_deref().is_some_and(|filter| !wanted.needed.may_be_in(filter));
            if !passed_over {
                look(dashboard, wanted, row, &mut found, &mut size).await?;
            }
            found.truncated = match () {
                () if found.logs.len() == wanted.limit => Some(Truncated::Limit),
                () if size > SIZE => Some(Truncated::Size),
                () if Instant::now() > until => Some(Truncated::Time),
                () => None,
            };
            if found.truncated.is_some() {
                found.next_cursor = Some(cursor);
                return Ok(found);
            }
        }
        if last {
            return Ok(found);
        }
    }
}

/// Reads a log, and adds what is in it.
async fn look(
    dashboard: &Dashboard,
    wanted: &Wanted,
    row: IndexedLog,
    found: &mut LogsFound,
    size: &mut usize,
) -> Answer<()> {
    found.read += 1;
    let hits = match hits(dashboard, wanted, &row).await {
        Ok(hits) => hits,
        Err(refusal) => {
            // One log that can't be read is no reason not to say what is in the others.
            tracing::warn!(attempt = %row.attempt, cause = refusal.message, "a log is not searched");
            found.unread += 1;
            return Ok(());
        }
    };
    found.unread += u64::from(!hits.whole);
    let Some(lines) = hits.lines else { return Ok(()) };
    let texts = lines.iter().flat_map(|hit| hit.before.iter().chain(&hit.after).chain([&hit.text]));
    *size += texts.map(String::len).sum::<usize>();
    found.logs.push(FoundLog {
        build: row.build.to_string(),
        attempt: row.attempt.to_string(),
        builder: row.builder,
        repo: row.repo,
        branch: row.branch,
        revision: row.revision,
        outcome: row.outcome.as_deref().and_then(|outcome| outcome.parse().ok()),
        created: time(row.created),
        hits: lines,
        more: hits.more,
    });
    Ok(())
}

/// What is in a log.
struct Hits {
    /// The lines, if the log is one of those that are looked for.
    lines: Option<Vec<FoundLine>>,
    more: bool,
    /// Whether all of it was looked at.
    whole: bool,
}

async fn hits(dashboard: &Dashboard, wanted: &Wanted, row: &IndexedLog) -> Answer<Hits> {
    let log = logstore::existing(dashboard, row.attempt).await?;
    logstore::kept(&log)?;
    let (parts, whole) = logindex::searched(&log);
    let mut taker = Taker::new(wanted);
    'parts: for (from, to) in parts {
        taker.held.clear();
        let mut lines = std::pin::pin!(logs::lines(dashboard, &log, from, to));
        while let Some(line) = lines.next().await {
            let line = line?;
            if !taker.take(line.number, line.byte, &line.bytes) {
                break 'parts;
            }
        }
    }
    let (build, attempt) = (row.build, row.attempt);
    for hit in &mut taker.found {
        let number = hit.line + 1;
        let first = number.saturating_sub(20).max(1);
        hit.page = format!("/builds/{build}/log?attempt={attempt}&line={first}#L{number}");
    }
    let fits = !taker.omitted && !taker.missing.iter().any(|missing| *missing);
    Ok(Hits { lines: fits.then_some(taker.found), more: taker.more, whole })
}

/// Takes a log line by line.
struct Taker<'a> {
    wanted: &'a Wanted,
    found: Vec<FoundLine>,
    /// Lines that may come before one that is found.
    held: VecDeque<String>,
    /// So many more lines belong to the last one that was found.
    after: usize,
    /// Which expressions fit no line yet.
    missing: Vec<bool>,
    omitted: bool,
    more: bool,
}

impl<'a> Taker<'a> {
    fn new(wanted: &'a Wanted) -> Self {
        let missing = vec![true; wanted.expressions.len()];
        Self {
            wanted,
            found: Vec::new(),
            held: VecDeque::new(),
            after: 0,
            missing,
            omitted: false,
            more: false,
        }
    }

    /// Returns whether to go on.
    fn take(&mut self, line: u64, byte: u64, bytes: &[u8]) -> bool {
        if self.wanted.omit.as_ref().is_some_and(|omit| omit.is_match(bytes)) {
            self.omitted = true;
            return false;
        }
        let mut fits = false;
        for (expression, missing) in self.wanted.expressions.iter().zip(&mut self.missing) {
            // Once a line is found it matters only for what still has none.
            if (*missing || !fits) && expression.is_match(bytes) {
                (fits, *missing) = (true, false);
            }
        }
        if fits && self.found.len() < self.wanted.lines {
            let before = self.held.drain(..).collect();
            let (text, after) = (shown(bytes), Vec::new());
            self.found.push(FoundLine { line, byte, text, before, after, page: String::new() });
            self.after = self.wanted.context;
            return true;
        }
        self.more |= fits;
        match self.found.last_mut() {
            Some(last) if self.after > 0 && !self.more => {
                last.after.push(shown(bytes));
                self.after -= 1;
            }
            _ if self.wanted.context > 0 => {
                if self.held.len() == self.wanted.context {
                    self.held.pop_front();
                }
                self.held.push_back(shown(bytes));
            }
            _ => {}
        }
        // With all that is wanted found, only a line that leaves the log out could change anything.
        !self.more || self.wanted.omit.is_some() || self.missing.iter().any(|missing| *missing)
    }
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(LONGEST)]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(query: &LogsQuery, text: &str) -> Option<(Vec<String>, bool)> {
        let wanted = Wanted::of(query).unwrap();
        let mut taker = Taker::new(&wanted);
        for (number, line) in text.lines().enumerate() {
            if !taker.take(number as u64, 0, line.as_bytes()) {
                break;
            }
        }
        let shown = |hit: FoundLine| {
            format!("{}<{}:{}>{}", hit.before.concat(), hit.line, hit.text, hit.after.concat())
        };
        let fits = !taker.omitted && !taker.missing.contains(&true);
        fits.then(|| (taker.found.into_iter().map(shown).collect(), taker.more))
    }

    fn query(q: &str) -> LogsQuery {
        LogsQuery { q: q.into(), ..LogsQuery::default() }
    }

    #[test]
    fn context_is_shown_once() {
        let query = LogsQuery { context: Some(2), ..query("x") };
        let (hits, more) = taken(&query, "a\nb\nc\nx1\nd\nx2\ne\nf\ng\nh\nx3").unwrap();
        assert_eq!(hits, ["bc<3:x1>d", "<5:x2>ef", "gh<10:x3>"]);
        assert!(!more);
    }

    #[test]
    fn all_expressions_are_needed_and_one_leaves_out() {
        let text = "one\ntwo\none again\nthree";
        assert_eq!(taken(&query("one\ntwo"), text).unwrap().0.len(), 3);
        assert!(taken(&query("one\nfour"), text).is_none());
        let omitting = LogsQuery { omit: Some("^three$".into()), ..query("one") };
        assert!(taken(&omitting, text).is_none());
        // Where the lines that are shown end, the rest is still looked at.
        let few = LogsQuery { lines: Some(1), ..query("one\nthree") };
        assert_eq!(taken(&few, text), Some((vec!["<0:one>".into()], true)));
        let few = LogsQuery { lines: Some(1), omit: Some("three".into()), ..query("one") };
        assert!(taken(&few, text).is_none());
    }

    #[test]
    fn what_is_too_much_is_refused() {
        for bad in [query(""), query("\n"), query("("), query(&"x".repeat(1001)), query(&"x\n".repeat(11))] {
            assert!(Wanted::of(&bad).is_err(), "{bad:?}");
        }
        for bad in [Some(0), Some(1001)] {
            assert!(Wanted::of(&LogsQuery { lines: bad, ..query("x") }).is_err());
        }
        assert!(Wanted::of(&LogsQuery { context: Some(21), ..query("x") }).is_err());
        assert!(place("x").is_err() && place("01ARZ3NDEKTSV4RRFFQ69G5FAV").is_err());
    }
}
