//! The last events, for people.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::{StatusCode, header};

use crate::{Event, Hub};

/// How many events are shown.
const SHOWN: usize = 50;
/// The page is text, and nothing else is ever loaded for it.
const POLICY: &str = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

#[derive(Template)]
#[template(path = "events.html")]
struct Events {
    events: Vec<Arc<Event>>,
}

/// `GET /` and `GET /hooks`
pub(super) async fn page(State(hub): State<Hub>) -> Response {
    let head = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    match (Events { events: hub.newest(SHOWN) }).render() {
        Ok(text) => (head, text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
