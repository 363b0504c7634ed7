//! The one task that owns a running command: its output, its limits, its end.

use std::future::pending;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::{Child, ExitStatus};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use crate::clock::now_us;
use crate::sys::{ExitStatusExt as _, Signal, pipe};
use crate::wire::{Leftover, Limits, RunState};

use super::cgroup::Group;
use super::record::Record;
use super::table::Table;
use super::throttle::Throttle;
use super::tree::{self, Exits, Process};
use super::{Exec, Stop};

/// How often the processes are looked at.
const TICK: Duration = Duration::from_millis(100);
/// How often, at most, the work directory's size is looked at.
const DISK_TICK: Duration = Duration::from_secs(1);
/// How long the last processes have to go by themselves when a command has ended.
const SETTLE: Duration = Duration::from_millis(20);
/// How long a pipe may stay open that no process of the command should hold any more.
const DRAIN: Duration = Duration::from_secs(2);
/// So many levels of directories are counted; no tree that is built has as many, and a walk takes no more than 300.
const DEEPEST: usize = 250;
/// Bytes read from the pipe at once.
const CHUNK: usize = 64 << 10;

/// Waits for a child without taking its exit status before it was looked at.
pub(crate) struct Waiter {
    child: Child,
    exits: Exits,
}

impl Waiter {
    pub(crate) fn new(mut child: Child) -> io::Result<Self> {
        match Exits::of(&child) {
            Ok(exits) => Ok(Self { child, exits }),
            Err(error) => {
                // Nobody would ever end it.
                let _gone = child.kill().and_then(|()| child.wait());
                Err(error)
            }
        }
    }

    pub(crate) fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// Returns when it has exited; it can still be looked at.
    pub(crate) async fn exited(&self) {
        self.exits.wait().await;
    }

    /// Takes its exit status, and its and its waited-for children's processor time in milliseconds.
    pub(crate) fn reap(&mut self) -> io::Result<(ExitStatus, u64)> {
        let cpu = tree::process(self.pid()).map_or(0, |p| p.cpu_ms);
        Ok((self.child.wait()?, cpu))
    }
}

/// What a supervisor works with.
pub(super) struct Supervised {
    pub(super) table: Arc<Table>,
    pub(super) exec: Arc<Exec>,
    pub(super) waiter: Waiter,
    pub(super) group: Option<Group>,
    pub(super) limits: Limits,
    pub(super) workdir: PathBuf,
    pub(super) error_file: PathBuf,
    pub(super) record: Record,
}

/// What was seen while it ran.
#[derive(Default)]
struct Seen {
    max_rss: u64,
    leftovers: Vec<Leftover>,
}

impl Supervised {
    /// Runs until the command and all it started are gone and the output is complete.
    pub(super) async fn run(mut self, output: pipe::Receiver) {
        let mut seen = Seen::default();
        let (draining, drain) = watch::channel(false);
        let mut pump = pin!(pump(
            Arc::clone(&self.exec),
            output,
            self.table.settings.spool_bytes,
            self.limits.log_bytes,
            drain
        ));
        let mut pumped = false;
        let mut disk = pin!(watch_disk(Arc::clone(&self.exec), self.workdir.clone(), self.limits.disk_bytes));
        let mut stops = self.exec.stop.subscribe();
        let mut deadline = self.limits.wall_ms.map(|ms| Instant::now() + Duration::from_millis(ms));
        let mut force: Option<Instant> = None;
        let by_kernel = self.group.as_ref().is_some_and(Group::holds_cpu);
        let mut throttle = self.limits.cpu_millis.filter(|_| !by_kernel).map(Throttle::new);
        let mut looked = Instant::now();
        let mut look = Instant::now() + Duration::from_millis(5);
        // A stop that came before the subscription is seen too.
        stops.mark_changed();
        loop {
            tokio::select! {
                () = self.waiter.exited() => break,
                () = &mut pump, if !pumped => pumped = true,
                () = &mut disk => {}
                changed = stops.changed() => {
                    let stop = stops.borrow_and_update().clone();
                    if let (Ok(()), Some(stop)) = (changed, stop) {
                        if !stop.grace.is_zero() {
                            self.signal(Signal::TERM);
                        }
                        // Whoever is to end must be able to.
                        if throttle.take().is_some_and(|throttle| throttle.holds()) {
                            self.signal(Signal::CONT);
                        }
                        force = Some(Instant::now() + stop.grace);
                    }
                }
                () = at(force) => {
                    self.signal(Signal::KILL);
                    force = Some(Instant::now() + Duration::from_millis(20));
                }
                () = at(deadline) => {
                    deadline = None;
                    self.exec.stop(Stop { cause: "timeout".to_owned(), grace: self.table.settings.grace });
                }
                () = sleep_until(look) => {
                    let members = self.sample(&mut seen);
                    let now = Instant::now();
                    if let Some(throttle) = &mut throttle {
                        self.throttle(throttle, now - looked, &members);
                    }
                    looked = now;
                    look = now + TICK;
                }
            }
        }
        let pid = self.waiter.pid();
        self.sample_peak(&mut seen);
        let breach = self.final_breach().await;
        let finished = self.waiter.reap();
        self.table.forget_main(pid);
        self.settle(pid, &mut seen).await;
        // What is still in the pipe is output, even if that goes beyond the bound.
        draining.send_replace(true);
        if !pumped && tokio::time::timeout(DRAIN, &mut pump).await.is_err() {
            tracing::warn!(id = %self.record.state.id, "somebody outside holds the command's output open");
        }
        self.finish(pid, finished, breach, seen);
    }

