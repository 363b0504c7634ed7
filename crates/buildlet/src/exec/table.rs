//! All commands the agent knows, and the processes that belong to them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::task::TaskTracker;

use crate::clock::now_us;
use crate::paths::join_beneath;
use crate::sandbox::{Reexec, Role, Setup};
use crate::sys::{Signal, pipe};
use crate::user::JobUser;
use crate::wire::{ExecBrief, ExecRequest, ExecState, Leftover, Limits, RunState};

use super::cgroup::{Backend, Group};
use super::launch::{Launch, home, job_environment, tmpdir};
use super::record::Record;
use super::spool::Spool;
use super::supervise::{Supervised, Waiter, error_file};
use super::tree::{self, Process};
use super::{Exec, Stop};

/// How far beyond its limit of processes a command's user may go before a watch has seen it.
const AHEAD: u64 = 64;
/// How many commands may be known at once.
const MAX_EXECS: usize = 1000;

/// What never changes while the agent runs.
pub(crate) struct Settings {
    pub(crate) workdir: PathBuf,
    pub(crate) environment: BTreeMap<OsString, OsString>,
    pub(crate) reexec: Reexec,
    pub(crate) limits: Backend,
    pub(crate) namespaces: bool,
    /// Who jobs run as, if not the agent's own user.
    pub(crate) user: Option<Arc<JobUser>>,
    /// Starts the name of every cgroup of this agent.
    pub(crate) cgroup_prefix: String,
    /// Starts the name of every command of this agent that belongs to a connection, in whichever of its processes.
    pub(crate) sessions_prefix: String,
    pub(crate) spool_bytes: u64,
    pub(crate) grace: Duration,
}

/// All commands.
pub(crate) struct Table {
    root: PathBuf,
    pub(crate) settings: Settings,
    execs: Mutex<HashMap<String, Arc<Exec>>>,
    /// First processes of commands: children that somebody waits for.
    mains: Mutex<HashSet<i32>>,
    /// How many commands belong to connections.
    attached: AtomicUsize,
    tasks: TaskTracker,
    /// How many files were named for helpers to say in why they failed.
    error_files: AtomicU64,
}

