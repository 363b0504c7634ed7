//! Why a call gave nothing, and what a person does about it.

use http::StatusCode;
use transport::CallError;

/// Why a call gave nothing. None of them has the password in it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Name or password are wrong.
    #[error(
        "Gerrit does not take the login for {path} (401): set a user and the HTTP password that Gerrit made for it \
         (Settings, HTTP Credentials), not that of the person's other logins"
    )]
    Login {
        /// What was asked for.
        path: String,
    },
    /// The account lacks a right.
    #[error("Gerrit forbids {path} (403): {message:?}; {remedy}")]
    Forbidden {
        /// What was asked for.
        path: String,
        /// Its words, cut.
        message: String,
        /// Which right to give, and where.
        remedy: String,
    },
    /// No such thing, or none that this account sees.
    #[error(
        "Gerrit knows no {path}, or does not show it to this account (404): name it as Gerrit does, or give the account the \
         right `Read` on the branch (of a private change: `View Private Changes`)"
    )]
    NotFound {
        /// What was asked for.
        path: String,
    },
    /// What it is about does not allow it: as a rule the change is closed, and takes words without votes.
    #[error(
        "Gerrit can't do {path} as things stand (409): {message:?}; a closed change takes words, and no votes"
    )]
    Conflict {
        /// What was asked for.
        path: String,
        /// Its words, cut.
        message: String,
    },
    /// It says no for a reason of its own: a vote that its label does not have, a request that is none.
    #[error("Gerrit answers {status} to {path}: {message:?}")]
    Rejected {
        /// What was asked for.
        path: String,
        /// Its answer.
        status: StatusCode,
        /// Its words, cut.
        message: String,
    },
    /// It is in trouble. What was posted may be there.
    #[error("Gerrit fails with {status} at {path}: {message:?}")]
    Server {
        /// What was asked for.
        path: String,
        /// Its answer.
        status: StatusCode,
        /// Its words, cut.
        message: String,
    },
    /// The budget is used up, and the caller does not want to wait so long. Nothing was posted.
    #[error("Gerrit takes no more requests for {seconds} s: {path} was not asked for")]
    Limited {
        /// What was not asked for.
        path: String,
        /// For how long.
        seconds: u64,
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
    /// The answer is not what Gerrit's description says it is. What was posted may be there.
    #[error(
        "Gerrit's answer to {path} can't be read: {message}; is this address Gerrit's, and not that of a page before it?"
    )]
    Malformed {
        /// What was asked for.
        path: String,
        /// What is wrong.
        message: String,
    },
    /// The client can't be made.
    #[error("Gerrit's client: the {0} has characters that no header can have")]
    Configuration(&'static str),
    /// No name of a change or a commit.
    #[error("{0:?} names no change (PROJECT~NUMBER or PROJECT~BRANCH~CHANGE-ID) and no commit")]
    Name(String),
    /// More than may be posted.
    #[error("a review of {bytes} bytes is longer than {most}: say less, and link to the rest")]
    TooLong {
        /// So long it is.
        bytes: usize,
        /// So long it may be.
        most: usize,
    },
}

impl Error {
    /// Whether what was to be posted may be there nevertheless: look before posting it again.
    #[must_use]
    pub fn may_have_happened(&self) -> bool {
        match self {
            Self::Server { .. } | Self::Malformed { .. } => true,
            Self::Call { source, .. } => !source.is_connect() && !matches!(source, CallError::BadRequest(_)),
            _ => false,
        }
    }

    /// Whether the same may succeed later: by itself, or because a person gave a right or a password.
    #[must_use]
    pub fn may_succeed_later(&self) -> bool {
        match self {
            Self::Login { .. } | Self::Forbidden { .. } | Self::NotFound { .. } => true,
            Self::Server { .. } | Self::Limited { .. } | Self::Malformed { .. } => true,
            Self::Call { source, .. } => !matches!(source, CallError::BadRequest(_)),
            _ => false,
        }
    }
}