    fn members(&self) -> Vec<Process> {
        self.table.members(Some(self.waiter.pid()), &self.record.state.id, self.group.as_ref())
    }

    fn signal(&self, signal: Signal) {
        let members = self.members();
        if signal == Signal::KILL {
            // Stopped first, so that nothing forks away between two signals.
            members.iter().for_each(|p| tree::signal(p.pid, Signal::STOP));
        }
        members.iter().for_each(|p| tree::signal(p.pid, signal));
    }

    /// Stops the processes while they are over their share of processors, and lets them go on after.
    fn throttle(&self, throttle: &mut Throttle, elapsed: Duration, members: &[Process]) {
        let held = throttle.holds();
        if throttle.over(elapsed, members.iter().map(|p| p.cpu_ms).sum()) {
            // Twice: one may have been started by another before that one was stopped. Each look finds the rest.
            self.signal(Signal::STOP);
            self.signal(Signal::STOP);
        } else if held {
            self.signal(Signal::CONT);
        }
    }

    fn sample(&self, seen: &mut Seen) -> Vec<Process> {
        let members = self.members();
        let rss = members.iter().map(|p| p.rss_bytes).sum::<u64>();
        seen.max_rss = seen.max_rss.max(rss);
        let threads = members.iter().map(|p| p.threads).sum::<u64>();
        let over = |used: u64, limit: Option<u64>| limit.is_some_and(|limit| used > limit);
        let breach = match &self.group {
            Some(group) => group.breach(),
            None if over(rss, self.limits.memory_bytes) => Some("memory"),
            None if over(threads, self.limits.processes) => Some("processes"),
            None => None,
        };
        if let Some(kind) = breach {
            self.exec.stop(Stop { cause: format!("limit:{kind}"), grace: Duration::ZERO });
        }
        members
    }

    fn sample_peak(&self, seen: &mut Seen) {
        let peak = self.group.as_ref().and_then(Group::peak).unwrap_or(0);
        seen.max_rss = seen.max_rss.max(peak);
    }

