//! What a handler answers when it can't do what was asked: one JSON shape, causes logged and never shown.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use store::{EventId, Micros, ObjectError, StoreError};
use transport::ApiError;
pub(crate) use transport::extract::{Input, Path, Query};

/// When to come again, in seconds, to what is away now.
pub(crate) const LATER: &str = "5";

/// A refusal.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

pub(crate) type Answer<T> = Result<T, Refusal>;

impl Refusal {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    pub(crate) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    /// Reads how many are asked for.
    pub(crate) fn limit(asked: Option<u32>, usual: u32, most: u32) -> Answer<u32> {
        match asked.unwrap_or(usual) {
            limit if (1..=most).contains(&limit) => Ok(limit),
            limit => Err(Self::bad(format!("`limit` is {limit}, and is from 1 to {most}"))),
        }
    }

    pub(crate) fn not_found(what: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("no {what}"))
    }

    /// Says that something was kept until a day, by the rules of retention.
    pub(crate) fn gone(what: &str, when: Micros) -> Self {
        let day =
            jiff::Timestamp::from_microsecond(when.0).unwrap_or_default().strftime("%Y-%m-%d").to_string();
        Self::new(StatusCode::GONE, "expired", format!("{what} expired on {day}: it is not kept any longer"))
    }

    pub(crate) fn conflict(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, message)
    }

    pub(crate) fn stale() -> Self {
        Self::conflict("stale", "somebody with a newer fence or version has it")
    }

    /// Whether it is only that the bytes of a log can't be had: they are away for now, or kept no more.
    pub(crate) fn is_about_content(&self) -> bool {
        matches!(self.status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::GONE)
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let request_id = EventId::generate(Micros::now()).to_string();
        let internal = self.status == StatusCode::INTERNAL_SERVER_ERROR;
        let message = if internal {
            tracing::error!(request_id, cause = self.message, "a request failed");
            "internal error; the server's log has it under the request id".to_owned()
        } else {
            self.message
        };
        let answer = (self.status, Json(ApiError { code: self.code.to_owned(), message, request_id }));
        match self.status {
            StatusCode::SERVICE_UNAVAILABLE => ([(header::RETRY_AFTER, LATER)], answer).into_response(),
            _ => answer.into_response(),
        }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Stale => Self::stale(),
            StoreError::Busy(_) | StoreError::Unavailable(_) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", error.to_string())
            }
            StoreError::Full(_) => Self::new(StatusCode::INSUFFICIENT_STORAGE, "full", error.to_string()),
            StoreError::Conflict(_) => Self::conflict("conflict", error.to_string()),
            other => Self::internal(other.to_string()),
        }
    }
}

impl From<ObjectError> for Refusal {
    fn from(error: ObjectError) -> Self {
        match error {
            ObjectError::Full(_) => Self::new(StatusCode::INSUFFICIENT_STORAGE, "full", error.to_string()),
            // The database knows of it, so that it was there. Nothing but this is wrong with the rest.
            ObjectError::NotFound(object) => {
                tracing::error!(
                    object,
                    "an object is lost: the database knows of it, and its store does not"
                );
                let message = "what this held is lost: the store of logs and artefacts no longer has it";
                Self::new(StatusCode::GONE, "lost", message)
            }
            ObjectError::Unavailable(_) | ObjectError::TimedOut(_) | ObjectError::Denied(_) => {
                tracing::warn!(%error, "a request has to come again");
                let message = "logs and artefacts are temporarily unavailable: their store does not answer";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
            }
            other => Self::internal(other.to_string()),
        }
    }
}
