//! Where the corpus comes from: a folder, or a server whose log is fetched first.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use godata::{Config, FollowLog, GodataError};
use maintner::corpus::Corpus;
use maintner::log::{Log, LogError};
use maintner::rules::Rules;
use maintner::time::Time;
use thiserror::Error;

/// Where a log is.
#[derive(Debug, Clone)]
pub enum Place {
    /// A folder of this machine.
    Folder(PathBuf),
    /// A server's index, and where what is fetched is kept.
    Server {
        /// The index.
        url: String,
        /// The folder.
        cache: PathBuf,
    },
}

/// Why there is no corpus.
#[derive(Debug, Error)]
pub enum SourceError {
    /// The log can't be read.
    #[error("{0}{more}", more = more(.0))]
    Log(#[from] LogError),
    /// It can't be fetched.
    #[error(transparent)]
    Godata(#[from] GodataError),
    /// Reading it ended by a mistake of this program's.
    #[error("replaying the log: {0}")]
    Task(#[from] tokio::task::JoinError),
}

/// Who says more of a log that is there and is not whole.
const fn more(why: &LogError) -> &'static str {
    match why {
        LogError::Io { .. } | LogError::Nothing { .. } => "",
        _ => "; `bellwether log verify` says more",
    }
}

/// The newest version of the corpus, or the one of a moment.
///
/// # Errors
/// What can't be fetched or read.
pub async fn open(place: Place, at: Option<Time>) -> Result<Arc<Corpus>, SourceError> {
    match place {
        Place::Folder(dir) => Ok(tokio::task::spawn_blocking(move || folder(&dir, at)).await??),
        Place::Server { url, cache } => {
            let config = Config { updates: FollowLog::None, ..Config::at(&url, cache) };
            let corpus = godata::get(config).await?.corpus();
            let Some(at) = at else { return Ok(corpus) };
            let past = tokio::task::spawn_blocking(move || Corpus::at(corpus.log.clone(), at));
            Ok(Arc::new(past.await??))
        }
    }
}

fn folder(dir: &Path, at: Option<Time>) -> Result<Arc<Corpus>, LogError> {
    let log = Log::open(dir)?;
    let corpus = match at {
        Some(at) => Corpus::at(log, at)?,
        // Beside the log, where maintnerd keeps one; without it the log is replayed.
        None => Corpus::start(&log, Rules::Ours, &dir.join(maintner::checkpoint::NAME))?.0,
    };
    Ok(Arc::new(corpus))
}
