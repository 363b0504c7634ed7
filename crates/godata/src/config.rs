//! What a client is told.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use maintner::rules::Rules;
use transport::Service;

/// What a client is told. [`Config::at`] has all but the server's address, which nobody guesses.
#[derive(Clone)]
pub struct Config {
    /// The address of the server's index, such as `https://maintner.example.org/logs`.
    pub index: String,
    /// Whom to ask what is at the index's own host; none for whoever is there.
    pub service: Option<Service>,
    /// The folder where segments are kept. It may be shared with other processes, the original's too, that read the same log.
    pub cache: PathBuf,
    /// Whether the server is asked.
    pub mode: Mode,
    /// Whether the corpus follows the log after it was loaded.
    pub updates: Updates,
    /// Whether segments that were kept are compared with their names before they are believed.
    pub kept: Kept,
    /// By whose rules the corpus is made.
    pub rules: Rules,
    /// How often, and how long apart.
    pub retry: Retry,
    /// How long anything may take.
    pub waits: Waits,
    /// How large anything may be.
    pub limits: Limits,
    /// Is told how far fetching has come; it must not block.
    pub progress: Option<Arc<dyn Fn(Progress) + Send + Sync>>,
}

/// The origin of what is reached otherwise than by its address.
pub(crate) const OTHERWISE: &str = "http://server.invalid";

impl Config {
    /// The usual, of an index, with segments in [`default_cache`](crate::default_cache) or where it is told.
    #[must_use]
    pub fn at(index: &str, cache: impl Into<PathBuf>) -> Self {
        Self {
            index: index.to_owned(),
            service: None,
            cache: cache.into(),
            mode: Mode::default(),
            updates: Updates::default(),
            kept: Kept::default(),
            rules: Rules::default(),
            retry: Retry::default(),
            waits: Waits::default(),
            limits: Limits::default(),
            progress: None,
        }
    }

    /// The usual, of a server that is reached otherwise than by its address, as one in this process is.
    #[must_use]
    pub fn through(service: Service, cache: impl Into<PathBuf>) -> Self {
        Self { service: Some(service), ..Self::at(&format!("{OTHERWISE}/logs"), cache) }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("index", &self.index)
            .field("cache", &self.cache)
            .finish_non_exhaustive()
    }
}

/// Whether the server is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// It is, and without it there is no corpus.
    #[default]
    Online,
    /// It is; where it can't be reached, or a segment does not come that it lists, what was kept will do until it can.
    OnlineIfPossible,
    /// It is not: what was kept is all there is.
    Offline,
}

/// Whether the corpus follows the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Updates {
    /// It does, within milliseconds of a change.
    #[default]
    Follow,
    /// It stays as it was loaded.
    None,
}

/// Whether kept segments are believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kept {
    /// By their names and lengths, as the original does; by their bytes only where they turn out to be no log.
    #[default]
    Believed,
    /// By their bytes.
    Verified,
}

/// How often something is tried, and how long apart: before try N+1 it is N² times the delay.
#[derive(Debug, Clone, Copy)]
pub struct Retry {
    /// Tries for the index. 5.
    pub index: u32,
    /// Tries for a segment of which nothing comes; where something does, they begin anew. 10.
    pub segment: u32,
    /// The delay. 1 second.
    pub delay: Duration,
    /// The longest delay, and how long a client that follows waits at most until it tries again. 15 seconds.
    pub longest: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        let (delay, longest) = (Duration::from_secs(1), Duration::from_secs(15));
        Self { index: 5, segment: 10, delay, longest }
    }
}

impl Retry {
    /// The pause after that many tries that failed.
    pub(crate) fn pause(&self, failed: u32) -> Duration {
        self.delay.saturating_mul(failed.saturating_mul(failed)).min(self.longest)
    }
}

/// How long anything may take.
#[derive(Debug, Clone, Copy)]
pub struct Waits {
    /// Until a server says that nothing changed, which it does after 55 seconds. 90 seconds.
    pub change: Duration,
    /// Until a segment's answer begins, and until more of any answer comes. 30 seconds.
    pub silence: Duration,
    /// Until another process that fills the same cache is done, or brings in more. 10 minutes.
    pub lock: Duration,
    /// How long apart two questions are at least to a server that does not wait as it is asked to. 1 second.
    pub apart: Duration,
}

impl Default for Waits {
    fn default() -> Self {
        Self {
            change: Duration::from_secs(90),
            silence: Duration::from_secs(30),
            lock: Duration::from_secs(600),
            apart: Duration::from_secs(1),
        }
    }
}

/// How large anything may be.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of the index. 8 MiB.
    pub index: usize,
    /// Bytes of a segment: what writers let one grow to, and one record of the largest size.
    pub segment: u64,
    /// Bytes of all segments. 64 GiB.
    pub total: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { index: 8 << 20, segment: (64 << 20) + maintner::log::LONGEST_RECORD as u64, total: 64 << 30 }
    }
}

/// How far fetching has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Segments that are here.
    pub segments: u32,
    /// All of them.
    pub of_segments: u32,
    /// Bytes that are here.
    pub bytes: u64,
    /// All of them.
    pub of_bytes: u64,
}
