//! Which path is whose, who may ask, and what errors look like.

mod arriving;
pub(crate) mod bw1;
mod error;
mod ordered;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get, post};
use axum::{Extension, Router};
use base64::Engine as _;
use http::{HeaderValue, Method, StatusCode, Uri, header};
use subtle::ConstantTimeEq as _;

use crate::agent::{Agent, Contact};
use crate::fence::FenceError;
use crate::original;
use crate::server::{Activity, Busy};
use arriving::Arriving;

pub(crate) use error::{ApiError, GoError, is_full};

/// Marks a connection's first request, whose `TE: trailers` may be ours.
#[derive(Clone, Copy)]
pub(crate) struct First;

/// The whole service.
pub(crate) fn router(agent: Arc<Agent>) -> Router {
    let guarded = Router::new()
        .route("/status", any(original::status))
        .route("/workdir", any(original::workdir))
        .route("/halt", any(original::halt))
        .route("/write", any(original::write))
        .route("/writetgz", any(original::writetgz))
        .route("/tgz", any(original::tgz))
        .route("/ls", any(original::ls))
        .route("/removeall", any(original::removeall))
        .route("/exec", any(original::exec).layer(from_fn_with_state(Arc::clone(&agent), ordered::ordered)))
        .route(
            "/connect-ssh",
            any(original::connect_ssh).layer(from_fn_with_state(Arc::clone(&agent), ordered::ordered)),
        )
        .route("/debug/goroutines", any(original::goroutines))
        .route("/bw1/exec", post(bw1::start).layer(from_fn_with_state(Arc::clone(&agent), ordered::ordered)))
        .route("/bw1/exec/{id}", get(bw1::state).delete(bw1::kill))
        .route("/bw1/exec/{id}/output", get(bw1::output))
        .route("/bw1/exec/{id}/ack", post(bw1::ack))
        .route("/bw1/wipe", post(bw1::wipe))
        .route("/bw1/extend", post(bw1::extend))
        .route("/bw1/glob", post(bw1::glob))
        .route("/bw1/file", get(bw1::file))
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(Arc::clone(&agent), guard));
    Router::new()
        .route("/", any(original::root))
        .route("/healthz", any(original::healthz))
        .route("/debug/x", any(original::letters))
        .merge(guarded)
        .fallback(not_found)
        .method_not_allowed_fallback(async || {
            ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method", "this path does not know this method")
        })
        .layer(axum::middleware::from_fn(close_without_te))
        .with_state(agent)
}

/// Sends who writes a path in another way to the path, as Go's does; the rest is nothing.
async fn not_found(uri: Uri) -> Response {
    let path = uri.path();
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    // One slash in front, so that it never names another host.
    let mut clean = format!("/{}", parts.join("/"));
    if path.ends_with('/') && clean.len() > 1 {
        clean.push('/');
    }
    let query = uri.query().map_or_else(String::new, |query| format!("?{query}"));
    match HeaderValue::try_from(format!("{clean}{query}")) {
        Ok(location) if clean != path => {
            (StatusCode::MOVED_PERMANENTLY, [(header::LOCATION, location)]).into_response()
        }
        _ => GoError(StatusCode::NOT_FOUND, "404 page not found".to_owned()).into_response(),
    }
}

/// Lets in only who knows the password, holds no stale lease, and notes the contact until the answer is sent.
async fn guard(State(agent): State<Arc<Agent>>, mut request: Request, next: Next) -> Response {
    if !allowed(&agent, request.headers().get(header::AUTHORIZATION)) {
        return GoError(StatusCode::FORBIDDEN, "invalid password".to_owned()).into_response();
    }
    let lease = request.headers().get("bw-lease").and_then(|v| v.to_str().ok());
    let contact = agent.contact(lease);
    let busy = request.extensions().get::<Arc<Activity>>().map(Activity::begin);
    if let Some(fence) = request.headers().get("bw-fence") {
        let Some(token) = fence.to_str().ok().and_then(|text| text.parse::<u64>().ok()) else {
            return ApiError::new(StatusCode::BAD_REQUEST, "bad_fence", "Bw-Fence is no number")
                .into_response();
        };
        if request.method() != Method::GET && request.method() != Method::HEAD {
            match agent.fence.admit(token).await {
                Ok(()) => {}
                Err(FenceError::Stale(current)) => return ApiError::stale(current).into_response(),
                Err(FenceError::Store(error)) => return ApiError::io(&error).into_response(),
            }
            request.extensions_mut().insert(Token(token));
        }
    }
    let stall = agent.stall;
    let request = request.map(|body| Body::new(Arriving::new(body, stall)));
    let response = next.run(request).await;
    let (parts, body) = response.into_parts();
    Response::from_parts(parts, Body::new(HeldBody { body, _contact: contact, _busy: busy }))
}

/// The fencing token with which a request was let in.
#[derive(Clone, Copy)]
pub(crate) struct Token(pub(crate) u64);

/// The newer fencing token that has come since somebody was let in, while the rest of what they want was waited for; nobody
/// outruns who has none.
pub(crate) fn outrun(agent: &Agent, token: Option<Extension<Token>>) -> Option<u64> {
    let newest = agent.fence.current();
    token.filter(|Extension(Token(token))| *token < newest).map(|_| newest)
}

fn allowed(agent: &Agent, header: Option<&HeaderValue>) -> bool {
    let Some(password) = &agent.password else { return true };
    let given = header
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"))
        .and_then(|(_, encoded)| base64::engine::general_purpose::STANDARD.decode(encoded.trim()).ok())
        .and_then(|decoded| {
            let colon = decoded.iter().position(|b| *b == b':')?;
            Some(decoded.split_at(colon + 1).1.to_vec())
        });
    given.is_some_and(|given| given.ct_eq(password.as_bytes()).into())
}

/// Ends the connection of a client that did not itself say `TE: trailers`, so that `te.rs` meets every request
/// of such a client as a first one.
async fn close_without_te(request: Request, next: Next) -> Response {
    let ours = usize::from(request.extensions().get::<First>().is_some());
    let says_it = request.headers().get_all(header::TE).iter().count() > ours;
    let mut response = next.run(request).await;
    if !says_it && response.status() != StatusCode::SWITCHING_PROTOCOLS {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// A body that counts as contact until it was sent.
struct HeldBody {
    body: Body,
    _contact: Contact,
    _busy: Option<Busy>,
}

impl http_body::Body for HeldBody {
    type Data = bytes::Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Self::Data>, Self::Error>>> {
        std::pin::Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}
