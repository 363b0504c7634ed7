//! `greplogs`: lines of many logs, by the server's index.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use dashboard::api::{FoundLog, LogsFound, Truncated};
use jiff::Timestamp;

use super::client::{Remote, print_json, short_revision};
use crate::api::SearchLogsQuery;
use crate::args::Greplogs;
use crate::terminal::plain;

/// Lines are cut to so many characters.
const WIDTH: usize = 500;
/// So many times a server that is busy is asked again.
const AGAIN: u32 = 5;
/// Most logs that one request may bring.
const PAGE: u32 = 200;

pub async fn run(args: &Greplogs) -> Result<ExitCode> {
    let remote = Remote::new(&args.server)?;
    let (query, limit) = (query(args, Timestamp::now())?, args.limit as usize);
    let quiet = args.server.json;
    let found = search(&remote, query, limit, longest(&args.time)?, |found| {
        if !quiet && !args.list {
            found.iter().for_each(|log| show(&remote.url, log));
        } else if !quiet {
            found.iter().for_each(|log| println!("{}", head(log)));
        }
    })
    .await?;
    if quiet {
        print_json(&found)?;
    }
    Ok(ended(&found, limit))
}

/// What is asked for.
fn query(args: &Greplogs, now: Timestamp) -> Result<SearchLogsQuery> {
    let expressions: Vec<&str> = args.pattern.iter().chain(&args.expressions).map(String::as_str).collect();
    if expressions.iter().any(|one| one.is_empty() || one.contains('\n')) {
        bail!(
            "a regular expression is empty or has an end of a line in it: each is looked for within one line"
        );
    }
    let outcome = if args.failed { Some("failed") } else { args.outcome.as_deref() };
    Ok(SearchLogsQuery {
        q: expressions.join("\n"),
        omit: args.omit.clone(),
        repo: args.repo.clone(),
        builder: args.builder.clone(),
        branch: args.branch.clone(),
        outcome: outcome
            .map(str::parse)
            .transpose()
            .map_err(|error| anyhow::anyhow!("--outcome: {error}"))?,
        since: args
            .since
            .as_deref()
            .map(|text| Ok::<_, anyhow::Error>(since(text, now)?.to_string()))
            .transpose()?,
        context: Some(args.context),
        lines: Some(if args.list { 1 } else { args.max_count }),
        limit: Some(args.limit.min(PAGE)),
        cursor: None,
    })
}

fn longest(text: &str) -> Result<Duration> {
    buildenv::parse_duration(text)
        .with_context(|| format!("--time: {text}; write it as 30s or 10m, for example"))
}

