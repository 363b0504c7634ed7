//! What the agent is: its directories, its commands, its holder, and when it was last spoken to.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use filelock::Held;
use sha2::{Digest as _, Sha256};
use tokio::sync::{OnceCell, RwLock};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::args::Args;
use crate::exec::Table;
use crate::exec::cgroup::Backend;
use crate::fence::Fence;
use crate::fetch::{self, Fetcher};
use crate::orders::Orders;
use crate::original::{Power, Ssh};
use crate::sandbox::{Reexec, Setup};
use crate::user::{JobUser, UserError, apart};
use crate::wire::{AgentStatus, Status};

/// The version of the original protocol that we speak.
pub(crate) const ORIGINAL: i32 = 29;

/// A fetched archive must be there within this time.
const FETCH: Duration = Duration::from_secs(3600);

/// The agent.
pub(crate) struct Agent {
    pub(crate) table: Arc<Table>,
    pub(crate) fence: Arc<Fence>,
    pub(crate) password: Option<String>,
    /// Whose orders start anything here.
    pub(crate) orders: Arc<Orders>,
    pub(crate) power: Power,
    /// What `/writetgz` may fetch.
    pub(crate) fetcher: Fetcher,
    /// The most that one upload may have, packed and unpacked, in bytes.
    pub(crate) upload_bytes: u64,
    /// How long a request may bring no byte.
    pub(crate) stall: Duration,
    /// Where `/connect-ssh` leads, and who came that way.
    pub(crate) ssh: Ssh,
    started: Instant,
    pub(crate) idle_exit: Duration,
    /// Ends the server.
    pub(crate) stop: CancellationToken,
    /// Commands start under it shared; a wipe holds it alone.
    pub(crate) gate: RwLock<()>,
    /// The wipes that go on, whoever still waits for them.
    pub(crate) wipes: TaskTracker,
    state_dir: PathBuf,
    instance: String,
    /// What was in `/dev/shm` before any job.
    shm_before: HashSet<(u64, u64)>,
    digest: OnceCell<String>,
    holder: Mutex<Holder>,
    /// One agent per state directory; the lock ends with the process.
    _owner: Held,
    /// The same for the user that jobs run as.
    _user: Option<Held>,
}

/// Who uses the agent.
struct Holder {
    lease: Option<String>,
    set_aside: Option<String>,
    last_contact: Instant,
    open_requests: u32,
}

/// A request that is being answered keeps the agent from being idle.
pub(crate) struct Contact(Arc<Agent>);

impl Drop for Contact {
    fn drop(&mut self) {
        let mut holder = self.0.holder();
        holder.open_requests -= 1;
        holder.last_contact = Instant::now();
    }
}

