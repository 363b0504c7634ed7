//! The local pool: real buildlet processes on this machine, each in a session of its own, on a Unix socket.
//!
//! They outlive the coordinator. What is needed to find them again lies beside each in `worker.json`, written before the
//! process counts as ready; a process is known by its pid and start time, so that a reused pid is never mistaken.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use buildlet_client::BuildletClient;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use store::WorkerId;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use super::{Address, Answer, Ask, Machine, Pool, PoolError, PoolEvent};

/// How long a new buildlet may take to answer.
const START: Duration = Duration::from_secs(20);
/// How often an adopted process is looked at.
const WATCH: Duration = Duration::from_millis(500);
/// The longest path that a Unix socket can have, with room for its end.
const MAX_SOCKET: usize = 100;

/// What a local pool needs.
#[derive(Debug, Clone)]
pub struct LocalPoolConfig {
    /// Where each worker has its directory.
    pub dir: PathBuf,
    /// A directory with a short path, for sockets; made with mode 0700.
    pub sockets: PathBuf,
    /// The program, and the arguments before the buildlet's own: `bellwether buildlet`.
    pub command: Vec<String>,
    /// The environment of the buildlets: what jobs may be passed, and nothing else.
    pub env: BTreeMap<String, String>,
    /// After how long without contact a buildlet ends itself.
    pub idle_exit: Duration,
    /// The public half of the key that orders are signed with.
    pub order_key: String,
    /// What separates a host's jobs from this machine, by the host's name.
    pub confined: Confined,
}

/// Says of a host whether its workers are confined, and how. Asked for each worker that is made.
#[derive(Clone)]
pub struct Confined(Arc<OfHost>);

type OfHost = dyn Fn(&str) -> Option<Confinement> + Send + Sync;

impl Confined {
    /// Asks this function.
    pub fn by(of: impl Fn(&str) -> Option<Confinement> + Send + Sync + 'static) -> Self {
        Self(Arc::new(of))
    }

    /// No host's workers are.
    pub fn none() -> Self {
        Self::by(|_| None)
    }
}

impl std::fmt::Debug for Confined {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Confined")
    }
}

/// How workers are confined (docs/BUILDLET.md, "Isolation").
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Confinement {
    /// What their jobs see beside the system's directories and those of PATH, and can't write.
    pub show: Vec<PathBuf>,
    /// What they don't see, whatever it lies in.
    pub hide: Vec<PathBuf>,
    /// Variables of the environment that lead to what they don't see.
    pub without: Vec<String>,
    /// Whether each is ended after one piece of work: nothing of what a stranger ran is near what the next one runs.
    pub once: bool,
}

/// The first number for users of confined workers, if we are root: beyond what systems and containers give away.
const FIRST_USER: u32 = 2_000_000_000;
/// So many numbers are there.
const USERS: u32 = 1 << 26;

/// What is kept beside a worker.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Kept {
    host: String,
    pid: i32,
    /// Field 22 of `/proc/PID/stat`: clock ticks from boot to the start of the process.
    started: u64,
    socket: PathBuf,
    /// How it holds limits, as it says itself.
    #[serde(default)]
    limits: String,
    /// Whose orders it obeys. A worker of a version that did not write it down has nothing here.
    #[serde(default)]
    order_key: Option<String>,
}

/// The local pool. Dropped, it leaves its buildlets running.
pub struct LocalPool {
    inner: Arc<Inner>,
    events: Mutex<Option<mpsc::Receiver<PoolEvent>>>,
}

struct Inner {
    config: LocalPoolConfig,
    sender: mpsc::Sender<PoolEvent>,
    /// Workers that a task is watching.
    watched: Mutex<BTreeMap<WorkerId, String>>,
    tasks: TaskTracker,
}

impl LocalPool {
    /// Opens the pool; what runs from before is found by [`Ask::List`].
    ///
    /// # Errors
    /// If its directories can't be made.
    pub fn open(config: LocalPoolConfig) -> io::Result<LocalPool> {
        std::fs::create_dir_all(&config.dir)?;
        private_dir(&config.sockets)?;
        let (sender, receiver) = mpsc::channel(256);
        let inner = Inner { config, sender, watched: Mutex::default(), tasks: TaskTracker::new() };
        Ok(LocalPool { inner: Arc::new(inner), events: Mutex::new(Some(receiver)) })
    }
}

impl Pool for LocalPool {
    fn name(&self) -> &str {
        "local"
    }

    fn events(&self) -> Option<mpsc::Receiver<PoolEvent>> {
        self.events.lock().ok()?.take()
    }

    fn once(&self, host: &str) -> bool {
        (self.inner.config.confined.0)(host).is_some_and(|confinement| confinement.once)
    }

