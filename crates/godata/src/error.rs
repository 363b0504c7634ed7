//! What can go wrong.

use std::io;
use std::path::PathBuf;

use maintner::log::LogError;
use thiserror::Error;
use transport::CallError;

/// Why there is no corpus, or no newer one.
#[derive(Debug, Error)]
pub enum GodataError {
    /// The index's address is none.
    #[error("{url:?} is no address of an index: it begins with http:// or https:// and has a host")]
    Address {
        /// As it was given.
        url: String,
    },
    /// The cache can't be read or written.
    #[error("{}: {why}", path.display())]
    Cache {
        /// What in it.
        path: PathBuf,
        /// The system's word.
        why: io::Error,
    },
    /// Another process has the cache for itself.
    #[error("{}: another process has this cache for itself and has brought nothing in for more than {seconds} s: end it, or use another cache", path.display())]
    Locked {
        /// The file that is locked.
        path: PathBuf,
        /// How long was waited since it last brought something in.
        seconds: u64,
    },
    /// Nothing was kept that could be used without the server.
    #[error("{}: nothing of a log is kept here, and the server is not asked: run once with it", path.display())]
    NothingKept {
        /// The cache.
        path: PathBuf,
    },
    /// The index, or somebody whom it led to, names an address that is not asked.
    #[error("{url} is not asked, which {index} led to: {why}")]
    Led {
        /// The address.
        url: String,
        /// Where the index is.
        index: String,
        /// Why not.
        why: String,
    },
    /// The server could not be asked, or said no.
    #[error("{url}: {why}")]
    Call {
        /// What was asked for.
        url: String,
        /// Why it did not come.
        #[source]
        why: CallError,
    },
    /// The server's answer is not what it should be.
    #[error("{url}: {what}")]
    Answer {
        /// What was asked for.
        url: String,
        /// What is wrong with it.
        what: String,
        /// Whether the same question may be answered otherwise.
        again: bool,
    },
    /// The bytes of a segment are not those that the index says, after all of it was fetched.
    #[error(
        "{url}: segment {number:04} has SHA-224 {have}, and the index says {want}: what is served is corrupt"
    )]
    Corrupt {
        /// Where it was fetched.
        url: String,
        /// Which one.
        number: u32,
        /// By its bytes.
        have: String,
        /// By the index.
        want: String,
    },
    /// What was fetched is no log.
    #[error(transparent)]
    Log(#[from] LogError),
}

impl GodataError {
    /// Whether the same may succeed later without a change here: the server was away, or answered by half.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Call { why, .. } => why.is_transient(),
            Self::Answer { again, .. } => *again,
            _ => false,
        }
    }

    /// Whether it is the server from which something did not come, be it for now or for longer.
    #[must_use]
    pub(crate) fn is_of_server(&self) -> bool {
        matches!(self, Self::Call { .. } | Self::Answer { .. } | Self::Led { .. } | Self::Corrupt { .. })
    }

    /// Whether the server could not be reached at all.
    #[must_use]
    pub(crate) fn is_away(&self) -> bool {
        matches!(self, Self::Call { why: CallError::Unreachable { .. } | CallError::Timeout { .. }, .. })
    }
}