    /// Looks once more at limits that a short command may have hit between two looks.
    async fn final_breach(&self) -> Option<&'static str> {
        if let Some(kind) = self.group.as_ref().and_then(Group::breach) {
            return Some(kind);
        }
        if let (None, Some(most)) = (&self.group, self.limits.processes)
            // A shell that may start no more of them gives up before a watch has seen what it has started.
            && self.members().iter().map(|p| p.threads).sum::<u64>() > most
        {
            return Some("processes");
        }
        let limit = self.limits.disk_bytes?;
        (disk_use(self.workdir.clone()).await? >= limit).then_some("disk")
    }

    /// Gives what is left a moment to go, then ends it and notes it.
    async fn settle(&self, pid: i32, seen: &mut Seen) {
        let id = &self.record.state.id;
        let started = Instant::now();
        let asked = self.exec.stop.borrow().is_some();
        let left = || self.table.members(None, id, self.group.as_ref());
        while !asked && started.elapsed() < SETTLE && !left().is_empty() {
            sleep(Duration::from_millis(2)).await;
        }
        let mut found = Vec::new();
        self.table
            .end_all(
                || {
                    let mut members = self.table.members(None, id, self.group.as_ref());
                    members.retain(|p| p.pid != pid);
                    members
                },
                &mut found,
            )
            .await;
        if !asked {
            seen.leftovers.append(&mut found);
        }
    }

    fn finish(
        self,
        pid: i32,
        finished: io::Result<(ExitStatus, u64)>,
        breach: Option<&'static str>,
        seen: Seen,
    ) {
        let Self { table, exec, group, error_file, mut record, .. } = self;
        drop(group);
        let mut ended_by = exec.stop.borrow().as_ref().map(|stop| stop.cause.clone());
        let state = &mut record.state;
        match finished {
            Ok((status, cpu)) => {
                state.exit_code = status.code();
                state.signal = status.signal();
                state.process_state = process_state(status);
                state.cpu_ms = cpu;
                if ended_by.is_none() {
                    ended_by = breach.map(|kind| format!("limit:{kind}"));
                }
                if ended_by.is_none() && status.signal() == Some(Signal::XFSZ.as_raw()) {
                    ended_by = Some("limit:disk".to_owned());
                }
                if status.code() == Some(crate::sandbox::FAILED)
                    && let Ok(text) = std::fs::read_to_string(&error_file)
                    // It is there and empty where the command became what it should be, and ended so by itself.
                    && !text.is_empty()
                {
                    state.exit_code = None;
                    state.process_state.clone_from(&text);
                    state.start_error = Some(text);
                }
            }
            Err(error) => {
                state.process_state = format!("wait: {error}");
                ended_by.get_or_insert_with(|| "worker:wait".to_owned());
            }
        }
        state.state = RunState::Exited;
        state.ended_us = Some(now_us());
        state.ended_by = ended_by;
        state.leftovers = seen.leftovers;
        state.max_rss_bytes = seen.max_rss;
        (state.output_bytes, state.acked) = exec.spool.extent();
        tracing::info!(id = %state.id, pid, process_state = %state.process_state, ended_by = ?state.ended_by,
            leftovers = state.leftovers.len(), "command ended");
        if let Err(error) = record.store(&exec.dir) {
            // The state is still right in memory; after a restart it would be `agent_restart`.
            tracing::warn!(id = %record.state.id, %error, "the record could not be stored");
        }
        let (written, _) = exec.spool.extent();
        *exec.lock() = record.state;
        exec.progress.send_modify(|p| {
            p.written = written;
            p.exited = true;
        });
        drop(table);
    }
}

/// Moves output from the pipe to the spool until every holder of the pipe has closed it.
async fn pump(
    exec: Arc<Exec>,
    output: pipe::Receiver,
    bound: u64,
    log_limit: Option<u64>,
    mut drain: watch::Receiver<bool>,
) {
    let mut progress = exec.progress.subscribe();
    let mut buffer = vec![0; CHUNK];
    let mut discard = false;
    loop {
        let full = |p: &super::Progress| p.written.saturating_sub(p.acked) >= bound;
        while !discard && !*drain.borrow() && full(&progress.borrow_and_update()) {
            tokio::select! {
                _ = progress.changed() => {}
                _ = drain.changed() => {}
            }
        }
        if output.readable().await.is_err() {
            return;
        }
        let read = match output.try_read(&mut buffer) {
            Ok(0) => return,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(_) => return,
        };
        if discard {
            continue;
        }
        let (written, _) = exec.spool.extent();
        let room = log_limit.map_or(u64::MAX, |limit| limit.saturating_sub(written));
        let keep = usize::try_from(room).unwrap_or(usize::MAX).min(read);
        let stop = match exec.spool.append(buffer.get(..keep).unwrap_or_default()) {
            Err(error) => {
                tracing::error!(%error, "output could not be spooled");
                let full = error.kind() == io::ErrorKind::StorageFull;
                Some(if full { "worker:disk_full" } else { "worker:spool" })
            }
            Ok(()) if keep < read => Some("limit:log"),
            Ok(()) => None,
        };
        let (written, _) = exec.spool.extent();
        exec.progress.send_modify(|p| p.written = written);
        if let Some(cause) = stop {
            discard = true;
            exec.stop(Stop { cause: cause.to_owned(), grace: Duration::ZERO });
        }
    }
}

