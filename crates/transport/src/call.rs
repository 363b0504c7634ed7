//! What can go wrong in a call, and the error shape that services answer with.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The one error shape of the JSON API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApiError {
    /// A stable word for programs, `snake_case`.
    pub code: String,
    /// A sentence for people.
    pub message: String,
    /// Names the request in the service's log; empty where the service keeps none.
    #[serde(default)]
    pub request_id: String,
}

/// Why a call has no answer to give.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The service answered, and said no.
    #[error("{}: {}", status, error.message)]
    Refused {
        /// The HTTP status.
        status: http::StatusCode,
        /// What the service said, or its plain text as `message` with an empty `code`.
        error: ApiError,
    },
    /// No connection, or it broke before the answer was whole.
    #[error("{target} can't be reached: {source}")]
    Unreachable {
        /// The service's URL, or `in process`.
        target: String,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The answer did not come in time.
    #[error("{target} did not answer within {seconds} s")]
    Timeout {
        /// The service's URL, or `in process`.
        target: String,
        /// The limit, in seconds.
        seconds: u64,
    },
    /// The answer is not of the form the caller expects, or too large.
    #[error("unexpected answer from {target}: {message}")]
    Malformed {
        /// The service's URL, or `in process`.
        target: String,
        /// What is wrong with it.
        message: String,
    },
    /// The request could not be built: a path that is no URI, or a body that is no JSON.
    #[error("bad request: {0}")]
    BadRequest(String),
}

impl CallError {
    /// Whether the service refused with this code.
    pub fn is_code(&self, wanted: &str) -> bool {
        matches!(self, CallError::Refused { error, .. } if error.code == wanted)
    }

    /// Whether the service refused with this status.
    pub fn is_status(&self, wanted: http::StatusCode) -> bool {
        matches!(self, CallError::Refused { status, .. } if *status == wanted)
    }

    /// Whether no connection came about, so that nothing was asked.
    pub fn is_connect(&self) -> bool {
        let mut cause: Option<&dyn std::error::Error> = Some(self);
        while let Some(error) = cause {
            if let Some(error) = error.downcast_ref::<hyper_util::client::legacy::Error>() {
                return error.is_connect();
            }
            cause = error.source();
        }
        false
    }

    /// Whether the same call may succeed later without a change: the service was away, slow or overloaded.
    pub fn is_transient(&self) -> bool {
        match self {
            CallError::Unreachable { .. } | CallError::Timeout { .. } => true,
            CallError::Refused { status, .. } => {
                status.is_server_error() || *status == http::StatusCode::TOO_MANY_REQUESTS
            }
            CallError::Malformed { .. } | CallError::BadRequest(_) => false,
        }
    }
}
