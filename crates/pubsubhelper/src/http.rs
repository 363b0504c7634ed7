//! The long poll, the list, the webhook, and a page for people.

mod page;
mod room;
mod webhook;

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::{Method, StatusCode, header};
use jiff::Timestamp;
use transport::routes::{any, get};
use transport::{Role, Routes};

pub(crate) use room::Room;

use crate::{BadTime, Event, Hub, parse_time};

const JSON: (header::HeaderName, &str) = (header::CONTENT_TYPE, "application/json; charset=utf-8");
/// How many events are written at once.
const PIECE: usize = 64;

/// Gives all of a helper that is a service of its own.
pub fn router(hub: &Hub) -> Router {
    routes(hub).into_router()
}

/// The same, each route with its role.
pub fn routes(hub: &Hub) -> Routes {
    let own = Routes::new()
        .route("/", get(Role::Reader, page::alone))
        .route("/hooks", get(Role::Reader, page::alone))
        .route("/healthz", get(Role::Anonymous, healthz))
        .route(webui::assets::PATH, get(Role::Anonymous, webui::assets::asset))
        .with_state(hub.clone());
    services(hub).merge(own)
}

/// Gives what a helper has within a larger service, whose own `/` and `/healthz` are: the page is at `/hooks` there.
///
/// The long poll, the list and the page are for readers. The webhook is for whoever reaches it: it is known by its signature.
pub fn routes_within(hub: &Hub) -> Routes {
    let page = Routes::new().route("/hooks", get(Role::Reader, page::within)).with_state(hub.clone());
    services(hub).merge(page)
}

/// What programs ask. Methods are looked at here, since a method that is not known is answered with 405 whoever asks, as the
/// original does.
fn services(hub: &Hub) -> Routes {
    Routes::new()
        .route("/waitevent", any(Role::Reader, wait).waits())
        .route("/recent", any(Role::Reader, recent))
        .route("/github-webhook", any(Role::Anonymous, webhook::webhook).streams_its_body())
        .route("/hooks/github", any(Role::Anonymous, webhook::webhook).streams_its_body())
        .with_state(hub.clone())
}

/// `GET /waitevent[?after=TIME]`
async fn wait(State(hub): State<Hub>, method: Method, RawQuery(query): RawQuery) -> Response {
    match method {
        Method::GET => {}
        Method::HEAD => return plain(StatusCode::BAD_REQUEST, "requires GET"),
        _ => return not_allowed("GET, HEAD"),
    }
    match after(query.as_deref()) {
        Ok(after) => ([JSON], hub.wait(after).await.to_json()).into_response(),
        Err(error) => plain(StatusCode::BAD_REQUEST, &error.to_string()),
    }
}

/// `GET /recent[?after=TIME]`
async fn recent(State(hub): State<Hub>, method: Method, RawQuery(query): RawQuery) -> Response {
    if !matches!(method, Method::GET | Method::HEAD) {
        return not_allowed("GET, HEAD");
    }
    match after(query.as_deref()) {
        Ok(after) => ([JSON], list(hub.recent(after.unwrap_or(Timestamp::MIN)))).into_response(),
        Err(error) => plain(StatusCode::BAD_REQUEST, &error.to_string()),
    }
}

/// A list as the original writes it. Piece by piece, since an hour can be long.
fn list(events: Vec<Arc<Event>>) -> Body {
    let count = events.len().div_ceil(PIECE).max(1);
    let pieces = (0..count).map(move |n| {
        let from = n * PIECE;
        let piece = &events[from..events.len().min(from + PIECE)];
        let texts: Vec<String> = piece.iter().map(|event| event.to_json()).collect();
        let (start, end) = (if n == 0 { "[\n" } else { ",\n" }, if n + 1 == count { "\n]\n" } else { "" });
        Ok::<_, Infallible>(format!("{start}{}{end}", texts.join(",\n")))
    });
    Body::from_stream(futures::stream::iter(pieces))
}

/// The first `after` of a query; none where it is missing or empty.
fn after(query: Option<&str>) -> Result<Option<Timestamp>, BadTime> {
    let mut pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    let text = pairs.find(|(name, _)| name == "after").map(|(_, value)| value).unwrap_or_default();
    if text.is_empty() { Ok(None) } else { parse_time(&text).map(Some) }
}

/// `GET /healthz`
async fn healthz(State(hub): State<Hub>) -> Response {
    if hub.is_running() {
        return plain(StatusCode::OK, "ok");
    }
    plain(StatusCode::SERVICE_UNAVAILABLE, "nobody stores events")
}

fn plain(status: StatusCode, text: &str) -> Response {
    (status, format!("{text}\n")).into_response()
}

fn not_allowed(methods: &'static str) -> Response {
    let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "method not allowed");
    response.headers_mut().insert(header::ALLOW, http::HeaderValue::from_static(methods));
    response
}
