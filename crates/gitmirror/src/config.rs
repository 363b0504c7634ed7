//! What a mirror is told.

use std::path::PathBuf;
use std::time::Duration;

/// What a mirror is told.
#[derive(Debug, Clone)]
pub struct MirrorConfig {
    /// The folder of the mirrors and of the archives. It has one owner.
    pub dir: PathBuf,
    /// The most bytes of finished archives that are kept on disk.
    pub cache_bytes: u64,
    /// The repositories.
    pub repos: Vec<RepoConfig>,
    /// The git program.
    pub git: git::GitConfig,
}

/// A repository to watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepoConfig {
    /// Its name here: `[a-z0-9][a-z0-9._-]{0,63}`.
    pub name: String,
    /// Where it comes from: an address that [`git::RemoteUrl`] takes. A path may lie anywhere in a work tree.
    pub url: String,
    /// Patterns (`*` and `?`) of the branches that are posted; none for the remote's default branch only.
    pub branches: Vec<String>,
    /// How many first-parent commits back the dashboard fills.
    pub horizon: u32,
    /// Where branches and tags are pushed to.
    pub destinations: Vec<String>,
    /// The longest time between two looks at the source.
    pub poll: Duration,
    /// Whether it exists only for those who may see what is private.
    pub private: bool,
}

impl RepoConfig {
    /// A repository with a horizon of 20 commits and a look a minute, its default branch only, public.
    pub fn new(name: impl Into<String>, url: impl Into<String>) -> Self {
        RepoConfig {
            name: name.into(),
            url: url.into(),
            branches: Vec::new(),
            horizon: 20,
            destinations: Vec::new(),
            poll: Duration::from_secs(60),
            private: false,
        }
    }
}

/// Times and sizes that only tests change.
#[derive(Debug, Clone)]
pub struct Tuning {
    /// A fetch is tried three times; try k (from 0) comes after k times this.
    pub back_off: Duration,
    /// How soon a round that failed is started again, at the latest.
    pub retry: Duration,
    /// How often a repository on this machine is looked at.
    pub watch: Duration,
    /// How long a revision that the source does not have is taken for unknown without asking again.
    pub unknown: Duration,
    /// How long the source's `HEAD` is taken for known, where asking means listing every ref.
    pub head: Duration,
    /// How often a destination is compared when nothing changed here.
    pub compare: Duration,
    /// The longest time that a hint waits for its round.
    pub hint: Duration,
    /// The largest bundle in and out, in bytes.
    pub bundle_bytes: u64,
    /// The most bytes of small archives that are kept in memory.
    pub memory_bytes: u64,
}

impl Default for Tuning {
    fn default() -> Self {
        Tuning {
            back_off: Duration::from_secs(5),
            retry: Duration::from_secs(10),
            watch: Duration::from_secs(1),
            unknown: Duration::from_secs(5),
            head: Duration::from_secs(600),
            compare: Duration::from_secs(300),
            hint: Duration::from_secs(600),
            bundle_bytes: 256 << 20,
            memory_bytes: 64 << 20,
        }
    }
}

/// Why a mirror can't be opened or told something.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Two repositories have one name, or a name is not allowed.
    #[error("{0:?} is not a repository's name, or is used twice")]
    Name(String),
    /// A folder can't be made.
    #[error("{}: {source}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// Git can't be prepared, or is too old.
    #[error(transparent)]
    Git(#[from] git::Error),
    /// Git is too old.
    #[error("git {0}.{1}.{2} is too old: 2.39 or newer is needed")]
    TooOld(u32, u32, u32),
}

/// Whether a text is a repository's name.
pub(crate) fn is_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    name.len() <= 64
        && name.bytes().next().is_some_and(plain)
        && name.bytes().all(|b| plain(b) || matches!(b, b'.' | b'_' | b'-'))
}
