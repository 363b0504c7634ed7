//! Processes as the system shows them (`/proc`, elsewhere `ps`): who descends from whom, what they use, and how to end them all.

#[cfg(target_os = "linux")]
mod proc;
#[cfg(all(unix, any(not(target_os = "linux"), test)))]
mod ps;
#[cfg(unix)]
mod signals;
#[cfg(windows)]
mod snapshot;

#[cfg(target_os = "linux")]
use proc as system;
#[cfg(all(unix, not(target_os = "linux")))]
use ps as system;
#[cfg(unix)]
pub(crate) use signals::{reap, signal};
#[cfg(windows)]
use snapshot as system;
#[cfg(windows)]
pub(crate) use snapshot::{reap, signal};

pub(crate) use system::{Exits, boot_id, command_line, descendants, gone, marker, process};

/// The variable by which a process says which command it belongs to.
pub(crate) const MARKER: &str = "BW_EXEC_ID";
/// One process at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    pub(crate) parent: i32,
    /// Its session, or where the system does not tell, its group.
    pub(crate) session: i32,
    pub(crate) zombie: bool,
    pub(crate) threads: u64,
    /// Its own and its reaped children's processor time.
    pub(crate) cpu_ms: u64,
    pub(crate) rss_bytes: u64,
    /// When it began, in some measure of the system's: with the pid, it names a process for good.
    pub(crate) start: u64,
}

/// Returns processes of the machine that carry a marker like that, wherever they hang.
pub(crate) fn marked(like: impl Fn(&str) -> bool) -> Vec<Process> {
    system::all().into_iter().filter(|p| !p.zombie && marker(p.pid).is_some_and(|id| like(&id))).collect()
}

/// Returns the living processes that run as a user, wherever they hang.
pub(crate) fn of_user(uid: u32) -> Vec<Process> {
    system::all().into_iter().filter(|p| !p.zombie && system::runs_as(p.pid, uid)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_its_own_child() {
        let mut child = std::process::Command::new("sleep").arg("60").env(MARKER, "mine").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let me = i32::try_from(std::process::id()).unwrap();
        assert!(descendants(me).iter().any(|p| p.pid == pid));
        assert!(marked(|id| id == "mine").iter().any(|p| p.pid == pid));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(process(pid).is_none());
    }
}
