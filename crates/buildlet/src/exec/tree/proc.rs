//! Processes as Linux shows them.

use std::collections::HashSet;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Child;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::{MARKER, Process};

/// Clock ticks per second in `/proc`; fixed on Linux.
const TICKS: u64 = 100;

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
    let threads = number(17)?;
    Some(Process {
        pid: pid.parse().ok()?,
        // Whose first thread has ended looks so too while others go on.
        zombie: matches!(*fields.first()?, "Z" | "X") && threads <= 1,
        parent: signed(1)?,
        session: signed(3)?,
        cpu_ms: (number(11)? + number(12)? + number(13)? + number(14)?) * (1000 / TICKS),
        threads,
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
pub(super) fn all() -> Vec<Process> {
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

/// Returns the command a process says it belongs to.
pub(crate) fn marker(pid: i32) -> Option<String> {
    let environ = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
    let prefix = format!("{MARKER}=");
    let value = environ.split(|b| *b == 0).find_map(|entry| entry.strip_prefix(prefix.as_bytes()))?;
    String::from_utf8(value.to_vec()).ok()
}

/// Says whether any of a process's user ids is this one: the real, the effective, the saved, that of files.
pub(super) fn runs_as(pid: i32, uid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    ids.is_some_and(|ids| ids.split_ascii_whitespace().any(|id| id.parse() == Ok(uid)))
}

/// Returns a process's command line, cut to 200 characters.
pub(crate) fn command_line(pid: i32) -> String {
    let raw = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let text = String::from_utf8_lossy(&raw).replace('\0', " ");
    text.trim_end().chars().take(200).collect()
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
fn watch_fd(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(fd, Interest::READABLE)
}

/// Names this boot of the machine.
pub(crate) fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// Says when a child exits; its entry in `/proc` is then still there.
pub(crate) struct Exits(AsyncFd<OwnedFd>);

impl Exits {
    pub(crate) fn of(child: &Child) -> io::Result<Self> {
        let pid = Pid::from_raw(child.id().cast_signed()).ok_or(io::ErrorKind::InvalidInput)?;
        Ok(Self(watch_fd(pidfd_open(pid, PidfdFlags::NONBLOCK)?)?))
    }

    pub(crate) async fn wait(&self) {
        // An error of the reactor can only mean that the runtime ends.
        let _ready = self.0.readable().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_spaces_is_parsed() {
        let stat = b"42 (a) b (c) Z 7 42 41 0 -1 0 1 2 3 4 10 20 30 40 20 0 3 0 999 1000 5 1844\n";
        let process = parse_stat(stat).unwrap();
        assert_eq!((process.pid, process.parent, process.session, process.zombie), (42, 7, 41, false));
        assert_eq!((process.cpu_ms, process.threads, process.start), (1000, 3, 999));
        assert_eq!(process.rss_bytes, 5 * rustix::param::page_size() as u64);
    }

    #[test]
    fn a_process_is_dead_when_its_last_thread_is() {
        let dead = |state: &str, threads: u32| {
            let stat = format!(
                "42 (a) {state} 7 42 41 0 -1 0 1 2 3 4 10 20 30 40 20 0 {threads} 0 999 1000 5 1844\n"
            );
            parse_stat(stat.as_bytes()).unwrap().zombie
        };
        assert!(dead("Z", 1) && dead("X", 0) && dead("Z", 0));
        assert!(!dead("Z", 2) && !dead("S", 1));
    }
}
