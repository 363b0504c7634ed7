//! A command that somebody sits in front of: it has their streams, and ends with their connection.
//!
//! It starts through the same helper as any other, and its processes are found in the same way: whatever left its tree, its
//! session or its terminal ends with it all the same.

#[cfg_attr(unix, path = "attached/unix.rs")]
#[cfg_attr(windows, path = "attached/windows.rs")]
mod system;

use std::ffi::OsString;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::timeout;

use crate::sandbox::{Role, Setup};
use crate::sys::{Signal, pipe};
use crate::wire::Limits;

use super::cgroup;
use super::launch::{Launch, job_environment};
use super::supervise::Waiter;
use super::table::Table;

pub(crate) use system::TerminalEnd;

/// A killed process is gone within this time, or the kernel holds it.
const GONE: Duration = Duration::from_secs(5);

/// What is to run.
pub(crate) struct Wanted {
    /// Its name for as long as it runs, by which its processes are found.
    pub(crate) id: String,
    /// What it is.
    pub(crate) role: Role,
    /// The program and its arguments.
    pub(crate) argv: Vec<OsString>,
    /// Variables beside those that every job has.
    pub(crate) env: Vec<(String, String)>,
    /// The terminal it runs on, if it is to have one.
    pub(crate) terminal: Option<TerminalEnd>,
}

/// Our ends of a command's pipes.
pub(crate) struct Streams {
    pub(crate) stdin: pipe::Sender,
    pub(crate) stdout: pipe::Receiver,
    pub(crate) stderr: pipe::Receiver,
}

/// A command that runs until it ends or is ended.
pub(crate) struct Attached {
    table: Arc<Table>,
    id: String,
    waiter: Waiter,
    /// What holds its processes together, where every command has that.
    group: Option<cgroup::Group>,
}

impl Attached {
    /// Starts it in the work directory; without a terminal, its streams are returned.
    pub(crate) fn start(table: &Arc<Table>, wanted: Wanted) -> io::Result<(Self, Option<Streams>)> {
        let settings = &table.settings;
        let workdir = &settings.workdir;
        table.make_places()?;
        if let (Some(user), Some(terminal)) = (&settings.user, &wanted.terminal) {
            system::give(terminal, user)?;
        }
        let group = if settings.limits.for_all() {
            settings.limits.make(&format!("{}{}", settings.cgroup_prefix, wanted.id), &Limits::default())?
        } else {
            None
        };
        let launch = Launch {
            reexec: &settings.reexec,
            setup: Setup {
                namespaces: settings.namespaces,
                cgroups: group.as_ref().map(cgroup::Group::joins).unwrap_or_default(),
                terminal: wanted.terminal.is_some(),
                user: settings.user.clone(),
                ..Setup::default()
            },
            role: wanted.role,
            argv: wanted.argv,
            env: job_environment(&settings.environment, workdir, Some(&wanted.id), &[], &wanted.env),
            dir: workdir.clone(),
        };
        let (child, streams) = match wanted.terminal {
            Some(terminal) => {
                let [stdin, stdout, stderr] = system::streams(terminal)?;
                (launch.spawn_on(stdin, stdout, stderr)?, None)
            }
            None => {
                let (theirs_in, stdin) = io::pipe()?;
                let (stdout, theirs_out) = io::pipe()?;
                let (stderr, theirs_err) = io::pipe()?;
                let streams = Streams {
                    stdin: pipe::sender(stdin)?,
                    stdout: pipe::receiver(stdout)?,
                    stderr: pipe::receiver(stderr)?,
                };
                let theirs = [theirs_in.into(), theirs_out.into(), theirs_err.into()];
                let [stdin, stdout, stderr]: [Stdio; 3] = theirs;
                (launch.spawn_on(stdin, stdout, stderr)?, Some(streams))
            }
        };
        // A child without a waiter would never end, so that comes first.
        let waiter = Waiter::new(child)?;
        table.add_main(waiter.pid());
        table.attached().fetch_add(1, Ordering::Relaxed);
        Ok((Self { table: Arc::clone(table), id: wanted.id, waiter, group }, streams))
    }

    /// Returns when its first process has exited.
    pub(crate) async fn exited(&self) {
        self.waiter.exited().await;
    }

    /// Sends a signal to a group of its processes, its own by default.
    pub(crate) fn signal(&self, group: Option<system::Group>, signal: Signal) {
        system::signal(self.waiter.pid(), group, signal);
    }

    /// Ends all of it, and returns how its first process ended, if the system lets it end.
    pub(crate) async fn end(mut self) -> Option<ExitStatus> {
        let mut ended = Vec::new();
        let members = || self.table.members(Some(self.waiter.pid()), &self.id, self.group.as_ref());
        if !self.table.end_all(members, &mut ended).await {
            tracing::error!(id = %self.id, "some processes of a session do not end");
        }
        // Waiting for it would stop everything if it were not dead.
        if timeout(GONE, self.waiter.exited()).await.is_err() {
            return None;
        }
        match self.waiter.reap() {
            Ok((status, _)) => Some(status),
            Err(error) => {
                tracing::warn!(id = %self.id, %error, "how a session ended is not known");
                None
            }
        }
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        self.table.forget_main(self.waiter.pid());
        self.table.attached().fetch_sub(1, Ordering::Relaxed);
    }
}
