//! What can go wrong between us and an agent.

/// Why a request to an agent did not succeed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another holder has a newer lease; nothing was done.
    #[error("the lease is stale: the buildlet has seen fencing token {current}")]
    StaleFence {
        /// The highest token the agent has seen.
        current: u64,
    },
    /// The agent could not be cleaned and takes no commands.
    #[error("the buildlet has set itself aside: {reason}")]
    SetAside {
        /// What was left behind.
        reason: String,
    },
    /// The agent understood and said no.
    #[error("the buildlet refused with status {status}: {message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The stable code, from our own agent.
        code: Option<String>,
        /// The agent's words.
        message: String,
    },
    /// No connection, or it broke.
    #[error("the buildlet at {address} is unreachable while {doing}")]
    Unreachable {
        /// Where it should be.
        address: String,
        /// What was being done.
        doing: &'static str,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No answer, or no progress, in time.
    #[error("the buildlet did not answer in time: {what}")]
    Timeout {
        /// What was waited for.
        what: &'static str,
    },
    /// The answer makes no sense.
    #[error("the buildlet's answer makes no sense: {what}")]
    Protocol {
        /// What is wrong with it.
        what: String,
    },
    /// The output asked for was acknowledged and freed, or the command is not known.
    #[error("gone: {what}")]
    Gone {
        /// What is gone.
        what: String,
    },
    /// The data we were to send could not be read.
    #[error("the data to send could not be read")]
    Source(#[source] std::io::Error),
}

impl Error {
    /// Says whether the same request may succeed if tried again on the same agent.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Timeout { .. } => true,
            Self::Refused { status, .. } => matches!(status, 429 | 502 | 504),
            _ => false,
        }
    }
}
