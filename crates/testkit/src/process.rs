//! Processes by pid: signals and what /proc says of them.

use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};

/// How hard a process is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kill {
    /// SIGKILL: as a crash.
    Crash,
    /// SIGINT: as Ctrl-C.
    Interrupt,
    /// SIGTERM.
    Terminate,
    /// SIGQUIT: PostgreSQL's immediate shutdown.
    Quit,
    /// SIGSTOP: alive, and doing nothing.
    Pause,
    /// SIGCONT: after [`Kill::Pause`].
    Resume,
}

/// Sends a signal to one process.
///
/// # Errors
/// When there is no such process, or it is not ours.
pub fn kill(pid: u32, how: Kill) -> Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).context("a pid is a positive number")?;
    let signal = match how {
        Kill::Crash => Signal::KILL,
        Kill::Interrupt => Signal::INT,
        Kill::Terminate => Signal::TERM,
        Kill::Quit => Signal::QUIT,
        Kill::Pause => Signal::STOP,
        Kill::Resume => Signal::CONT,
    };
    kill_process(pid, signal).with_context(|| format!("signalling {}", pid.as_raw_nonzero()))
}

/// CPU time of one process so far, user and system, without its children.
///
/// # Errors
/// When there is no such process.
pub fn cpu_time(pid: u32) -> Result<Duration> {
    let text =
        std::fs::read_to_string(format!("/proc/{pid}/stat")).with_context(|| format!("process {pid}"))?;
    let (_, fields) = text.rsplit_once(')').context("/proc/PID/stat")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks = |at: usize| -> Result<u64> { Ok(fields.get(at).context("/proc/PID/stat")?.parse()?) };
    // Fields 14 and 15 of the whole line; the first two are cut off. Linux counts them in hundredths of a second.
    Ok(Duration::from_millis((ticks(11)? + ticks(12)?) * 10))
}

/// Resident memory of one process in bytes.
///
/// # Errors
/// When there is no such process.
pub fn resident_bytes(pid: u32) -> Result<u64> {
    let text =
        std::fs::read_to_string(format!("/proc/{pid}/status")).with_context(|| format!("process {pid}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib * 1024)
}

/// How many files, sockets and the like a process has open.
///
/// # Errors
/// When there is no such process, or it is not ours.
pub fn open_files(pid: u32) -> Result<usize> {
    entries(pid, "fd")
}

/// How many threads a process has.
///
/// # Errors
/// When there is no such process.
pub fn threads(pid: u32) -> Result<usize> {
    entries(pid, "task")
}

/// Lets this process, and those that it starts from now on, open so many files, as far as the system allows. Returns how
/// many that are.
pub fn allow_open_files(wanted: u64) -> u64 {
    let now = getrlimit(Resource::Nofile);
    let most = now.maximum.unwrap_or(u64::MAX);
    let current = now.current.unwrap_or(u64::MAX).max(wanted.min(most));
    // Refused, it is what it was.
    match setrlimit(Resource::Nofile, Rlimit { current: Some(current), maximum: now.maximum }) {
        Ok(()) => current,
        Err(_) => now.current.unwrap_or(u64::MAX),
    }
}

fn entries(pid: u32, folder: &str) -> Result<usize> {
    Ok(std::fs::read_dir(format!("/proc/{pid}/{folder}")).with_context(|| format!("process {pid}"))?.count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_time_and_memory() {
        let me = std::process::id();
        assert!(resident_bytes(me).unwrap() > 100_000);
        cpu_time(me).unwrap();
        assert!(open_files(me).unwrap() >= 3 && threads(me).unwrap() >= 1);
        assert!(cpu_time(u32::MAX).is_err());
    }

    #[test]
    fn a_limit_is_raised_as_far_as_it_may_be() {
        let now = getrlimit(Resource::Nofile);
        let most = now.maximum.unwrap_or(u64::MAX);
        let got = allow_open_files(u64::MAX);
        assert!(got == most || Some(got) == now.current, "{got} of {most}");
        assert_eq!(allow_open_files(1), got, "it is never lowered");
    }

    #[test]
    fn a_child_is_ended_by_pid() {
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        kill(child.id(), Kill::Crash).unwrap();
        assert!(!child.wait().unwrap().success());
    }
}