    fn ask(&self, ask: Ask) -> BoxFuture<'_, Result<Answer, PoolError>> {
        Box::pin(async move {
            match ask {
                Ask::Create { name, host } => {
                    if self.inner.watch(name, &host) {
                        let inner = Arc::clone(&self.inner);
                        self.inner.tasks.spawn(async move { inner.create(name, host).await });
                    }
                    Ok(Answer::Accepted)
                }
                Ask::List { .. } => Ok(Answer::Machines { machines: self.inner.list() }),
                Ask::Delete { name } => {
                    let inner = Arc::clone(&self.inner);
                    self.inner.tasks.spawn(async move { inner.delete(name).await });
                    Ok(Answer::Accepted)
                }
            }
        })
    }
}

impl Inner {
    fn folder(&self, name: WorkerId) -> PathBuf {
        self.config.dir.join(name.to_string())
    }

    /// Marks a worker as watched; false if it was.
    fn watch(&self, name: WorkerId, host: &str) -> bool {
        let Ok(mut watched) = self.watched.lock() else { return false };
        watched.insert(name, host.to_owned()).is_none()
    }

    fn unwatch(&self, name: WorkerId) {
        if let Ok(mut watched) = self.watched.lock() {
            watched.remove(&name);
        }
    }

    async fn tell(&self, event: PoolEvent) {
        // Nobody listens any more: the coordinator is going down, and will find the workers by their files.
        let _ = self.sender.send(event).await;
    }

    async fn create(self: Arc<Self>, name: WorkerId, host: String) {
        match self.start(name, &host).await {
            Ok((mut child, machine)) => {
                self.tell(PoolEvent::Ready { machine }).await;
                let reason = match child.wait().await {
                    Ok(status) => format!("the buildlet ended: {status}"),
                    Err(error) => format!("the buildlet can't be watched: {error}"),
                };
                self.bury(name, reason).await;
            }
            Err(error) => {
                self.unwatch(name);
                let error =
                    PoolError::Unavailable { message: format!("no buildlet could be started: {error}") };
                self.tell(PoolEvent::Failed { name, host, error }).await;
            }
        }
    }

    /// Starts a buildlet. Where that fails, nothing is left of it: no directory, and no process that nobody knows of.
    async fn start(&self, name: WorkerId, host: &str) -> io::Result<(Child, Machine)> {
        let folder = self.folder(name);
        let started = match self.spawn(name, host) {
            Ok(mut child) => match self.ready(name, host, &mut child).await {
                Ok(machine) => Ok((child, machine)),
                Err(error) => {
                    // It may have ended by itself.
                    let _ = child.kill().await;
                    Err(error)
                }
            },
            Err(error) => Err(error),
        };
        if started.is_err() {
            for confined in [false, true] {
                remove_socket(&self.socket(name, confined));
            }
            let _ = std::fs::remove_dir_all(&folder);
        }
        started
    }

    fn spawn(&self, name: WorkerId, host: &str) -> io::Result<Child> {
        let folder = self.folder(name);
        std::fs::create_dir_all(folder.join("work"))?;
        let confinement = (self.config.confined.0)(host);
        let socket = self.socket(name, confinement.is_some());
        if let Some(parent) = socket.parent() {
            private_dir(parent)?;
        }
        let log = std::fs::File::options().create(true).append(true).open(folder.join("buildlet.log"))?;
        let (program, first) =
            self.config.command.split_first().ok_or_else(|| io::Error::other("no command"))?;
        let mut command = Command::new(program);
        command
            .args(first)
            .arg("--listen")
            .arg(format!("unix:{}", socket.display()))
            .arg("--workdir")
            .arg(folder.join("work"))
            .arg("--state-dir")
            .arg(folder.join("state"))
            .arg("--idle-exit")
            .arg(format!("{}s", self.config.idle_exit.as_secs()))
            .arg("--order-key")
            .arg(&self.config.order_key)
            .arg("--order-machine")
            .arg(name.to_string())
            // It does so first of all; it could not if we made it the leader of a process group.
            .arg("--own-session")
            .env_clear()
            .envs(&self.config.env)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        if let Some(Confinement { show, hide, without, .. }) = confinement {
            command.arg("--confine").arg(folder.join("confined"));
            for (flag, paths) in [("--confine-show", show), ("--confine-hide", hide)] {
                for path in paths {
                    command.arg(flag).arg(path);
                }
            }
            for name in without {
                command.env_remove(name);
            }
            if rustix::process::geteuid().is_root() {
                command.arg("--confine-as").arg(user(name).to_string());
            }
        }
        command.spawn()
    }

