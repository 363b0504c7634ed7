//! The last events, for people.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;

use crate::{Event, Hub};

/// How many events are shown.
const SHOWN: usize = 50;

#[derive(Template)]
#[template(path = "events.html")]
struct Events {
    events: Vec<Arc<Event>>,
    waiting: usize,
    stores: bool,
    alone: bool,
}

/// `GET /hooks` of a larger service.
pub(super) async fn within(State(hub): State<Hub>) -> Response {
    page(&hub, false)
}

/// `GET /` and `GET /hooks` of one that is a service of its own.
pub(super) async fn alone(State(hub): State<Hub>) -> Response {
    page(&hub, true)
}

fn page(hub: &Hub, alone: bool) -> Response {
    let page = Events { events: hub.newest(SHOWN), waiting: hub.waiting(), stores: hub.is_running(), alone };
    webui::page::page(StatusCode::OK, &page)
        .unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}
