//! A running command and its process group: however the command ends, no process of its group is left.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinHandle;

/// How much of what a command says is kept: its end, in bytes.
const STDERR_TAIL: usize = 16 << 10;

pub(crate) struct Running {
    /// `None` once it was waited for.
    child: Option<Child>,
    group: Pid,
    grace: Duration,
    stderr: JoinHandle<String>,
    permit: Option<OwnedSemaphorePermit>,
}

/// Starts a command in a process group of its own.
pub(crate) fn start(
    mut command: Command,
    grace: Duration,
    permit: OwnedSemaphorePermit,
) -> std::io::Result<(Running, Option<ChildStdin>, ChildStdout)> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = command.spawn()?;
    let group =
        child.id().and_then(|id| Pid::from_raw(id as i32)).expect("invariant: a fresh child has a pid");
    let stdin = child.stdin.take();
    let stdout = child.stdout.take().expect("invariant: stdout is piped");
    let stderr = child.stderr.take().expect("invariant: stderr is piped");
    let running = Running {
        child: Some(child),
        group,
        grace,
        stderr: tokio::spawn(tail(stderr)),
        permit: Some(permit),
    };
    Ok((running, stdin, stdout))
}

impl Running {
    /// Waits until the command has ended by itself, ends what it left behind, and gives its last words.
    pub(crate) async fn wait(&mut self) -> std::io::Result<(ExitStatus, String)> {
        wait_unreaped(self.group).await;
        // The leader is not reaped yet, so that the group's number can't belong to anyone else.
        let _ = rustix::process::kill_process_group(self.group, Signal::KILL);
        let status = match &mut self.child {
            Some(child) => child.wait().await?,
            None => return Err(std::io::Error::other("waited twice")),
        };
        self.child = None;
        let words = (&mut self.stderr).await.unwrap_or_default();
        Ok((status, words))
    }

    /// Ends the whole group: SIGTERM, so that git removes its lock files, then SIGKILL.
    pub(crate) async fn stop(&mut self) {
        if let Some(child) = self.child.take() {
            end_group(child, self.group, self.grace).await;
        }
        self.stderr.abort();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(child) = self.child.take() else { return };
        let _ = rustix::process::kill_process_group(self.group, Signal::TERM);
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => {
                // Bounded by the grace period; it owns the child and its place among the commands.
                let (group, grace, permit) = (self.group, self.grace, self.permit.take());
                runtime.spawn(async move {
                    let guard = KillNow(group);
                    end_group(child, group, grace).await;
                    std::mem::forget(guard);
                    drop(permit);
                });
            }
            Err(_) => drop(KillNow(self.group)),
        }
        self.stderr.abort();
    }
}

/// Kills a group whose leader is not reaped yet, when the runtime ends before its grace period.
struct KillNow(Pid);

impl Drop for KillNow {
    fn drop(&mut self) {
        let _ = rustix::process::kill_process_group(self.0, Signal::KILL);
    }
}

async fn end_group(mut child: Child, group: Pid, grace: Duration) {
    let _ = rustix::process::kill_process_group(group, Signal::TERM);
    let _ = tokio::time::timeout(grace, wait_unreaped(group)).await;
    let _ = rustix::process::kill_process_group(group, Signal::KILL);
    let _ = child.wait().await;
}

/// Waits until the leader has ended, and leaves it unreaped.
async fn wait_unreaped(leader: Pid) {
    #[cfg(target_os = "linux")]
    if let Some(fd) = pidfd(leader) {
        let _ = fd.readable().await;
        return;
    }
    loop {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        match rustix::process::waitid(WaitId::Pid(leader), options) {
            Ok(None) => tokio::time::sleep(Duration::from_millis(5)).await,
            Ok(Some(_)) | Err(_) => return,
        }
    }
}

#[cfg(target_os = "linux")]
#[expect(deprecated, reason = "its replacement is unsafe; an OwnedFd keeps the contract that it asks for")]
fn pidfd(leader: Pid) -> Option<tokio::io::unix::AsyncFd<std::os::fd::OwnedFd>> {
    let fd = rustix::process::pidfd_open(leader, rustix::process::PidfdFlags::NONBLOCK).ok()?;
    tokio::io::unix::AsyncFd::with_interest(fd, tokio::io::Interest::READABLE).ok()
}

/// Reads to the end and keeps the last bytes.
async fn tail(mut from: impl AsyncRead + Unpin) -> String {
    let mut kept = Vec::new();
    let mut chunk = [0; 4096];
    while let Ok(n @ 1..) = from.read(&mut chunk).await {
        kept.extend_from_slice(&chunk[..n]);
        if kept.len() > 2 * STDERR_TAIL {
            kept.drain(..kept.len() - STDERR_TAIL);
        }
    }
    String::from_utf8_lossy(&kept[kept.len().saturating_sub(STDERR_TAIL)..]).into_owned()
}
