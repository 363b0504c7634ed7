//! The program, its environment and its limits.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::Error;

/// Which git to run and how.
#[derive(Debug, Clone)]
pub struct GitConfig {
    /// The program: a path, or a name that is looked up in `PATH`.
    pub program: PathBuf,
    /// A private folder that becomes `HOME` of git; made if it is missing (mode 0700). Our settings file lies in it.
    pub home: PathBuf,
    /// Limits on time, size and number.
    pub limits: Limits,
    /// Further variables for git, such as `SSH_AUTH_SOCK` or `https_proxy`. Nothing is inherited but `PATH`.
    pub env: Vec<(String, String)>,
}

impl GitConfig {
    /// The `git` of `PATH` with a home of its own and usual limits.
    pub fn new(home: impl Into<PathBuf>) -> Self {
        GitConfig { program: "git".into(), home: home.into(), limits: Limits::default(), env: Vec::new() }
    }
}

/// Limits of git commands.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The longest time of a command that stays on this machine.
    pub local: Duration,
    /// The longest time of listing a remote's refs.
    pub listing: Duration,
    /// The longest time of a fetch or push.
    pub transfer: Duration,
    /// How long a command has between SIGTERM and SIGKILL.
    pub grace: Duration,
    /// The most bytes that are held of one command's output.
    pub output: u64,
    /// The most commands at a time that stay on this machine.
    pub local_processes: usize,
    /// The most commands at a time that talk to a remote.
    pub remote_processes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            local: Duration::from_secs(120),
            listing: Duration::from_secs(60),
            transfer: Duration::from_secs(600),
            grace: Duration::from_secs(2),
            output: 64 << 20,
            local_processes: 16,
            remote_processes: 64,
        }
    }
}

/// A version of git.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32, pub u32);

/// The git program with its environment. Cheap to clone.
#[derive(Clone)]
pub struct Git {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) program: PathBuf,
    pub(crate) env: Vec<(OsString, OsString)>,
    pub(crate) limits: Limits,
    pub(crate) local: Arc<Semaphore>,
    pub(crate) remote: Arc<Semaphore>,
}

