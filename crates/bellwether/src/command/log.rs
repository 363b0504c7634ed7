//! `log`: a build's log on stdout: byte for byte, but for a terminal.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use axum::body::Body;
use dashboard::api::LogSearch;
use futures::StreamExt as _;

use super::client::{Remote, print_json};
use super::follow::{self, Logs};
use crate::api::{Answer, GetAttemptLogQuery, GetBuildLogQuery, SearchAttemptLogQuery, SearchBuildLogQuery};
use crate::args::{Log, MutationLog};
use crate::terminal::Tame;

/// The most bytes of a log that are printed as JSON.
const WHOLE: usize = 64 << 20;
/// More lines than a log may have.
const MOST_LINES: u64 = 1 << 40;

pub async fn run(args: &Log) -> Result<ExitCode> {
    if let Some(mutations) = args.mutations.clone() {
        if let MutationLog::Tail(args) = &mutations
            && let Some(url) = args.url()
        {
            return super::mutations::tail_of_server(url, args).await;
        }
        return tokio::task::spawn_blocking(move || super::mutations::run(&mutations)).await?;
    }
    let remote = Remote::new(&args.server)?;
    if args.follow && args.attempt.is_none() && !args.server.json {
        match follow::why(&remote, args.id()).await {
            // It has begun something new, or will: what is over is not shown.
            Ok(now) if now.state == "queued" => return followed(&remote, args, now.attempts).await,
            Ok(now) if now.attempts > 0 => return followed(&remote, args, now.attempts - 1).await,
            // The dashboard says what there is.
            Ok(_) | Err(_) => {}
        }
    }
    let attempt = match &args.attempt {
        Some(attempt) => Some(attempt_of(&remote, args.id(), attempt).await?),
        None => None,
    };
    if let Some(text) = &args.search {
        let found = remote.hint(search(&remote, args, attempt.as_deref(), text).await)?;
        if args.server.json {
            print_json(&found)?;
        } else {
            for hit in &found.hits {
                println!("{}: {}", hit.line + 1, crate::terminal::plain(&hit.text, 400));
            }
            if found.more {
                eprintln!("there are more");
            }
        }
        return Ok(if found.hits.is_empty() { ExitCode::from(1) } else { ExitCode::SUCCESS });
    }
    let body = remote.hint(read(&remote, args, attempt.as_deref()).await?)?;
    if args.server.json {
        let bytes =
            axum::body::to_bytes(body, WHOLE).await.context("the log is too long for JSON: use --lines")?;
        print_json(&serde_json::json!({"build": args.id(), "text": String::from_utf8_lossy(&bytes)}))?;
        return Ok(ExitCode::SUCCESS);
    }
    copy(body).await?;
    Ok(ExitCode::SUCCESS)
}

/// Searches the log of an attempt, or of the build's last one.
async fn search(remote: &Remote, args: &Log, attempt: Option<&str>, text: &str) -> Answer<LogSearch> {
    let (q, regex, limit) = (text.to_owned(), Some(args.regex), Some(1000));
    match attempt {
        Some(id) => remote.api.search_attempt_log(id, &SearchAttemptLogQuery { q, regex, limit }).await,
        None => remote.api.search_build_log(args.id(), &SearchBuildLogQuery { q, regex, limit }).await,
    }
}

/// Reads what is asked for of the log of an attempt, or of the build's last one.
async fn read(remote: &Remote, args: &Log, attempt: Option<&str>) -> Result<Answer<Body>> {
    let (line, lines) = args.lines.as_deref().map(lines_range).transpose()?.unzip();
    let follow = (args.follow && line.is_none()).then_some(true);
    let (from, to) = (None, None);
    Ok(match attempt {
        Some(id) => {
            remote.api.get_attempt_log(id, &GetAttemptLogQuery { from, to, line, lines, follow }).await
        }
        None => {
            let query = GetBuildLogQuery { from, to, line, lines, follow };
            remote.api.get_build_log(args.id(), &query).await
        }
    })
}

async fn followed(remote: &Remote, args: &Log, before: u32) -> Result<ExitCode> {
    follow::attempts(remote, args.id(), before, Logs::Shown).await?;
    Ok(ExitCode::SUCCESS)
}

/// The id of an attempt, by its number or itself.
async fn attempt_of(remote: &Remote, build: &str, wanted: &str) -> Result<String> {
    let report = remote.hint(remote.api.get_build(build).await)?;
    let found = match wanted.parse() {
        Ok(number) => follow::by_number(&report, number),
        Err(_) => report.attempts.iter().find(|attempt| attempt.id.eq_ignore_ascii_case(wanted)),
    };
    match found {
        Some(attempt) => Ok(attempt.id.clone()),
        None if report.attempts.is_empty() => bail!("build {build} has had no attempt"),
        None => {
            let known: Vec<_> = report.attempts.iter().map(|attempt| attempt.number.to_string()).collect();
            bail!("build {build} has no attempt {wanted}; there are {}", known.join(", "))
        }
    }
}

/// The first line, from 0, and how many.
fn lines_range(text: &str) -> Result<(u64, u64)> {
    let number = |text: &str| text.trim().parse::<u64>().ok().filter(|n| *n > 0);
    let ends = match text.trim().split_once("..") {
        Some(("", to)) => (Some(1), number(to)),
        Some((from, "")) => (number(from), Some(MOST_LINES)),
        Some((from, to)) => (number(from), number(to)),
        None => (number(text), number(text)),
    };
    match ends {
        (Some(from), Some(to)) if from <= to => Ok((from - 1, to - from + 1)),
        _ => bail!("--lines wants FROM..TO, counted from 1, such as 10..20, or 10.. for all from there on"),
    }
}

/// How a copy ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copied {
    /// All is copied.
    All,
    /// Whoever reads has seen enough (`bellwether log X | head`).
    ReaderGone,
}

/// Copies a log to stdout as it comes: byte for byte, or on a terminal what does not act on it.
pub async fn copy(body: Body) -> Result<Copied> {
    let mut stream = body.into_data_stream();
    let mut out = std::io::stdout();
    let mut tame = out.is_terminal().then(Tame::default);
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.context("the log broke off")?;
        let shown = tame.as_mut().map_or(&*chunk, |tame| tame.chunk(&chunk).as_bytes());
        let written = out.write_all(shown).and_then(|()| out.flush());
        match written {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(Copied::ReaderGone),
            other => other.context("writing the log")?,
        }
    }
    if let Some(tame) = tame {
        // A terminal that takes no more has nothing to be put right.
        let _ = out.write_all(tame.end().as_bytes()).and_then(|()| out.flush());
    }
    Ok(Copied::All)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_count_from_one() {
        assert_eq!(lines_range("10..20").unwrap(), (9, 11));
        assert_eq!(lines_range("7").unwrap(), (6, 1));
        assert_eq!(lines_range("2..").unwrap(), (1, MOST_LINES - 1));
        assert_eq!(lines_range("..5").unwrap(), (0, 5));
        assert!(lines_range("..").is_err() && lines_range("").is_err() && lines_range("0..").is_err());
        assert!(lines_range("0..2").is_err() && lines_range("5..4").is_err() && lines_range("x").is_err());
    }
}
