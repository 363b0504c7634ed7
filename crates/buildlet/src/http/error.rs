//! The two shapes of an error: Go's text and our JSON.

use std::io;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};

use crate::wire::ErrorBody;

/// An error as Go's `http.Error` writes it.
#[derive(Debug)]
pub(crate) struct GoError(pub(crate) StatusCode, pub(crate) String);

impl GoError {
    pub(crate) fn bad(message: impl Into<String>) -> Self {
        Self(StatusCode::BAD_REQUEST, message.into())
    }
}

impl IntoResponse for GoError {
    fn into_response(self) -> Response {
        let mut response = (self.0, format!("{}\n", self.1)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        response
    }
}

/// An error of `/bw1`.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    body: ErrorBody,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self { status, body: ErrorBody { code: code.to_owned(), message: message.into(), current: None } }
    }

    pub(crate) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    pub(crate) fn stale(current: u64) -> Self {
        let mut error =
            Self::new(StatusCode::CONFLICT, "stale_fence", format!("a newer lease ({current}) exists"));
        error.body.current = Some(current);
        error
    }

    /// A full disk is its own answer; of the rest the caller learns the system's words.
    pub(crate) fn io(error: &io::Error) -> Self {
        if is_full(error) {
            return Self::new(StatusCode::INSUFFICIENT_STORAGE, "no_space", "the worker's disk is full");
        }
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "io", error.to_string())
    }
}

/// Says whether the disk, or our share of it, is full.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.status, axum::Json(self.body)).into_response()
    }
}
