//! What is done to a process of Unix.

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

/// Sends a signal; a process that is gone is fine.
pub(crate) fn signal(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        // ESRCH: gone already. EPERM: not ours to end; the caller sees that it is still there.
        let _sent = kill_process(pid, signal);
    }
}

/// Takes the exit status of a dead child of ours that nobody else waits for.
pub(crate) fn reap(pid: i32) {
    if let Some(pid) = Pid::from_raw(pid) {
        // ECHILD: it was another's child after all.
        let _reaped = waitpid(Some(pid), WaitOptions::NOHANG);
    }
}
