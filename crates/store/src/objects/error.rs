//! What can go wrong between us and an object store, told apart by what the caller does about it.

use std::error::Error;
use std::time::Duration;

use crate::error::is_full;

/// Says why an object can't be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ObjectError {
    /// There is none by this path.
    #[error("no object {0}")]
    NotFound(String),
    /// There is one already, and it is not equal.
    #[error("object {0} exists with other content")]
    Exists(String),
    /// No space is left.
    #[error("the object store is full: {0}")]
    Full(String),
    /// We may not, or are not who we say.
    #[error("the object store refuses us: {0}")]
    Denied(String),
    /// It can't be reached, or is not well. Try again.
    #[error("the object store is unavailable: {0}")]
    Unavailable(String),
    /// It did not answer in time. Try again.
    #[error("the object store did not answer within {} s", .0.as_secs())]
    TimedOut(Duration),
    /// The path is not one of ours.
    #[error("bad object path {0:?}")]
    BadPath(String),
    /// The URL has a scheme that is not known.
    #[error("expected file:DIR, s3://BUCKET/PREFIX or gs://BUCKET/PREFIX, found scheme {0:?}")]
    BadUrl(String),
    /// The URL names no bucket.
    #[error("{0:?} does not name a bucket: expected s3://BUCKET/PREFIX or gs://BUCKET/PREFIX")]
    BadBucket(String),
    /// What is sent there could be read on the way.
    #[error("the endpoint {0:?} is neither https:// nor on this machine: allow_http lets it be used")]
    Plain(String),
    /// The program was built without.
    #[error("this program was built without S3 and Google Cloud Storage (feature `cloud`, part of `full`)")]
    NoCloud,
    /// The store was tried at the start and is not fit.
    #[error("the object store can't be used: {what}: {source}; {remedy}")]
    Unfit {
        /// What was tried.
        what: &'static str,
        /// What may help.
        remedy: &'static str,
        /// What happened.
        #[source]
        source: Box<ObjectError>,
    },
    /// The stream that was to be written ended in an error.
    #[error("the source of object {path} failed: {source}")]
    Source {
        /// The object.
        path: String,
        /// What happened.
        #[source]
        source: std::io::Error,
    },
    /// Anything else.
    #[error("object store: {0}")]
    Other(#[source] Box<dyn Error + Send + Sync>),
}

impl ObjectError {
    /// Says whether the same call may succeed a little later without anybody's help.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::TimedOut(_))
    }
}

impl From<object_store::Error> for ObjectError {
    fn from(error: object_store::Error) -> Self {
        use object_store::Error::{NotFound, PermissionDenied, Unauthenticated};
        let text = error.to_string();
        match error {
            NotFound { path, .. } => Self::NotFound(path),
            error if is_full(&error) || is_over_quota(&text) => Self::Full(text),
            PermissionDenied { .. } | Unauthenticated { .. } => Self::Denied(text),
            // The asking for a token.
            _ if text.contains("status code: 401") || text.contains("status code: 403") => Self::Denied(text),
            error if is_away(&error, &text) => Self::Unavailable(text),
            error => Self::Other(Box::new(error)),
        }
    }
}

/// The stores' own words for a bucket that takes no more.
fn is_over_quota(text: &str) -> bool {
    ["QuotaExceeded", "StorageFull", "status code: 507"].iter().any(|words| text.contains(words))
}

/// Whether no answer came, or one that says to try again. The library tells the status in words only.
fn is_away(error: &object_store::Error, text: &str) -> bool {
    #[cfg(feature = "cloud")]
    {
        use object_store::client::{HttpError, HttpErrorKind as Kind};
        let mut at: Option<&(dyn Error + 'static)> = Some(error);
        while let Some(error) = at {
            if let Some(http) = error.downcast_ref::<HttpError>() {
                return matches!(
                    http.kind(),
                    Kind::Connect | Kind::Request | Kind::Timeout | Kind::Interrupted
                );
            }
            at = error.source();
        }
    }
    let _ = error;
    ["status code: 5", "status code: 429", "status code: 408", "Server returned error response"]
        .iter()
        .any(|words| text.contains(words))
}
