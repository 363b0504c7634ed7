//! `log`: a build's log on stdout, byte for byte.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use axum::body::Body;
use dashboard::api::LogRange;
use dashboard::client::LogOf;
use futures::StreamExt as _;

use super::client::{Remote, print_json};
use crate::args::Log;

/// The most bytes of a log that are printed as JSON.
const WHOLE: usize = 64 << 20;

pub async fn run(args: &Log) -> Result<ExitCode> {
    let remote = Remote::new(&args.server)?;
    let of = LogOf::Build(&args.build);
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

fn lines_range(text: &str) -> Result<LogRange> {
    let (from, to) = text.split_once("..").unwrap_or((text, text));
    let number = |text: &str| text.trim().parse::<u64>().ok().filter(|n| *n > 0);
    match (number(from), number(to)) {
        (Some(from), Some(to)) if from <= to => Ok(LogRange::Lines(from - 1, to - from + 1)),
        _ => bail!("--lines wants FROM..TO, counted from 1, such as 10..20"),
    }
}

/// Copies a log to stdout as it comes.
pub async fn copy(body: Body) -> Result<()> {
    let mut stream = body.into_data_stream();
    let mut out = std::io::stdout();
    while let Some(chunk) = stream.next().await {
        let written = out.write_all(&chunk.context("the log broke off")?).and_then(|()| out.flush());
        match written {
            // Whoever reads has seen enough (`bellwether log X | head`).
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(()),
            other => other.context("writing the log")?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_count_from_one() {
        assert_eq!(lines_range("10..20").unwrap(), LogRange::Lines(9, 11));
        assert_eq!(lines_range("7").unwrap(), LogRange::Lines(6, 1));
        assert!(lines_range("0..2").is_err() && lines_range("5..4").is_err() && lines_range("x").is_err());
    }
}
