//! Processes as `/proc` shows them: who descends from whom, what they use, and how to end them all.

use std::collections::HashSet;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, kill_process, pidfd_open, waitpid};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// The variable by which a process says which command it belongs to.
pub(crate) const MARKER: &str = "BW_EXEC_ID";
/// Clock ticks per second in `/proc`; fixed on Linux.
const TICKS: u64 = 100;

/// One process at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    pub(crate) parent: i32,
    pub(crate) session: i32,
    pub(crate) zombie: bool,
    pub(crate) threads: u64,
    /// Its own and its reaped children's processor time.
    pub(crate) cpu_ms: u64,
    pub(crate) rss_bytes: u64,
    /// Start in ticks since boot: with the pid, it names a process for good.
    pub(crate) start: u64,
}

/// Reads one process; `None` if it is gone.
pub(crate) fn process(pid: i32) -> Option<Process> {
    parse_stat(&std::fs::read(format!("/proc/{pid}/stat")).ok()?)
}

fn parse_stat(stat: &[u8]) -> Option<Process> {
    let text = String::from_utf8_lossy(stat);
    let (pid, rest) = text.split_once(' ')?;
    // The name is in parentheses and may hold anything, parentheses and spaces too.
    let (_, rest) = rest.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    let number = |index: usize| fields.get(index)?.trim_end().parse::<u64>().ok();
    let signed = |index: usize| fields.get(index)?.parse::<i32>().ok();
    Some(Process {
        pid: pid.parse().ok()?,
        zombie: matches!(*fields.first()?, "Z" | "X"),
        parent: signed(1)?,
        session: signed(3)?,
        cpu_ms: (number(11)? + number(12)? + number(13)? + number(14)?) * (1000 / TICKS),
        threads: number(17)?,
        start: number(19)?,
        rss_bytes: number(21)?.saturating_mul(rustix::param::page_size() as u64),
    })
}

/// Returns a process's own children.
fn children(pid: i32) -> Vec<i32> {
    let mut found = Vec::new();
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return found };
    for task in tasks.flatten() {
        if let Ok(text) = std::fs::read_to_string(task.path().join("children")) {
            found.extend(text.split_ascii_whitespace().filter_map(|word| word.parse::<i32>().ok()));
        }
    }
    found
}

/// Says whether the kernel lists children (`CONFIG_PROC_CHILDREN`).
fn lists_children() -> bool {
    Path::new("/proc/thread-self/children").exists()
}

/// Returns all processes of the machine.
fn all() -> Vec<Process> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|e| process(e.file_name().to_str()?.parse().ok()?)).collect()
}

/// Returns everything that descends from a process, parents first, without the process itself.
pub(crate) fn descendants(root: i32) -> Vec<Process> {
    let mut seen = HashSet::from([root]);
    let mut queue = vec![root];
    let mut found = Vec::new();
    let everything = if lists_children() { None } else { Some(all()) };
    while let Some(pid) = queue.pop() {
        let below: Vec<Process> = match &everything {
            Some(all) => all.iter().filter(|p| p.parent == pid).copied().collect(),
            None => children(pid).into_iter().filter_map(process).collect(),
        };
        for process in below {
            if seen.insert(process.pid) {
                queue.push(process.pid);
                found.push(process);
            }
        }
    }
    found
}

/// Returns processes of the machine that carry one of these markers, wherever they hang.
pub(crate) fn marked(ids: &HashSet<String>) -> Vec<Process> {
    all().into_iter().filter(|p| !p.zombie && marker(p.pid).is_some_and(|id| ids.contains(&id))).collect()
}

/// Returns the command a process says it belongs to.
pub(crate) fn marker(pid: i32) -> Option<String> {
    let environ = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
    let prefix = format!("{MARKER}=");
    let value = environ.split(|b| *b == 0).find_map(|entry| entry.strip_prefix(prefix.as_bytes()))?;
    String::from_utf8(value.to_vec()).ok()
}

/// Returns a process's command line, cut to 200 characters.
pub(crate) fn command_line(pid: i32) -> String {
    let raw = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let text = String::from_utf8_lossy(&raw).replace('\0', " ");
    text.trim_end().chars().take(200).collect()
}

/// Sends a signal; a process that is gone is fine.
pub(crate) fn signal(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        // ESRCH: gone already. EPERM: not ours to end; the caller sees that it is still there.
        let _sent = kill_process(pid, signal);
    }
}

/// Returns when all of these are dead, or after a while.
pub(crate) async fn gone(processes: &[Process], limit: Duration) {
    let all = async {
        for process in processes {
            let Some(pid) = Pid::from_raw(process.pid) else { continue };
            match pidfd_open(pid, PidfdFlags::NONBLOCK).map_err(io::Error::from).and_then(watch_fd) {
                Ok(pidfd) => drop(pidfd.readable().await),
                Err(error) if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => {}
                // Without one there is nothing to wait for but the time.
                Err(_) => std::future::pending().await,
            }
        }
    };
    // What still lives is found again.
    let _late = tokio::time::timeout(limit, all).await;
}

/// Watches a descriptor of a process, which is readable once it is dead.
#[expect(
    deprecated,
    reason = "it is unsound only for types whose descriptor changes, which an OwnedFd's never does"
)]
pub(crate) fn watch_fd(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(fd, Interest::READABLE)
}

/// Takes the exit status of a dead child of ours that nobody else waits for.
pub(crate) fn reap(pid: i32) {
    if let Some(pid) = Pid::from_raw(pid) {
        // ECHILD: it was another's child after all.
        let _reaped = waitpid(Some(pid), WaitOptions::NOHANG);
    }
}

/// Names this boot of the machine.
pub(crate) fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_spaces_is_parsed() {
        let stat = b"42 (a) b (c) Z 7 42 41 0 -1 0 1 2 3 4 10 20 30 40 20 0 3 0 999 1000 5 1844\n";
        let process = parse_stat(stat).unwrap();
        assert_eq!((process.pid, process.parent, process.session, process.zombie), (42, 7, 41, true));
        assert_eq!((process.cpu_ms, process.threads, process.start), (1000, 3, 999));
        assert_eq!(process.rss_bytes, 5 * rustix::param::page_size() as u64);
    }

    #[test]
    fn finds_its_own_child() {
        let mut child = std::process::Command::new("sleep").arg("60").env(MARKER, "mine").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let me = i32::try_from(std::process::id()).unwrap();
        assert!(descendants(me).iter().any(|p| p.pid == pid));
        assert!(marked(&HashSet::from(["mine".to_owned()])).iter().any(|p| p.pid == pid));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(process(pid).is_none());
    }
}