/// Stops the command once its work directory is too big; never returns.
async fn watch_disk(exec: Arc<Exec>, workdir: PathBuf, limit: Option<u64>) {
    let Some(limit) = limit else { return pending().await };
    let mut pause = DISK_TICK;
    loop {
        sleep(pause).await;
        let started = Instant::now();
        if disk_use(workdir.clone()).await.is_some_and(|used| used > limit) {
            exec.stop(Stop { cause: "limit:disk".to_owned(), grace: Duration::ZERO });
            return pending().await;
        }
        // A big tree must not make us the greatest user of the disk.
        pause = DISK_TICK.max(started.elapsed() * 20);
    }
}

async fn disk_use(workdir: PathBuf) -> Option<u64> {
    let walk = move || {
        let mut bytes = 0_u64;
        crate::walk::walk(&workdir, &mut |entry| {
            bytes += entry.stat.st_blocks.cast_unsigned() * 512;
            if entry.path.iter().filter(|byte| **byte == b'/').count() >= DEEPEST {
                // Whoever goes where nobody counts any more is taken to have used all there is.
                bytes = u64::MAX;
                return Ok(crate::walk::Next::Stop);
            }
            Ok(crate::walk::Next::Enter)
        })
        .ok()
        .map(|()| bytes)
    };
    tokio::task::spawn_blocking(walk).await.ok()?
}

async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => pending().await,
    }
}

/// Writes an exit status as Go does.
pub(crate) fn process_state(status: ExitStatus) -> String {
    const SIGNALS: [&str; 31] = [
        "hangup",
        "interrupt",
        "quit",
        "illegal instruction",
        "trace/breakpoint trap",
        "aborted",
        "bus error",
        "floating point exception",
        "killed",
        "user defined signal 1",
        "segmentation fault",
        "user defined signal 2",
        "broken pipe",
        "alarm clock",
        "terminated",
        "stack fault",
        "child exited",
        "continued",
        "stopped (signal)",
        "stopped",
        "stopped (tty input)",
        "stopped (tty output)",
        "urgent I/O condition",
        "CPU time limit exceeded",
        "file size limit exceeded",
        "virtual timer expired",
        "profiling timer expired",
        "window changed",
        "I/O possible",
        "power failure",
        "bad system call",
    ];
    let core = if status.core_dumped() { " (core dumped)" } else { "" };
    match (status.code(), status.signal()) {
        (Some(0), _) => "ok".to_owned(),
        // Codes of this size are the system's own, which Go writes so.
        (Some(code), _) if cfg!(windows) && code.cast_unsigned() >= 1 << 16 => {
            format!("exit status {code:#x}")
        }
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => {
            let name = usize::try_from(signal - 1).ok().and_then(|index| SIGNALS.get(index));
            match name {
                Some(name) => format!("signal: {name}{core}"),
                None => format!("signal: signal {signal}{core}"),
            }
        }
        (None, None) => "unknown".to_owned(),
    }
}

/// Where the helper of a command leaves the reason why it could not start.
pub(super) fn error_file(dir: &Path) -> PathBuf {
    dir.join("start_error")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_gos() {
        let text = |raw| process_state(ExitStatus::from_raw(raw));
        assert_eq!(text(0), "ok");
        assert_eq!(text(3 << 8), "exit status 3");
        assert_eq!(text(9), "signal: killed");
        assert_eq!(text(6 | 0x80), "signal: aborted (core dumped)");
        assert_eq!(text(34), "signal: signal 34");
    }
}
