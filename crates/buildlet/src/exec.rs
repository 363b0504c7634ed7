//! Commands that belong to the agent and not to a connection.

#[cfg(feature = "ssh")]
mod attached;
#[cfg_attr(windows, path = "exec/job.rs")]
pub(crate) mod cgroup;
mod launch;
mod record;
pub(crate) mod spool;
mod supervise;
mod table;
mod throttle;
pub(crate) mod tree;

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::wire::{ExecState, Limits, RunState};

#[cfg(feature = "ssh")]
pub(crate) use attached::{Attached, Streams, TerminalEnd, Wanted};
pub(crate) use launch::{Launch, home, job_environment, tmpdir};
pub(crate) use supervise::{Waiter, process_state};
pub(crate) use table::{Settings, StartError, Table};

/// Limits of every kind, to try whether they can be set.
pub(crate) fn to_try() -> Limits {
    let (memory_bytes, processes, cpu_millis) = (Some(1 << 30), Some(100), Some(1000));
    Limits { memory_bytes, processes, cpu_millis, ..Limits::default() }
}

/// One command, running or ended.
pub(crate) struct Exec {
    pub(crate) dir: PathBuf,
    pub(crate) spool: spool::Spool,
    state: Mutex<ExecState>,
    /// Readers wait on this: bytes written and acknowledged, and whether the output is final.
    pub(crate) progress: watch::Sender<Progress>,
    /// What it was told to do.
    stop: watch::Sender<Option<Stop>>,
}

/// What readers wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Progress {
    pub(crate) written: u64,
    pub(crate) acked: u64,
    pub(crate) exited: bool,
}

/// An order to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stop {
    /// Becomes `ended_by`.
    pub(crate) cause: String,
    /// Time between asking and forcing.
    pub(crate) grace: Duration,
}

impl Exec {
    fn new(dir: PathBuf, spool: spool::Spool, state: ExecState) -> Self {
        let (written, acked) = spool.extent();
        let exited = state.state == RunState::Exited;
        let (progress, _) = watch::channel(Progress { written, acked, exited });
        let (stop, _) = watch::channel(None);
        Self { dir, spool, state: Mutex::new(state), progress, stop }
    }

    fn lock(&self) -> MutexGuard<'_, ExecState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns what is known of it now.
    pub(crate) fn state(&self) -> ExecState {
        let mut state = self.lock().clone();
        (state.output_bytes, state.acked) = self.spool.extent();
        state
    }

    /// Orders it to end; the first cause stays.
    pub(crate) fn stop(&self, stop: Stop) {
        self.stop.send_if_modified(|current| {
            let first = current.is_none();
            if first {
                *current = Some(stop);
            } else if let Some(current) = current
                && stop.grace < current.grace
            {
                current.grace = stop.grace;
                return true;
            }
            first
        });
    }

    /// Waits until it has ended.
    pub(crate) async fn ended(&self) {
        let mut progress = self.progress.subscribe();
        // The sender lives as long as `self`.
        let _exited = progress.wait_for(|p| p.exited).await;
    }

    /// Frees output.
    pub(crate) fn ack(&self, upto: u64) -> Result<u64, spool::ReadError> {
        let acked = self.spool.ack(upto)?;
        self.progress.send_modify(|p| p.acked = acked);
        Ok(acked)
    }
}