    /// Writes down what is needed to find the buildlet again, and waits until it answers.
    async fn ready(&self, name: WorkerId, host: &str, child: &mut Child) -> io::Result<Machine> {
        let folder = self.folder(name);
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).unwrap_or(0);
        let started = start_time(pid).unwrap_or(0);
        let mut kept = Kept {
            host: host.to_owned(),
            pid,
            started,
            socket: self.socket(name, (self.config.confined.0)(host).is_some()),
            limits: String::new(),
            order_key: Some(self.config.order_key.clone()),
        };
        let keep = |kept: &Kept| {
            let text = serde_json::to_vec(kept).map_err(io::Error::other)?;
            // Whole or not at all: without it a live worker is taken for a dead one.
            std::fs::write(folder.join("worker.json.new"), text)?;
            std::fs::rename(folder.join("worker.json.new"), folder.join("worker.json"))
        };
        keep(&kept)?;
        tokio::select! {
            answered = answers(&kept.socket) => kept.limits = answered?,
            status = child.wait() => {
                let log = std::fs::read_to_string(folder.join("buildlet.log")).unwrap_or_default();
                let last = log.lines().last().map_or_else(|| no_word(&folder), str::to_owned);
                return Err(io::Error::other(format!("it ended at once ({}): {last}", status?)));
            }
        }
        if let Err(error) = keep(&kept) {
            // What stands there already is enough to find it again.
            tracing::debug!(worker = %name, %error, "how it holds limits is not written down");
        }
        Ok(machine(name, &kept))
    }

    /// Where a worker listens. One that is confined has a directory for it, which is all that it sees of this place.
    fn socket(&self, name: WorkerId, confined: bool) -> PathBuf {
        let path = if confined { "door/socket" } else { "socket" };
        let path = self.folder(name).join(path);
        if path.as_os_str().len() <= MAX_SOCKET {
            return path;
        }
        // The last half of the id is its random part.
        let id = name.to_string();
        let short = self.config.sockets.join(&id[id.len() - 12..]);
        if confined { short.join("s") } else { short }
    }

    /// Whether a worker would start what this server orders. It has the key from its command line, for as long as it lives.
    fn obeys_us(&self, kept: &Kept) -> bool {
        kept.order_key.as_ref().is_none_or(|key| *key == self.config.order_key)
    }

    /// All workers that are alive; those from before are watched from now on, and what is left of dead ones, and of those that
    /// obey another, is removed.
    fn list(self: &Arc<Self>) -> Vec<Machine> {
        let mut machines = Vec::new();
        let entries = std::fs::read_dir(&self.config.dir).into_iter().flatten().flatten();
        for entry in entries {
            let Some(name) = entry.file_name().to_str().and_then(|name| name.parse::<WorkerId>().ok()) else {
                continue;
            };
            match kept(&entry.path()) {
                Some(kept) if alive(&kept) && self.obeys_us(&kept) => {
                    if self.watch(name, &kept.host) {
                        let inner = Arc::clone(self);
                        let kept = kept.clone();
                        self.tasks.spawn(async move { inner.adopted(name, kept).await });
                    }
                    machines.push(machine(name, &kept));
                }
                _ => {
                    let starting = self.watched.lock().is_ok_and(|watched| watched.contains_key(&name));
                    if !starting {
                        if let Some(other) = kept(&entry.path()).filter(alive) {
                            tracing::warn!(worker = %name, "a worker that obeys another order-key is ended");
                            signal(&other, rustix::process::Signal::KILL);
                        }
                        end_strays(&entry.path());
                        let _ = std::fs::remove_dir_all(entry.path());
                    }
                }
            }
        }
        machines
    }

    /// Watches a process that is not our child.
    async fn adopted(self: Arc<Self>, name: WorkerId, kept: Kept) {
        while alive(&kept) {
            tokio::time::sleep(WATCH).await;
        }
        self.bury(name, "the buildlet ended".into()).await;
    }

    /// A worker is dead: ends what its jobs left, frees its disk, and tells.
    async fn bury(&self, name: WorkerId, reason: String) {
        let folder = self.folder(name);
        let socket = kept(&folder).map(|kept| kept.socket);
        let task = tokio::task::spawn_blocking(move || {
            end_strays(&folder);
            if let Some(socket) = socket {
                remove_socket(&socket);
            }
            std::fs::remove_dir_all(&folder)
        });
        if let Ok(Err(error)) = task.await {
            tracing::warn!(worker = %name, %error, "a dead worker's directory can't be removed");
        }
        self.unwatch(name);
        self.tell(PoolEvent::Gone { name, reason }).await;
    }

    async fn delete(&self, name: WorkerId) {
        let Some(kept) = kept(&self.folder(name)) else { return };
        signal(&kept, rustix::process::Signal::TERM);
        for _ in 0..60 {
            if !alive(&kept) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        signal(&kept, rustix::process::Signal::KILL);
    }
}

