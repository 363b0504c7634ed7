//! Why there is no answer.

use http::StatusCode;
use jiff::Timestamp;
use transport::CallError;

/// Why a call gave nothing. None of them has the token in it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// GitHub said no.
    #[error("GitHub answers {status} to {path}: {message}")]
    Status {
        /// What was asked for.
        path: String,
        /// Its answer.
        status: StatusCode,
        /// Its words, cut.
        message: String,
    },
    /// What was asked for is elsewhere: a repo that was renamed, an issue that was transferred.
    #[error("{path} has moved to {location:?}: name the repository as it is called now")]
    Moved {
        /// What was asked for.
        path: String,
        /// Where it is.
        location: String,
    },
    /// The budget is used up, and the caller does not want to wait so long.
    #[error("GitHub takes no more requests until {until}: {path} was not asked for")]
    Limited {
        /// What was not asked for.
        path: String,
        /// When there is something to be had again.
        until: Timestamp,
    },
    /// There was no whole answer, after all tries.
    #[error("{path}: {source}")]
    Call {
        /// What was asked for.
        path: String,
        /// The last try's cause.
        #[source]
        source: CallError,
    },
    /// The answer is not what GitHub's description says it is.
    #[error("GitHub's answer to {path} can't be read: {message}")]
    Malformed {
        /// What was asked for.
        path: String,
        /// What is wrong.
        message: String,
    },
    /// No name of a repository.
    #[error("{0:?} is no repository: it must be OWNER/REPO of letters, digits, '-', '_' and '.'")]
    Name(String),
}

impl Error {
    /// Whether what was to be posted may be there nevertheless: look before posting it again.
    #[must_use]
    pub fn may_have_happened(&self) -> bool {
        match self {
            Error::Status { status, .. } => status.is_server_error(),
            Error::Call { source, .. } => !source.is_connect() && !matches!(source, CallError::BadRequest(_)),
            Error::Malformed { .. } => true,
            Error::Moved { .. } | Error::Limited { .. } | Error::Name(_) => false,
        }
    }

    /// Whether what was asked for is there no more: deleted, transferred, or hidden from this token.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        match self {
            Error::Moved { .. } => true,
            Error::Status { status, .. } => matches!(*status, StatusCode::NOT_FOUND | StatusCode::GONE),
            _ => false,
        }
    }
}