/// A moment: so long ago, or a date, or a date with a time.
pub fn since(text: &str, now: Timestamp) -> Result<Timestamp> {
    if let Some(ago) = buildenv::parse_duration(text) {
        return now.checked_sub(ago).with_context(|| format!("--since: {text} is too long ago"));
    }
    let date = || {
        let date: jiff::civil::Date = text.parse().ok()?;
        Some(date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
    };
    text.parse().ok().or_else(date).with_context(|| {
        format!("--since: {text}; write it as 12h, 7d, 2026-01-31 or 2026-01-31T12:00:00Z, for example")
    })
}

/// Asks page after page, shows each, and returns all of it.
pub async fn search(
    remote: &Remote,
    mut query: SearchLogsQuery,
    limit: usize,
    longest: Duration,
    show: impl Fn(&[FoundLog]),
) -> Result<LogsFound> {
    let (began, mut all, mut busy) = (Instant::now(), LogsFound::default(), 0);
    loop {
        let page = match remote.api.search_logs(&query).await {
            Err(error) if error.is_code("busy") && busy < AGAIN => {
                busy += 1;
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
            answer => remote.hint(answer)?,
        };
        if !page.indexed && all.looked_at == 0 {
            eprintln!("no three letters of this follow one another for sure: every log is read");
        }
        show(&page.logs);
        all.logs.extend(page.logs);
        all.indexed = page.indexed;
        all.looked_at += page.looked_at;
        all.read += page.read;
        all.unread += page.unread;
        (all.next_cursor, all.truncated) = (page.next_cursor, page.truncated);
        if all.next_cursor.is_none() {
            return Ok(all);
        }
        if all.logs.len() >= limit {
            all.truncated = Some(Truncated::Limit);
            return Ok(all);
        }
        if began.elapsed() >= longest {
            all.truncated = Some(Truncated::Time);
            return Ok(all);
        }
        if page.truncated == Some(Truncated::Time) {
            eprintln!("{} logs looked at, {} with a match so far", all.looked_at, all.logs.len());
        }
        query.cursor.clone_from(&all.next_cursor);
        query.limit = Some(u32::try_from(limit - all.logs.len()).unwrap_or(PAGE).min(PAGE));
    }
}

fn head(log: &FoundLog) -> String {
    let outcome = log.outcome.map_or("running", |outcome| outcome.as_str());
    let revision = short_revision(&log.revision);
    plain(&format!("{}  {revision}  {}  {outcome}  {:.0}", log.build, log.builder, log.created), WIDTH)
}

/// Shows a log's lines, each with the address of the page that shows it.
fn show(url: &str, log: &FoundLog) {
    println!("{}", head(log));
    for hit in &log.hits {
        let first = hit.line.saturating_sub(hit.before.len() as u64);
        for (at, text) in (first..).zip(&hit.before) {
            println!("  {:>6}- {}", at + 1, plain(text, WIDTH));
        }
        println!("  {:>6}: {}", hit.line + 1, plain(&hit.text, WIDTH));
        for (at, text) in (hit.line + 1..).zip(&hit.after) {
            println!("  {:>6}- {}", at + 1, plain(text, WIDTH));
        }
        println!("          {url}{}", plain(&hit.page, WIDTH));
    }
    if log.more {
        println!("          there are more");
    }
}

/// Says what was not looked at, and how it went.
fn ended(found: &LogsFound, limit: usize) -> ExitCode {
    let cut = match found.truncated {
        Some(Truncated::Limit) => {
            eprintln!("the newest {limit} are shown; there may be more: --limit N, or say more of which");
            false
        }
        Some(Truncated::Time | Truncated::Size) => {
            eprintln!(
                "{} logs were looked at, and there are older ones: --time 10m looks longer, --since or --builder at less",
                found.looked_at
            );
            true
        }
        None => false,
    };
    if found.unread > 0 {
        eprintln!("{} logs could not be read, or not all of them; the server's log says why", found.unread);
    }
    match (found.logs.is_empty(), cut || found.unread > 0) {
        (_, true) => ExitCode::from(2),
        (true, false) => ExitCode::from(1),
        (false, false) => ExitCode::SUCCESS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::extract::RawQuery;
    use axum::routing::get;
    use transport::Service;

    #[test]
    fn moments() {
        let now: Timestamp = "2026-03-04T12:00:00Z".parse().unwrap();
        assert_eq!(since("36h", now).unwrap().to_string(), "2026-03-03T00:00:00Z");
        assert_eq!(since("2026-01-31", now).unwrap().to_string(), "2026-01-31T00:00:00Z");
        assert_eq!(since("2026-01-31T01:00:00Z", now).unwrap().to_string(), "2026-01-31T01:00:00Z");
        assert!(since("soon", now).is_err() && since("9000000d", now).is_err());
    }

    fn log(build: &str) -> FoundLog {
        FoundLog {
            build: build.into(),
            attempt: "a".into(),
            builder: "b".into(),
            repo: "r".into(),
            branch: "main".into(),
            revision: "r@1".into(),
            outcome: None,
            created: Timestamp::UNIX_EPOCH,
            hits: Vec::new(),
            more: false,
        }
    }

    #[tokio::test]
    async fn pages_are_asked_for_until_there_are_enough() {
        let answer = |RawQuery(query): RawQuery| async move {
            let query = query.unwrap();
            let at: usize = query.split("cursor=c").nth(1).map_or(0, |text| text[..1].parse().unwrap());
            let next_cursor = (at < 3).then(|| format!("c{}", at + 1));
            let truncated = next_cursor.is_some().then_some(Truncated::Time);
            let logs = vec![log(&format!("{at}"))];
            axum::Json(LogsFound {
                logs,
                next_cursor,
                truncated,
                indexed: true,
                looked_at: 5,
                ..LogsFound::default()
            })
        };
        let router = Router::new().route("/api/v1/logs/search", get(answer));
        let remote = Remote::of(Service::in_process(router), "http://x");
        let minute = Duration::from_secs(60);
        let all = search(&remote, SearchLogsQuery::default(), 99, minute, |_| ()).await.unwrap();
        assert_eq!((all.logs.len(), all.looked_at, all.truncated), (4, 20, None));
        let some = search(&remote, SearchLogsQuery::default(), 2, minute, |_| ()).await.unwrap();
        assert_eq!((some.logs.len(), some.truncated), (2, Some(Truncated::Limit)));
        let cut = search(&remote, SearchLogsQuery::default(), 99, Duration::ZERO, |_| ()).await.unwrap();
        assert_eq!((cut.logs.len(), cut.truncated), (1, Some(Truncated::Time)));
    }
}
