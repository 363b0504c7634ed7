//! Processes as `ps` shows them, on systems without Linux's `/proc`.
//!
//! There is no word there for "a process, and no later one of its number", so it is told by its number and its start; and who has left
//! its parent is found by the marker in its environment, as far as `ps` may show that.
#![cfg_attr(target_os = "linux", expect(dead_code, reason = "only its reading is tested here"))]

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, WaitId, WaitIdOptions, test_kill_process, waitid};

use super::{MARKER, Process};

/// How often it is looked whether a process still lives.
const EACH: Duration = Duration::from_millis(20);
const COLUMNS: &str = "pid=,ppid=,pgid=,stat=,time=,rss=,lstart=";

/// What `ps` prints; nothing if it can't be run.
fn ps(args: &[&str]) -> (i32, String) {
    let mut command = Command::new("ps");
    command.args(args).env("LC_ALL", "C").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let Ok(child) = command.spawn() else { return (0, String::new()) };
    let pid = child.id().cast_signed();
    let output = child.wait_with_output().map(|output| output.stdout).unwrap_or_default();
    (pid, String::from_utf8_lossy(&output).into_owned())
}

/// Reads one process; `None` if it is gone.
pub(crate) fn process(pid: i32) -> Option<Process> {
    ps(&["-o", COLUMNS, "-p", &pid.to_string()]).1.lines().find_map(parse)
}

/// Returns all processes of the machine.
pub(super) fn all() -> Vec<Process> {
    let (own, text) = ps(&["-ax", "-o", COLUMNS]);
    text.lines().filter_map(parse).filter(|process| process.pid != own).collect()
}

fn parse(line: &str) -> Option<Process> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let [pid, parent, group, state, time, rss, start @ ..] = words.as_slice() else { return None };
    let mut hash = DefaultHasher::new();
    start.hash(&mut hash);
    Some(Process {
        pid: pid.parse().ok()?,
        parent: parent.parse().ok()?,
        session: group.parse().ok()?,
        zombie: state.starts_with('Z'),
        threads: 1,
        cpu_ms: milliseconds(time)?,
        rss_bytes: rss.parse::<u64>().ok()?.saturating_mul(1024),
        start: hash.finish(),
    })
}

/// Reads `[days-][hours:]minutes:seconds[.fraction]`.
fn milliseconds(time: &str) -> Option<u64> {
    let (days, clock) = time.split_once('-').unwrap_or(("0", time));
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let mut seconds: u64 = 0;
    for part in clock.split(':') {
        seconds = seconds.checked_mul(60)?.checked_add(part.parse().ok()?)?;
    }
    let fraction: u64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    let seconds = days.parse::<u64>().ok()?.checked_mul(86_400)?.checked_add(seconds)?;
    seconds.checked_mul(1000)?.checked_add(fraction)
}

/// Returns everything that descends from a process, parents first, without the process itself. Of ourselves, also what says that it
/// belongs to a command: an orphan is nobody's here.
pub(crate) fn descendants(root: i32) -> Vec<Process> {
    let everything = all();
    let mut seen = HashSet::from([root]);
    let mut queue = vec![root];
    let mut found: Vec<Process> = Vec::new();
    if root == std::process::id().cast_signed() {
        let orphans =
            everything.iter().filter(|process| process.parent == 1 && marker(process.pid).is_some());
        for orphan in orphans {
            seen.insert(orphan.pid);
            queue.push(orphan.pid);
            found.push(*orphan);
        }
    }
    while let Some(pid) = queue.pop() {
        for process in everything.iter().filter(|process| process.parent == pid) {
            if seen.insert(process.pid) {
                queue.push(process.pid);
                found.push(*process);
            }
        }
    }
    found
}

/// Returns the command a process says it belongs to.
pub(crate) fn marker(pid: i32) -> Option<String> {
    let environment = if cfg!(target_vendor = "apple") { "-E" } else { "-e" };
    let text = ps(&[environment, "-ww", "-o", "command=", "-p", &pid.to_string()]).1;
    let prefix = format!("{MARKER}=");
    text.split_ascii_whitespace().find_map(|word| word.strip_prefix(&prefix)).map(str::to_owned)
}

/// Says whether a process runs as a user.
pub(super) fn runs_as(pid: i32, uid: u32) -> bool {
    ps(&["-o", "uid=", "-p", &pid.to_string()]).1.trim().parse() == Ok(uid)
}

/// Returns a process's command line, cut to 200 characters.
pub(crate) fn command_line(pid: i32) -> String {
    ps(&["-ww", "-o", "command=", "-p", &pid.to_string()]).1.trim().chars().take(200).collect()
}

/// Returns when all of these are dead, or after a while.
pub(crate) async fn gone(processes: &[Process], limit: Duration) {
    let all = async {
        for process in processes {
            let Some(pid) = Pid::from_raw(process.pid) else { continue };
            while test_kill_process(pid).is_ok() {
                tokio::time::sleep(EACH.min(limit)).await;
            }
        }
    };
    // What still lives is found again.
    let _late = tokio::time::timeout(limit, all).await;
}

/// Names this boot of the machine.
pub(crate) fn boot_id() -> String {
    // By when its first process began.
    process(1).map_or_else(String::new, |first| first.start.to_string())
}

/// Says when a child exits; it can then still be looked at.
pub(crate) struct Exits(Pid);

impl Exits {
    pub(crate) fn of(child: &Child) -> io::Result<Self> {
        Ok(Self(Pid::from_raw(child.id().cast_signed()).ok_or(io::ErrorKind::InvalidInput)?))
    }

    pub(crate) async fn wait(&self) {
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        // An error is that of a child that nobody can wait for any more.
        while let Ok(None) = waitid(WaitId::Pid(self.0), look) {
            tokio::time::sleep(EACH).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_ps_are_read() {
        let line = "  501     1   501 Ss     1:02.50   2048 Thu Nov 26 12:37:13 2026    ";
        let process = parse(line).unwrap();
        assert_eq!((process.pid, process.parent, process.session, process.zombie), (501, 1, 501, false));
        assert_eq!((process.cpu_ms, process.rss_bytes), (62_500, 2 << 20));
        assert_eq!(parse(line), parse(line.trim()));
        let later = parse(&line.replace(":13 ", ":14 ")).unwrap();
        assert_ne!(process.start, later.start, "another process of the same number");
        assert!(parse("7 1 7 Z 0:00.00 0 Thu Nov 26 12:37:13 2026").unwrap().zombie);
        for bad in ["", "PID PPID", "1 2 3 S x 5 a"] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn times_are_read() {
        for (text, want) in [
            ("0:00.01", 10),
            ("1:02.5", 62_500),
            ("00:01:02", 62_000),
            ("1-00:00:01", 86_401_000),
            ("12:34:56.78", 45_296_780),
        ] {
            assert_eq!(milliseconds(text), Some(want), "{text}");
        }
        assert_eq!(milliseconds("-"), None);
    }
}