impl Agent {
    /// Takes over the directories and ends what an earlier agent left in them. Who dials out has no password: it knows whom it
    /// serves, and its coordinator knows none.
    pub(crate) async fn open(args: &Args, password: Option<String>) -> io::Result<Arc<Self>> {
        let (workdir, state_dir) = (args.workdir(), args.state_dir());
        for dir in [&workdir, &state_dir] {
            std::fs::create_dir_all(dir)?;
        }
        let workdir = crate::sys::canonical(&workdir)?;
        let state_dir = crate::sys::canonical(&state_dir)?;
        if state_dir.starts_with(&workdir) || workdir.starts_with(&state_dir) {
            return Err(io::Error::other("the state directory and the work directory must lie apart"));
        }
        let owner = own(&state_dir)?;
        let user = args.job_user.as_ref().map(JobUser::find).transpose().map_err(io::Error::other)?;
        let taken = match &user {
            Some(user) => set_apart(args, user, &workdir, &state_dir).map_err(io::Error::other)?,
            None => None,
        };
        let user = user.map(Arc::new);
        crate::sys::adopt_orphans()?;
        let digest: String =
            hex(&Sha256::digest(state_dir.as_os_str().as_encoded_bytes())).chars().take(8).collect();
        let cgroup_prefix = format!("bellwether-{digest}-");
        let reexec = Reexec { prefix: args.reexec_prefix.clone() };
        let (limits, namespaces) = if args.no_kernel_help {
            (Backend::Watch, false)
        } else {
            (
                // Confined, it sees no groups.
                if args.confine.is_some() { Backend::Watch } else { probe_limits(&reexec, &cgroup_prefix) },
                probe(&reexec, &Setup { namespaces: true, user: user.clone(), ..Setup::default() }),
            )
        };
        let settings = crate::exec::Settings {
            workdir,
            environment: std::env::vars_os()
                .filter(|(name, _)| {
                    !crate::metadata::SECRET
                        .iter()
                        .any(|secret| crate::sys::same_variable(name, secret.as_ref()))
                })
                .collect(),
            reexec,
            limits,
            namespaces,
            user,
            cgroup_prefix,
            sessions_prefix: format!("ssh-{digest}-"),
            spool_bytes: args.spool_bytes,
            grace: args.grace,
        };
        let set_aside = std::fs::read_to_string(state_dir.join("set_aside")).ok();
        let holder = Holder { lease: None, set_aside, last_contact: Instant::now(), open_requests: 0 };
        let (instance, started) = (random_hex()?, Instant::now());
        let orders = Arc::new(Orders::new(&instance, &state_dir, started));
        if let (Some(key), Some(machine)) = (&args.order_key, &args.order_machine) {
            orders.obey(key, machine).map_err(io::Error::other)?;
        }
        Ok(Arc::new(Self {
            table: Table::open(&state_dir, settings).await?,
            fence: Arc::new(Fence::open(&state_dir)?),
            password,
            orders,
            power: Power::of(args),
            fetcher: Fetcher {
                from: args.fetch_from.clone(),
                ca_file: args.ca_file.clone(),
                limits: fetch::Limits { bytes: args.upload_bytes, stall: args.stall, whole: FETCH },
                resolve: Box::new(fetch::System),
            },
            upload_bytes: args.upload_bytes,
            stall: args.stall,
            ssh: Ssh::of(args)?,
            started,
            idle_exit: args.idle_exit,
            stop: CancellationToken::new(),
            gate: RwLock::new(()),
            wipes: TaskTracker::new(),
            state_dir,
            instance,
            shm_before: if namespaces { HashSet::new() } else { crate::wipe::shm_now() },
            digest: OnceCell::new(),
            holder: Mutex::new(holder),
            _owner: owner,
            _user: taken,
        }))
    }

    fn holder(&self) -> MutexGuard<'_, Holder> {
        self.holder.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The directory that jobs work in.
    pub(crate) fn workdir(&self) -> &Path {
        &self.table.settings.workdir
    }

    /// Does what touches the work directory on a thread of its own, with no more rights than a job has.
    pub(crate) async fn as_job<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        let user = self.table.settings.user.clone();
        let work = move || {
            let _rights = crate::user::of(user.as_deref())?;
            Ok(work())
        };
        tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
    }

    /// Notes a request of somebody who may ask.
    pub(crate) fn contact(self: &Arc<Self>, lease: Option<&str>) -> Contact {
        let mut holder = self.holder();
        holder.open_requests += 1;
        holder.last_contact = Instant::now();
        if let Some(lease) = lease {
            holder.lease = Some(lease.chars().take(128).collect());
        }
        drop(holder);
        Contact(Arc::clone(self))
    }

    /// Returns when the agent has been idle for too long, unless it is spoken to again.
    pub(crate) fn idle_at(&self) -> Instant {
        let holder = self.holder();
        let since = if holder.open_requests > 0 { Instant::now() } else { holder.last_contact };
        since + self.idle_exit
    }

    /// How many requests are being answered, and for how long the agent has been there.
    pub(crate) fn doings(&self) -> (u32, Duration) {
        (self.holder().open_requests, self.started.elapsed())
    }

    /// What tells this process from any other agent, earlier ones of this machine among them.
    pub(crate) fn instance(&self) -> &str {
        &self.instance
    }

    /// The name of the files that this agent's wipes plant.
    pub(crate) fn canary(&self) -> String {
        format!(".bellwether-canary-{}", self.instance)
    }

    /// What was in the machine's `/dev/shm` before any job of this agent.
    pub(crate) fn shm_before(&self) -> HashSet<(u64, u64)> {
        self.shm_before.clone()
    }

    /// Why it takes no commands, if it takes none.
    pub(crate) fn set_aside(&self) -> Option<String> {
        self.holder().set_aside.clone()
    }

    /// Takes no more commands, also after a restart.
    pub(crate) fn put_aside(&self, reason: &str) {
        tracing::error!(reason, "set aside");
        if let Err(error) = std::fs::write(self.state_dir.join("set_aside"), reason) {
            tracing::error!(%error, "being set aside could not be stored");
        }
        self.holder().set_aside = Some(reason.to_owned());
    }

    /// Takes commands again: what was not clean is.
    pub(crate) fn take_back(&self) {
        if self.holder().set_aside.take().is_none() {
            return;
        }
        tracing::info!("clean again, and not set aside any more");
        if let Err(error) = std::fs::remove_file(self.state_dir.join("set_aside")) {
            tracing::error!(%error, "a restart will find it set aside");
        }
    }

    /// Says how it is.
    pub(crate) async fn status(&self) -> Status {
        let hash = || async {
            tokio::task::spawn_blocking(own_digest).await.ok().and_then(Result::ok).unwrap_or_default()
        };
        let digest = self.digest.get_or_init(hash).await.clone();
        let (lease, set_aside) = {
            let holder = self.holder();
            (holder.lease.clone(), holder.set_aside.clone())
        };
        let settings = &self.table.settings;
        let disk_free = crate::sys::disk_free(&settings.workdir).unwrap_or(0);
        Status {
            version: ORIGINAL,
            bellwether: Some(AgentStatus {
                protocol: 1,
                version: env!("CARGO_PKG_VERSION").to_owned(),
                digest,
                instance: self.instance.clone(),
                fence: self.fence.current(),
                lease,
                limits: settings.limits.name().to_owned(),
                cpu_limit: settings.limits.cpu_name().to_owned(),
                isolation: match (&settings.user, settings.namespaces) {
                    (Some(_), true) => "user+namespaces",
                    (Some(_), false) => "user",
                    (None, true) => "namespaces",
                    (None, false) => "none",
                }
                .to_owned(),
                execs: self.table.list(),
                disk_free,
                set_aside,
                uptime_ms: self.orders.uptime_ms(),
                order_key: self.orders.key(),
            }),
        }
    }

    /// Ends every command and whatever else descends from us.
    pub(crate) async fn end_everything(&self) {
        self.ssh.end_sessions("this machine's agent ends").await;
        self.table.end_commands("killed:agent ends").await;
        let mut ended = Vec::new();
        if !self.table.end_all(|| self.table.everything(), &mut ended).await {
            tracing::error!("some processes could not be ended");
        }
    }
}