/// Removes a worker's socket, and the directory that a confined one has for it.
fn remove_socket(socket: &Path) {
    let _ = std::fs::remove_file(socket);
    if socket.ends_with("s")
        && let Some(dir) = socket.parent()
    {
        let _ = std::fs::remove_dir(dir);
    }
}

/// The number of a confined worker's user: of the random part of its name, so that no two that live have the same.
fn user(name: WorkerId) -> u32 {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    name.to_string().hash(&mut hasher);
    FIRST_USER + (hasher.finish() % u64::from(USERS)) as u32
}

fn machine(name: WorkerId, kept: &Kept) -> Machine {
    Machine {
        name,
        host: kept.host.clone(),
        address: Some(Address::Unix { path: kept.socket.to_string_lossy().into_owned() }),
        detail: match kept.limits.as_str() {
            "" => format!("pid {}", kept.pid),
            "watch" => format!("pid {}, limits held by watching", kept.pid),
            how => format!("pid {}, limits held by {how}", kept.pid),
        },
    }
}

fn kept(folder: &Path) -> Option<Kept> {
    serde_json::from_slice(&std::fs::read(folder.join("worker.json")).ok()?).ok()
}

fn alive(kept: &Kept) -> bool {
    kept.pid > 0 && start_time(kept.pid) == Some(kept.started)
}

fn signal(kept: &Kept, signal: rustix::process::Signal) {
    if !alive(kept) {
        return;
    }
    if let Some(pid) = rustix::process::Pid::from_raw(kept.pid) {
        let _ = rustix::process::kill_process(pid, signal);
    }
}

/// The start time of a process that is not a zombie.
fn start_time(pid: i32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the command's name in parentheses and may hold anything.
    let mut fields = stat[stat.rfind(')')? + 1..].split_whitespace();
    if fields.next()? == "Z" {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

/// Ends the processes that a dead buildlet's jobs left: they carry the work directory in their environment.
fn end_strays(folder: &Path) {
    let mark = format!("WORKDIR={}", folder.join("work").display());
    for _ in 0..10 {
        let mut found = false;
        for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
                continue;
            };
            let Ok(environ) = std::fs::read(entry.path().join("environ")) else { continue };
            if environ.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
                && let Some(pid) = rustix::process::Pid::from_raw(pid)
            {
                found |= rustix::process::kill_process(pid, rustix::process::Signal::KILL).is_ok();
            }
        }
        if !found {
            return;
        }
    }
}

/// Waits until it answers, and returns how it holds limits.
async fn answers(socket: &Path) -> io::Result<String> {
    let client = BuildletClient::new(buildlet_client::Address::Unix(socket.to_owned()), None);
    let asked = tokio::time::Instant::now();
    loop {
        match client.status().await {
            Ok(status) => return Ok(status.bellwether.map(|ours| ours.limits).unwrap_or_default()),
            Err(error) if asked.elapsed() > START => {
                return Err(io::Error::new(io::ErrorKind::TimedOut, format!("it does not answer: {error}")));
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

/// Why a buildlet could not even say why it ended.
fn no_word(folder: &Path) -> String {
    match std::fs::write(folder.join("probe"), vec![0; 64 << 10]) {
        Ok(()) => "no word".into(),
        Err(error) => error.to_string(),
    }
}

fn private_dir(dir: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    if dir.is_dir() {
        return Ok(());
    }
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock as _;

    /// Whether a process has this text among its arguments.
    fn runs(text: &str) -> bool {
        let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        entries
            .filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok())
            .any(|arguments| arguments.windows(text.len()).any(|window| window == text.as_bytes()))
    }

    #[tokio::test]
    async fn a_buildlet_that_can_not_be_written_down_is_not_left_running() {
        let dir = tempfile::tempdir().unwrap();
        let pool = LocalPool::open(LocalPoolConfig {
            dir: dir.path().join("workers"),
            sockets: dir.path().join("sockets"),
            command: ["sh", "-c", "kill -STOP $$"].map(str::to_owned).to_vec(),
            env: std::env::vars().filter(|(name, _)| name == "PATH").collect(),
            idle_exit: Duration::from_secs(900),
            order_key: String::new(),
            confined: Confined::none(),
        })
        .unwrap();
        let mut events = pool.events().unwrap();
        let name = crate::clock::new_id!(WorkerId, crate::clock::SystemClock);
        let folder = dir.path().join("workers").join(name.to_string());
        // Nothing can be written there, as on a full disk.
        std::fs::create_dir_all(folder.join("worker.json")).unwrap();
        pool.ask(Ask::Create { name, host: "local".into() }).await.unwrap();
        let event = events.recv().await.unwrap();
        assert!(matches!(event, PoolEvent::Failed { .. }), "{event:?}");
        assert!(!runs(&folder.display().to_string()), "nobody would ever end it");
        assert!(!folder.exists(), "nothing is left of it");
    }
}
