//! `log tail`: mutations as they come.

use std::io::{self, Write as _};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::Result;
use maintner::journal::follow::{Follow, FollowError};
use maintner::print;

use crate::args::TailLog;

/// How often it is looked whether there is more.
const LOOK: Duration = Duration::from_millis(200);

pub fn tail(args: &TailLog) -> Result<()> {
    let mut follow = Follow::new(&args.dir, args.from);
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