/// Sees to it that jobs are kept from what is the agent's.
fn set_apart(
    args: &Args,
    user: &JobUser,
    workdir: &Path,
    state_dir: &Path,
) -> Result<Option<Held>, UserError> {
    apart::directories(user, workdir, state_dir)?;
    for file in args.secrets() {
        apart::unreadable(user, &file)?;
    }
    // Its memory has the key in it. This also keeps it from being dumped into the work directory.
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
        .map_err(|error| UserError::Become(user.name.clone(), error.into()))?;
    apart::take(user, state_dir)
}

fn own(state_dir: &Path) -> io::Result<Held> {
    let file = File::options().create(true).truncate(false).write(true).open(state_dir.join("lock"))?;
    match Held::take(file) {
        Ok(held) => Ok(held),
        Err(std::fs::TryLockError::WouldBlock) => {
            Err(io::Error::other(format!("{} is used by another agent", state_dir.display())))
        }
        Err(std::fs::TryLockError::Error(error)) => Err(error),
    }
}

/// Says whether a job can be set up so.
pub(crate) fn probe(reexec: &Reexec, setup: &Setup) -> bool {
    match reexec.command(setup).arg("--probe").output() {
        Ok(output) if output.status.success() => true,
        Ok(output) => {
            tracing::debug!(?setup, text = %String::from_utf8_lossy(&output.stderr), "does not work here");
            false
        }
        Err(error) => {
            tracing::warn!(%error, "the helper does not start");
            false
        }
    }
}

pub(crate) fn probe_limits(reexec: &Reexec, prefix: &str) -> Backend {
    let backend = Backend::probe(prefix);
    let limits = crate::exec::to_try();
    // A group that no process may enter holds nothing.
    let joins = match backend.make(&format!("{prefix}probe"), &limits) {
        Ok(Some(group)) => {
            let works = probe(reexec, &Setup { cgroups: group.joins(), ..Setup::default() });
            drop(group);
            works
        }
        _ => false,
    };
    if joins { backend } else { Backend::Watch }
}

fn own_digest() -> io::Result<String> {
    let mut hash = Sha256::new();
    io::copy(&mut File::open(crate::sandbox::own_program())?, &mut HashWriter(&mut hash))?;
    Ok(hex(&hash.finalize()))
}

struct HashWriter<'a>(&'a mut Sha256);

impl io::Write for HashWriter<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.update(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn random_hex() -> io::Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(hex(&bytes))
}

/// Writes bytes in lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string never fails.
        let _ok = write!(text, "{byte:02x}");
        text
    })
}