/// Why a command was not started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error("{0}")]
    Invalid(String),
    #[error("too many commands are known; wipe first")]
    TooMany,
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Table {
    /// Finds the commands of an earlier process of this agent and ends what is left of them.
    pub(crate) async fn open(state_dir: &Path, settings: Settings) -> io::Result<Arc<Self>> {
        let root = state_dir.join("exec");
        std::fs::create_dir_all(&root)?;
        let mut execs = HashMap::new();
        let mut orphans = HashSet::new();
        let mut firsts = Vec::new();
        for entry in std::fs::read_dir(&root)? {
            let dir = entry?.path();
            let mut record = match Record::load(&dir) {
                Ok(record) => record,
                Err(error) => {
                    tracing::warn!(dir = %dir.display(), %error, "unreadable record of a command is removed");
                    std::fs::remove_dir_all(&dir)?;
                    continue;
                }
            };
            let spool = Spool::reopen(&dir)?;
            (record.state.output_bytes, record.state.acked) = spool.extent();
            if record.state.state == RunState::Running {
                record.state.state = RunState::Exited;
                record.state.ended_us = Some(now_us());
                record.state.ended_by = Some("agent_restart".to_owned());
                orphans.insert(record.state.id.clone());
                if record.boot == tree::boot_id() {
                    firsts.extend(record.pid.zip(record.start));
                }
                record.store(&dir)?;
            }
            execs.insert(record.state.id.clone(), Arc::new(Exec::new(dir, spool, record.state)));
        }
        let table = Arc::new(Self {
            root,
            settings,
            execs: Mutex::new(execs),
            mains: Mutex::new(HashSet::new()),
            attached: AtomicUsize::new(0),
            tasks: TaskTracker::new(),
            error_files: AtomicU64::new(0),
        });
        table.end_survivors(&orphans, &firsts).await;
        Ok(table)
    }

    async fn end_survivors(&self, ids: &HashSet<String>, firsts: &[(i32, u64)]) {
        let mut ended = Vec::new();
        // Of what belonged to connections there is no record; it has no business without them.
        let sessions = &self.settings.sessions_prefix;
        let survivors = || {
            let mut found = tree::marked(|id| ids.contains(id) || id.starts_with(sessions));
            for &(pid, start) in firsts {
                if let Some(first) = tree::process(pid).filter(|p| p.start == start && !p.zombie) {
                    found.push(first);
                    found.extend(tree::descendants(pid).into_iter().filter(|p| !p.zombie));
                }
            }
            found
        };
        let all_gone = self.end_all(survivors, &mut ended).await;
        if ids.is_empty() && ended.is_empty() {
            return;
        }
        tracing::warn!(
            commands = ids.len(),
            processes = ended.len(),
            all_gone,
            "ended what an earlier agent left"
        );
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Exec>>> {
        self.execs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn mains(&self) -> MutexGuard<'_, HashSet<i32>> {
        self.mains.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a command.
    pub(crate) fn get(&self, id: &str) -> Option<Arc<Exec>> {
        self.lock().get(id).cloned()
    }

    /// Returns all commands, by id.
    pub(crate) fn list(&self) -> Vec<ExecBrief> {
        let mut list: Vec<ExecBrief> =
            self.lock().values().map(|e| e.state()).map(|s| ExecBrief { id: s.id, state: s.state }).collect();
        list.sort_by(|a, b| a.id.cmp(&b.id));
        list
    }

    fn running(&self) -> usize {
        let own = self.lock().values().filter(|e| !e.progress.borrow().exited).count();
        own + self.attached.load(Ordering::Relaxed)
    }

    /// The number of commands that belong to connections.
    #[cfg(feature = "ssh")]
    pub(super) fn attached(&self) -> &AtomicUsize {
        &self.attached
    }

    /// Notes a child that somebody waits for, so that it is nobody's leftover.
    pub(crate) fn add_main(&self, pid: i32) {
        self.mains().insert(pid);
    }

    /// Notes that a child was waited for.
    pub(crate) fn forget_main(&self, pid: i32) {
        self.mains().remove(&pid);
    }

    /// Starts a command, or returns the one of this id.
    pub(crate) fn start(self: &Arc<Self>, request: ExecRequest) -> Result<Arc<Exec>, StartError> {
        let mut execs = self.lock();
        if let Some(known) = execs.get(&request.id) {
            return Ok(Arc::clone(known));
        }
        if execs.len() >= MAX_EXECS {
            return Err(StartError::TooMany);
        }
        let exec = self.launch(request)?;
        execs.insert(exec.state().id, Arc::clone(&exec));
        Ok(exec)
    }

    fn launch(self: &Arc<Self>, request: ExecRequest) -> Result<Arc<Exec>, StartError> {
        validate(&request)?;
        let settings = &self.settings;
        let run_in = match request.dir.as_str() {
            "" => settings.workdir.clone(),
            dir => join_beneath(&settings.workdir, dir).ok_or_else(|| {
                StartError::Invalid(format!("dir {dir:?} is not beneath the work directory"))
            })?,
        };
        self.make_places()?;
        let dir = self.root.join(&request.id);
        std::fs::create_dir(&dir)?;
        let state = ExecState { id: request.id.clone(), started_us: now_us(), ..ExecState::default() };
        let mut record = Record { state, boot: tree::boot_id(), pid: None, start: None, stored: 0 };
        let started = record.store(&dir).and_then(|()| self.spawn(&request, &dir, run_in));
        match started {
            Ok((waiter, output, group)) => {
                self.add_main(waiter.pid());
                record.pid = Some(waiter.pid());
                record.start = tree::process(waiter.pid()).map(|p| p.start);
                if let Err(error) = record.store(&dir) {
                    // The marker in its environment still finds it after a restart.
                    tracing::warn!(id = %request.id, %error, "the record could not be stored");
                }
                let exec = Arc::new(Exec::new(dir.clone(), Spool::create(&dir), record.state.clone()));
                let supervised = Supervised {
                    table: Arc::clone(self),
                    exec: Arc::clone(&exec),
                    waiter,
                    group,
                    limits: request.limits,
                    workdir: settings.workdir.clone(),
                    error_file: error_file(&dir),
                    record,
                };
                self.tasks.spawn(supervised.run(output));
                tracing::info!(id = %request.id, argv = ?request.argv.first(), "command started");
                Ok(exec)
            }
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                std::fs::remove_dir_all(&dir)?;
                Err(error.into())
            }
            Err(error) => {
                let text = format!("chdir {}: {error}", request.dir);
                record.state.state = RunState::Exited;
                record.state.ended_us = Some(now_us());
                record.state.process_state.clone_from(&text);
                record.state.start_error = Some(text);
                record.store(&dir)?;
                Ok(Arc::new(Exec::new(dir.clone(), Spool::create(&dir), record.state)))
            }
        }
    }

    /// Names a file in which the helper of a command without a directory of its own says why it could not start.
    pub(crate) fn error_file(&self) -> PathBuf {
        let number = self.error_files.fetch_add(1, Ordering::Relaxed);
        self.root.with_file_name(format!("start_error-{number}"))
    }

    /// Makes the directories that every job has, as a job makes its own.
    pub(crate) fn make_places(&self) -> io::Result<()> {
        let Settings { workdir, user, .. } = &self.settings;
        let _rights = crate::user::of(user.as_deref())?;
        for dir in [workdir, &home(workdir), &tmpdir(workdir)] {
            std::fs::create_dir_all(dir)?;
        }
        Ok(())
    }

    fn spawn(
        &self,
        request: &ExecRequest,
        dir: &Path,
        run_in: PathBuf,
    ) -> io::Result<(Waiter, pipe::Receiver, Option<Group>)> {
        let settings = &self.settings;
        let Limits { memory_bytes, processes, cpu_millis, .. } = request.limits;
        let limited = memory_bytes.or(processes).or(cpu_millis).is_some();
        let group = if limited || settings.limits.for_all() {
            settings.limits.make(&format!("{}{}", settings.cgroup_prefix, request.id), &request.limits)?
        } else {
            None
        };
        let launch = Launch {
            reexec: &settings.reexec,
            setup: Setup {
                namespaces: settings.namespaces,
                cgroups: group.as_ref().map(Group::joins).unwrap_or_default(),
                file_size: request.limits.disk_bytes,
                // The groups hold it where there are some. Elsewhere a watch does, and this what is quicker than the watch.
                processes: match (&group, &settings.user) {
                    (None, Some(_)) => processes.map(|most| most.saturating_add(AHEAD)),
                    _ => None,
                },
                user: settings.user.clone(),
                dir: None,
                error_file: Some(error_file(dir)),
                terminal: false,
            },
            role: Role::Command,
            argv: request.argv.iter().map(OsString::from).collect(),
            env: job_environment(
                &settings.environment,
                &settings.workdir,
                Some(&request.id),
                &request.env_pass,
                &request.env,
            ),
            dir: run_in,
        };
        let (child, output) = launch.spawn()?;
        // A child without a waiter would never end, so that comes first.
        Ok((Waiter::new(child)?, pipe::receiver(output)?, group))
    }

    /// Returns the living processes of a command: its tree, its orphans, whoever is in its group.
    ///
    /// Dead orphans are reaped on the way. An orphan that hides its marker and left the session is counted to
    /// the only command that runs.
    pub(crate) fn members(&self, main: Option<i32>, id: &str, group: Option<&Group>) -> Vec<Process> {
        let me = std::process::id().cast_signed();
        let mains = self.mains().clone();
        let alone = self.running() <= 1;
        let mut mine: HashSet<i32> = HashSet::new();
        let mut found = Vec::new();
        for process in tree::descendants(me) {
            let belongs = if process.parent != me {
                mine.contains(&process.parent)
            } else if mains.contains(&process.pid) {
                Some(process.pid) == main
            } else if process.zombie {
                tree::reap(process.pid);
                continue;
            } else {
                Some(process.session) == main
                    || match tree::marker(process.pid) {
                        Some(marker) => marker == id,
                        None => alone,
                    }
            };
            if belongs {
                mine.insert(process.pid);
                if !process.zombie {
                    found.push(process);
                }
            }
        }
        if let Some(group) = group {
            let more = group.pids().into_iter().filter(|pid| !mine.contains(pid)).filter_map(tree::process);
            found.extend(more.filter(|p| !p.zombie));
        }
        found
    }

    /// Returns every living process beneath the agent, and every one of the job's user.
    pub(crate) fn everything(&self) -> Vec<Process> {
        let me = std::process::id().cast_signed();
        let mains = self.mains().clone();
        let mut found = Vec::new();
        for process in tree::descendants(me) {
            if !process.zombie {
                found.push(process);
            } else if process.parent == me && !mains.contains(&process.pid) {
                tree::reap(process.pid);
            }
        }
        if let Some(user) = &self.settings.user {
            let known: HashSet<i32> = found.iter().map(|process| process.pid).collect();
            found.extend(tree::of_user(user.uid).into_iter().filter(|process| !known.contains(&process.pid)));
        }
        found
    }

    /// Kills what the function finds until it finds nothing, for 5 s at most; says whether nothing is left.
    pub(crate) async fn end_all(&self, find: impl Fn() -> Vec<Process>, ended: &mut Vec<Leftover>) -> bool {
        for round in 0..500_u32 {
            let found = find();
            if found.is_empty() {
                return true;
            }
            for process in &found {
                let pid = process.pid.cast_unsigned();
                if ended.len() < 100 && !ended.iter().any(|known| known.pid == pid) {
                    ended.push(Leftover { pid, cmd: tree::command_line(process.pid) });
                }
            }
            if round > 0 {
                // Something forks faster than we kill: stop all of it first.
                found.iter().for_each(|p| tree::signal(p.pid, Signal::STOP));
            }
            found.iter().for_each(|p| tree::signal(p.pid, Signal::KILL));
            tree::gone(&found, Duration::from_millis(if round < 50 { 2 } else { 10 })).await;
        }
        false
    }

    /// Ends every command.
    pub(crate) async fn end_commands(&self, cause: &str) {
        let execs: Vec<Arc<Exec>> = self.lock().values().cloned().collect();
        for exec in &execs {
            if !exec.progress.borrow().exited {
                exec.stop(Stop { cause: cause.to_owned(), grace: Duration::ZERO });
            }
        }
        for exec in execs {
            exec.ended().await;
        }
    }

    /// Forgets every command with its output; they must have ended.
    pub(crate) fn forget_commands(&self) -> io::Result<()> {
        let mut execs = self.lock();
        // A file that is open keeps its directory on some systems. What is left by a failure goes with the next call.
        execs.clear();
        for entry in std::fs::read_dir(&self.root)? {
            match std::fs::remove_dir_all(entry?.path()) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

fn validate(request: &ExecRequest) -> Result<(), StartError> {
    let id = &request.id;
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    if id.is_empty() || id.len() > 64 || id.starts_with('.') || !id.bytes().all(plain) {
        return Err(StartError::Invalid(format!("id {id:?}: 1 to 64 of [A-Za-z0-9._-], no dot in front")));
    }
    match request.argv.first() {
        None => Err(StartError::Invalid("argv is empty".to_owned())),
        Some(program) if program.is_empty() => Err(StartError::Invalid("argv[0] is empty".to_owned())),
        Some(_) if request.argv.iter().any(|arg| arg.contains('\0')) => {
            Err(StartError::Invalid("argv holds a NUL".to_owned()))
        }
        Some(_) => Ok(()),
    }
}
