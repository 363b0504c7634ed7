//! A command's terminal and its signals on Unix.

use std::io;
use std::os::fd::OwnedFd;
use std::process::Stdio;

use rustix::process::{Gid, Pid, Uid, kill_process_group};

use crate::exec::tree;
use crate::sys::Signal;
use crate::user::JobUser;

/// The command's end of a terminal.
pub(crate) type TerminalEnd = OwnedFd;
/// A group of processes.
pub(crate) type Group = Pid;

/// Makes a terminal the job's user's.
pub(super) fn give(terminal: &TerminalEnd, user: &JobUser) -> io::Result<()> {
    // By its name as well, as programs open it that ask for a passphrase.
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    Ok(rustix::fs::fchown(terminal, Some(uid), Some(gid))?)
}

/// The standard streams of a command on a terminal.
pub(super) fn streams(terminal: TerminalEnd) -> io::Result<[Stdio; 3]> {
    let (input, output) = (terminal.try_clone()?, terminal.try_clone()?);
    Ok([input.into(), output.into(), terminal.into()])
}

/// Sends a signal to a group of processes, by default that of a command's first.
pub(super) fn signal(first: i32, group: Option<Group>, signal: Signal) {
    let Some(group) = group.or(Pid::from_raw(first)) else { return };
    if kill_process_group(group, signal).is_err() {
        // It has not made its group yet, or has ended.
        tree::signal(first, signal);
    }
}
