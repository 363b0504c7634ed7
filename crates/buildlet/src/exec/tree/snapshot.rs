//! Processes as Windows lists them. Nobody can read another's environment, so who has left its parent is found by its job alone.

use std::collections::HashSet;
use std::io;
use std::os::windows::io::{AsHandle as _, OwnedHandle};
use std::process::Child;
use std::time::Duration;

use super::Process;
use crate::sys::process::{self, Listed, Used};

/// How often it is looked whether a process still lives.
const EACH: Duration = Duration::from_millis(20);

/// Looks at a process; `None` if it is gone.
pub(crate) fn process(pid: i32) -> Option<Process> {
    let number = pid.cast_unsigned();
    let listed = process::all().into_iter().find(|listed| listed.pid == number);
    // A dead child of ours is in no list, and can be looked at until it is waited for.
    listed.as_ref().map(seen).or_else(|| process::used(number).map(|used| dead(pid, &used)))
}

/// Returns all processes of the machine.
pub(super) fn all() -> Vec<Process> {
    process::all().iter().map(seen).collect()
}

fn seen(listed: &Listed) -> Process {
    let used = process::used(listed.pid);
    Process {
        pid: listed.pid.cast_signed(),
        parent: listed.parent.cast_signed(),
        // There are none that a command could be told by.
        session: 0,
        zombie: used.as_ref().is_some_and(|used| !used.lives),
        threads: listed.threads.into(),
        cpu_ms: used.as_ref().map_or(0, |used| used.cpu_ms),
        rss_bytes: used.as_ref().map_or(0, |used| used.rss_bytes),
        start: used.as_ref().map_or(0, |used| used.start),
    }
}

fn dead(pid: i32, used: &Used) -> Process {
    Process {
        pid,
        parent: 0,
        session: 0,
        zombie: true,
        threads: 0,
        cpu_ms: used.cpu_ms,
        rss_bytes: 0,
        start: used.start,
    }
}

/// Returns everything that descends from a process, parents first, without the process itself.
///
/// Numbers are given anew here, and a parent's number stays with its children. So only who began after its parent is its child.
pub(crate) fn descendants(root: i32) -> Vec<Process> {
    let everything = all();
    let mut seen = HashSet::from([root]);
    let mut queue: Vec<(i32, u64)> = everything
        .iter()
        .filter(|process| process.pid == root)
        .map(|process| (root, process.start))
        .collect();
    let mut found = Vec::new();
    while let Some((pid, start)) = queue.pop() {
        for process in everything.iter().filter(|process| process.parent == pid && process.start >= start) {
            if seen.insert(process.pid) {
                queue.push((process.pid, process.start));
                found.push(*process);
            }
        }
    }
    if root == std::process::id().cast_signed() {
        // Who has lost its parent is in the family still.
        let family = process::family();
        let orphans = everything.iter().filter(|process| family.contains(&process.pid.cast_unsigned()));
        found.extend(orphans.filter(|process| seen.insert(process.pid)));
    }
    found
}

/// Returns the command a process says it belongs to; nobody says it here.
pub(crate) fn marker(_pid: i32) -> Option<String> {
    None
}

/// Says whether a process runs as a user; users have no numbers here.
pub(super) fn runs_as(_pid: i32, _uid: u32) -> bool {
    false
}

/// Returns a process's program.
pub(crate) fn command_line(pid: i32) -> String {
    let pid = pid.cast_unsigned();
    process::all()
        .into_iter()
        .find(|listed| listed.pid == pid)
        .map_or_else(String::new, |listed| listed.program)
}

/// Returns when all of these are dead, or after a while.
pub(crate) async fn gone(processes: &[Process], limit: Duration) {
    let all = async {
        for process in processes {
            let pid = process.pid.cast_unsigned();
            while process::used(pid).is_some_and(|used| used.lives && used.start == process.start) {
                tokio::time::sleep(EACH.min(limit)).await;
            }
        }
    };
    // What still lives is found again.
    let _late = tokio::time::timeout(limit, all).await;
}

/// Names this boot of the machine: by when its first process began, where that may be asked.
pub(crate) fn boot_id() -> String {
    process(4).map_or_else(String::new, |first| first.start.to_string())
}

/// Says when a child exits; it can then still be looked at.
pub(crate) struct Exits(OwnedHandle);

impl Exits {
    pub(crate) fn of(child: &Child) -> io::Result<Self> {
        Ok(Self(child.as_handle().try_clone_to_owned()?))
    }

    pub(crate) async fn wait(&self) {
        while !process::has_ended(self.0.as_handle()) {
            tokio::time::sleep(EACH).await;
        }
    }
}

/// Sends a signal; a process that is gone is fine.
pub(crate) fn signal(pid: i32, signal: process::Signal) {
    if signal == process::Signal::KILL {
        process::kill(pid.cast_unsigned());
    }
}

/// Takes the exit status of a dead child of ours that nobody else waits for; there is nothing to take here.
pub(crate) fn reap(_pid: i32) {}
