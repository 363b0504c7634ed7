//! `log tail`: mutations as they come.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::Duration;

use anyhow::Result;
use godata::{Tail, TailError};
use maintner::journal::follow::{Follow, FollowError};
use maintner::print;

use crate::args::TailLog;
use crate::command::maintnerd;
use crate::system::maintnerd::followed;

/// How often it is looked whether there is more.
const LOOK: Duration = Duration::from_millis(200);
/// So much of a server's log is printed at once.
const PRINTED: usize = 64 << 10;

/// Of a server's log.
pub async fn of_server(url: &str, args: &TailLog) -> Result<ExitCode> {
    let token = args.token_file.as_deref().map(maintnerd::token).transpose()?;
    let config = followed(url, false, token.as_deref(), PathBuf::new())?;
    let mut tail = Tail::new(&config, args.from)?;
    loop {
        let mut buffer = Vec::new();
        let visit = |position, payload: &[u8]| {
            print(&mut buffer, args.json, position, payload)?;
            if buffer.len() > PRINTED { printed(&mut buffer) } else { Ok(()) }
        };
        let seen = tail.next(visit).await;
        // What was good is printed before what is not is told.
        match printed(&mut buffer) {
            // Whoever reads has seen enough.
            Err(why) if why.kind() == io::ErrorKind::BrokenPipe => break,
            done => done?,
        }
        match seen {
            Err(TailError::Visit { why, .. }) if why.kind() == io::ErrorKind::BrokenPipe => break,
            seen => seen?,
        }
        if args.once {
            break;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn printed(buffer: &mut Vec<u8>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(buffer)?;
    buffer.clear();
    out.flush()
}

pub fn tail(args: &TailLog) -> Result<()> {
    let mut follow = Follow::new(&args.of, args.from);
    // Nobody sends: receiving is how to wait, and ends with this process.
    let (_wake, never) = mpsc::channel::<()>();
    loop {
        let mut out = io::stdout().lock();
        let seen = follow.poll(|position, payload| print(&mut out, args.json, position, payload));
        match seen {
            // Whoever reads has seen enough.
            Err(FollowError::Visit { why, .. }) if why.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            seen => seen?,
        }
        out.flush()?;
        drop(out);
        if args.once {
            return Ok(());
        }
        let _ = never.recv_timeout(LOOK);
    }
}

fn print(out: &mut impl io::Write, json: bool, position: u64, payload: &[u8]) -> io::Result<()> {
    let undecodable = |why| io::Error::new(io::ErrorKind::InvalidData, why);
    if json {
        let mutation = print::json(payload).map_err(undecodable)?;
        return writeln!(out, "{{\"offset\":{position},\"mutation\":{mutation}}}");
    }
    writeln!(out, "{position}  {}", print::line(payload).map_err(undecodable)?)
}
