//! A command's terminal and its signals on Windows.

use std::io::{self, PipeReader, PipeWriter};
use std::process::Stdio;

use crate::exec::tree;
use crate::sys::Signal;
use crate::user::JobUser;

/// What the helper has of a terminal: what is typed and told comes by one pipe, what is shown goes by the other.
pub(crate) struct TerminalEnd {
    pub(crate) told: PipeReader,
    pub(crate) shown: PipeWriter,
}

/// A group of processes; there are none that signals go to.
pub(crate) enum Group {}

/// Makes a terminal the job's user's; there is no such user here.
pub(super) fn give(_terminal: &TerminalEnd, _user: &JobUser) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// The standard streams of the helper that makes a terminal.
pub(super) fn streams(terminal: TerminalEnd) -> io::Result<[Stdio; 3]> {
    let TerminalEnd { told, shown } = terminal;
    Ok([told.into(), shown.try_clone()?.into(), shown.into()])
}

/// Ends a command's first process by force, if that is the signal; what it has started ends with its job.
pub(super) fn signal(first: i32, _group: Option<Group>, signal: Signal) {
    tree::signal(first, signal);
}
