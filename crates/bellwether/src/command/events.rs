//! `events`: what happens to builds and branches, a line for each.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::body::Body;
use dashboard::api::{Event, EventKind};
use futures::StreamExt as _;

use super::client::{Remote, short_revision};
use super::log::Copied;
use crate::api::FollowEventsQuery;
use crate::args::Events;
use crate::terminal::plain;

/// After a connection that broke, so long until the next one.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest line of an event; a server that sends longer ones is none of ours.
const LONGEST: usize = 1 << 20;

pub async fn run(args: &Events) -> Result<ExitCode> {
    let remote = Remote::new(&args.server)?;
    let query = FollowEventsQuery {
        repo: args.repo.clone(),
        builder: args.builder.clone(),
        // Who does not follow wants what there was.
        after: args.after.or((!args.follow).then_some(0)),
        follow: (!args.follow).then_some(false),
    };
    let mut last = None;
    loop {
        let body = remote.api.follow_events(&query, last.as_deref()).await;
        let ended = match body {
            Err(error) if last.is_some() && error.is_transient() => Ok(Copied::All),
            body => show(remote.hint(body)?, args.server.json, &mut last).await,
        };
        match ended {
            Ok(Copied::All) if args.follow => tokio::time::sleep(PAUSE).await,
            // It goes on after the last number, and misses nothing.
            Err(_) if args.follow && last.is_some() => tokio::time::sleep(PAUSE).await,
            ended => return ended.map(|_| ExitCode::SUCCESS),
        }
    }
}

/// Prints the events of a stream until it ends, and keeps the last number.
async fn show(body: Body, json: bool, last: &mut Option<String>) -> Result<Copied> {
    let (mut stream, mut parser) = (body.into_data_stream(), Parser::default());
    let mut out = std::io::stdout();
    while let Some(bytes) = stream.next().await {
        for (id, data) in parser.push(&bytes.context("the events broke off")?)? {
            if !data.is_empty() {
                let event: Event = serde_json::from_str(&data).context("an event that can't be read")?;
                let line = if json { data } else { line(&event) };
                match writeln!(out, "{line}").and_then(|()| out.flush()) {
                    Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {
                        return Ok(Copied::ReaderGone);
                    }
                    written => written.context("writing an event")?,
                }
            }
            *last = id.or(last.take());
        }
    }
    Ok(Copied::All)
}

fn line(event: &Event) -> String {
    let what = match event.kind {
        EventKind::Ready => "from here on".to_owned(),
        EventKind::Reset => "what was before is no longer known".to_owned(),
        EventKind::Commit => format!(
            "{} {}",
            event.branch.as_deref().map(|branch| plain(branch, 200)).unwrap_or_default(),
            short_revision(event.revision.as_deref().unwrap_or_default())
        ),
        _ => format!(
            "{} {} {}{}",
            event.build.as_deref().unwrap_or_default(),
            event.builder.as_deref().unwrap_or_default(),
            short_revision(event.revision.as_deref().unwrap_or_default()),
            event.outcome.map_or_else(String::new, |outcome| format!(" {outcome}"))
        ),
    };
    format!("{:>6} {:.0} {:<8} {what}", event.id, event.time, event.kind)
}

/// Takes a stream of events apart: id, where one is given, and data.
#[derive(Default)]
struct Parser {
    held: Vec<u8>,
    id: Option<String>,
    data: Option<String>,
}

impl Parser {
    fn push(&mut self, bytes: &[u8]) -> Result<Vec<(Option<String>, String)>> {
        let mut events = Vec::new();
        self.held.extend_from_slice(bytes);
        while let Some(end) = self.held.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.held.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end_matches(['\n', '\r']);
            match line
                .split_once(':')
                .map_or((line, ""), |(name, value)| (name, value.strip_prefix(' ').unwrap_or(value)))
            {
                ("", "") if line.is_empty() => {
                    let (id, data) = (self.id.take(), self.data.take());
                    if id.is_some() || data.is_some() {
                        events.push((id, data.unwrap_or_default()));
                    }
                }
                ("id", value) => self.id = Some(value.to_owned()),
                ("data", value) => match &mut self.data {
                    Some(data) => {
                        data.push('\n');
                        data.push_str(value);
                    }
                    None => self.data = Some(value.to_owned()),
                },
                // A comment, or what we have no use for.
                _ => {}
            }
        }
        anyhow::ensure!(self.held.len() <= LONGEST, "a line of more than {LONGEST} bytes is no event");
        Ok(events)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_put_together_however_they_come() {
        let text = ": here\n\nevent: a\nid: 1\ndata: x\ndata: y\n\nid: 2\n\ndata\r\n\r\nid: 3";
        let wanted = [
            (Some("1".to_owned()), "x\ny".to_owned()),
            (Some("2".into()), String::new()),
            (None, String::new()),
        ];
        for size in [1, 2, 7, text.len()] {
            let mut parser = Parser::default();
            let parts = text.as_bytes().chunks(size);
            let events: Vec<_> = parts.flat_map(|part| parser.push(part).unwrap()).collect();
            assert_eq!(events, wanted, "in parts of {size}");
        }
        assert!(Parser::default().push(&vec![b'x'; LONGEST + 1]).is_err());
    }
}