/// Our settings, as the only settings file that git and its children read. A local transport clears `-c` settings for
/// the far side, but reads this file there too.
const SETTINGS: &str = "\
[core]
\thooksPath = /dev/null
\tfsmonitor = false
\tattributesFile = /dev/null
\texcludesFile = /dev/null
\tquotePath = false
[safe]
\t# Only paths that a person named and folders of our own are ever opened.
\tdirectory = *
[protocol]
\tallow = never
[protocol \"file\"]
\tallow = always
[protocol \"git\"]
\tallow = always
[protocol \"http\"]
\tallow = always
[protocol \"https\"]
\tallow = always
[protocol \"ssh\"]
\tallow = always
[gc]
\tauto = 0
[maintenance]
\tauto = false
[fetch]
\trecurseSubmodules = false
\tunpackLimit = 1
[submodule]
\trecurse = false
[http]
\tlowSpeedLimit = 1000
\tlowSpeedTime = 60
[i18n]
\tlogOutputEncoding = UTF-8
[log]
\tshowSignature = false
[tar]
\tumask = 0022
[uploadpack]
\tallowAnySHA1InWant = true
[advice]
\tdetachedHead = false
[init]
\tdefaultBranch = main
[user]
\tname = Bellwether
\temail = bellwether@localhost
";

/// The settings that no settings file of a repository may override.
pub(crate) const OVERRIDES: &[&str] = &[
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.attributesFile=/dev/null",
    "core.alternateRefsCommand=",
    "core.pager=cat",
    "protocol.allow=never",
    "protocol.ext.allow=never",
    "protocol.fd.allow=never",
    "protocol.file.allow=always",
    "protocol.git.allow=always",
    "protocol.http.allow=always",
    "protocol.https.allow=always",
    "protocol.ssh.allow=always",
    "gc.auto=0",
    "maintenance.auto=false",
    "submodule.recurse=false",
    "fetch.recurseSubmodules=false",
    "tar.umask=0022",
    "log.showSignature=false",
    "i18n.logOutputEncoding=UTF-8",
    "credential.helper=",
];

impl Git {
    /// Prepares the private home. Starts nothing.
    ///
    /// # Errors
    /// The home can't be written.
    pub fn new(config: GitConfig) -> Result<Self, Error> {
        let home = std::path::absolute(&config.home).map_err(|source| io("home", source))?;
        prepare_home(&home).map_err(|source| io(&home.display().to_string(), source))?;
        let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
        let ssh = "ssh -oBatchMode=yes -oConnectTimeout=20 -oControlMaster=no -oControlPath=none";
        let fixed: [(&str, OsString); 12] = [
            ("PATH", path),
            ("HOME", home.clone().into()),
            ("XDG_CONFIG_HOME", home.clone().into()),
            ("GIT_CONFIG_NOSYSTEM", "1".into()),
            ("GIT_CONFIG_GLOBAL", home.join("gitconfig").into()),
            ("GIT_ATTR_NOSYSTEM", "1".into()),
            ("GIT_TERMINAL_PROMPT", "0".into()),
            ("GIT_OPTIONAL_LOCKS", "0".into()),
            ("GIT_NO_REPLACE_OBJECTS", "1".into()),
            ("GIT_NO_LAZY_FETCH", "1".into()),
            ("GIT_SSH_COMMAND", ssh.into()),
            ("LC_ALL", "C".into()),
        ];
        let mut env: Vec<(OsString, OsString)> = fixed.into_iter().map(|(k, v)| (k.into(), v)).collect();
        env.extend(config.env.into_iter().map(|(k, v)| (k.into(), v.into())));
        let local = Arc::new(Semaphore::new(config.limits.local_processes.max(1)));
        let remote = Arc::new(Semaphore::new(config.limits.remote_processes.max(1)));
        let inner = Inner { program: whole_path(config.program), env, limits: config.limits, local, remote };
        Ok(Git { inner: Arc::new(inner) })
    }

    /// Gives the limits that the program was set up with.
    pub fn limits(&self) -> &Limits {
        &self.inner.limits
    }

    /// Asks the program for its version.
    ///
    /// # Errors
    /// There is no such program, or it is no git.
    pub async fn version(&self) -> Result<Version, Error> {
        let out = self.call(["version"]).run().await?.ok()?;
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        let numbers = text.trim().strip_prefix("git version ").unwrap_or("");
        let mut numbers = numbers.split([' ', '.']).map_while(|part| part.parse().ok());
        match (numbers.next(), numbers.next()) {
            (Some(major), Some(minor)) => Ok(Version(major, minor, numbers.next().unwrap_or(0))),
            _ => Err(Error::Unexpected { what: "version".into(), detail: text }),
        }
    }
}

fn io(what: &str, source: std::io::Error) -> Error {
    Error::Io { what: what.to_owned(), source }
}

fn prepare_home(home: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(home)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(home, std::fs::Permissions::from_mode(0o700))?;
    }
    let file = home.join("gitconfig");
    if std::fs::read(&file).is_ok_and(|old| old == SETTINGS.as_bytes()) {
        return Ok(());
    }
    // A reader sees the old file or the new one, never half of one.
    let new = home.join(format!("gitconfig.{}", std::process::id()));
    std::fs::write(&new, SETTINGS)?;
    std::fs::rename(&new, &file)
}
/// A program by its whole path, where it is found: a name that is looked up by each child makes the standard library
/// copy our page tables for every command (`fork`) instead of borrowing them (`posix_spawn`).
fn whole_path(program: PathBuf) -> PathBuf {
    if program.components().count() != 1 {
        return program;
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|dir| dir.join(&program)).find(|file| file.is_file());
    found.unwrap_or(program)
}
