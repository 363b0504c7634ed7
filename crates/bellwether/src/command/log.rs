//! `log`: a build's log on stdout, byte for byte.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use axum::body::Body;
use dashboard::api::LogRange;
use dashboard::client::LogOf;
use futures::StreamExt as _;

use super::client::{Remote, print_json};
use super::follow::{self, Logs};
use crate::args::Log;

/// The most bytes of a log that are printed as JSON.
const WHOLE: usize = 64 << 20;
/// More lines than a log may have.
const MOST_LINES: u64 = 1 << 40;

pub async fn run(args: &Log) -> Result<ExitCode> {
    let remote = Remote::new(&args.server)?;
    if args.follow && args.attempt.is_none() && !args.server.json {
        match follow::why(&remote, &args.build).await {
            // It has begun something new, or will: what is over is not shown.
            Ok(now) if now.state == "queued" => return followed(&remote, args, now.attempts).await,
            Ok(now) if now.attempts > 0 => return followed(&remote, args, now.attempts - 1).await,
            // The dashboard says what there is.
            Ok(_) | Err(_) => {}
        }
    }
    let attempt = match &args.attempt {
        Some(attempt) => Some(attempt_of(&remote, &args.build, attempt).await?),
        None => None,
    };
    let of = attempt.as_deref().map_or(LogOf::Build(&args.build), LogOf::Attempt);
    if let Some(text) = &args.search {
        let found = remote.hint(remote.dashboard.log_search(of, text, args.regex, 1000).await)?;
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
    let range = match (&args.lines, args.follow) {
        (Some(lines), _) => lines_range(lines)?,
        (None, true) => LogRange::Follow(0),
        (None, false) => LogRange::All,
    };
    let body = remote.hint(remote.dashboard.log(of, range).await)?;
    if args.server.json {
        let bytes =
            axum::body::to_bytes(body, WHOLE).await.context("the log is too long for JSON: use --lines")?;
        print_json(&serde_json::json!({"build": args.build, "text": String::from_utf8_lossy(&bytes)}))?;
        return Ok(ExitCode::SUCCESS);
    }
    copy(body).await?;
    Ok(ExitCode::SUCCESS)
}

async fn followed(remote: &Remote, args: &Log, before: u32) -> Result<ExitCode> {
    follow::attempts(remote, &args.build, before, Logs::Shown).await?;
    Ok(ExitCode::SUCCESS)
}

/// The id of an attempt, by its number or itself.
async fn attempt_of(remote: &Remote, build: &str, wanted: &str) -> Result<String> {
    let report = remote.hint(remote.dashboard.build(build).await)?;
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

fn lines_range(text: &str) -> Result<LogRange> {
    let number = |text: &str| text.trim().parse::<u64>().ok().filter(|n| *n > 0);
    let ends = match text.trim().split_once("..") {
        Some(("", to)) => (Some(1), number(to)),
        Some((from, "")) => (number(from), Some(MOST_LINES)),
        Some((from, to)) => (number(from), number(to)),
        None => (number(text), number(text)),
    };
    match ends {
        (Some(from), Some(to)) if from <= to => Ok(LogRange::Lines(from - 1, to - from + 1)),
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

/// Copies a log to stdout as it comes.
pub async fn copy(body: Body) -> Result<Copied> {
    let mut stream = body.into_data_stream();
    let mut out = std::io::stdout();
    while let Some(chunk) = stream.next().await {
        let written = out.write_all(&chunk.context("the log broke off")?).and_then(|()| out.flush());
        match written {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(Copied::ReaderGone),
            other => other.context("writing the log")?,
        }
    }
    Ok(Copied::All)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_count_from_one() {
        assert_eq!(lines_range("10..20").unwrap(), LogRange::Lines(9, 11));
        assert_eq!(lines_range("7").unwrap(), LogRange::Lines(6, 1));
        assert_eq!(lines_range("2..").unwrap(), LogRange::Lines(1, MOST_LINES - 1));
        assert_eq!(lines_range("..5").unwrap(), LogRange::Lines(0, 5));
        assert!(lines_range("..").is_err() && lines_range("").is_err() && lines_range("0..").is_err());
        assert!(lines_range("0..2").is_err() && lines_range("5..4").is_err() && lines_range("x").is_err());
    }
}
