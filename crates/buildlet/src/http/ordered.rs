//! What starts a command needs an order, where the agent knows whose orders it obeys.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use super::{ApiError, Token};
use crate::agent::Agent;
use crate::order;
use crate::orders::{self, Refused};

/// The greatest body of what starts a command: a form of Go's, in bytes.
const MAX_BODY: usize = 10 << 20;

/// Lets in what was ordered. The guard has looked at password and fence before.
pub(super) async fn ordered(State(agent): State<Arc<Agent>>, request: Request, next: Next) -> Response {
    if !agent.orders.wanted() {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let body = match Limited::new(body, MAX_BODY).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            let text = format!("what starts a command has at most {MAX_BODY} bytes");
            return ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", text).into_response();
        }
        Err(error) => return ApiError::bad(format!("the request broke off: {error}")).into_response(),
    };
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    let (user, key) = (value(&parts.headers, "x-go-ssh-user"), value(&parts.headers, "x-go-authorized-key"));
    let digest = order::digest(parts.method.as_str(), target, user, key, &body);
    let asked = orders::Request {
        digest: &digest,
        lease: parts.headers.get("bw-lease").and_then(|lease| lease.to_str().ok()),
        fence: parts.extensions.get::<Token>().map(|token| token.0),
    };
    let order = parts.headers.get(order::HEADER).map(http::HeaderValue::as_bytes);
    if let Err(refused) = agent.orders.admit(order, asked) {
        tracing::warn!(%refused, path = parts.uri.path(), "nothing is started");
        return answer(&refused).into_response();
    }
    next.run(Request::from_parts(parts, Body::from(body))).await
}

fn value<'h>(headers: &'h HeaderMap, name: &str) -> &'h [u8] {
    headers.get(name).map_or(&[], http::HeaderValue::as_bytes)
}

fn answer(refused: &Refused) -> ApiError {
    let (status, code) = match refused {
        Refused::Instance | Refused::Late(_) => (StatusCode::FORBIDDEN, order::OUTDATED),
        Refused::Crowded => (StatusCode::TOO_MANY_REQUESTS, "too_many"),
        _ => (StatusCode::FORBIDDEN, "order"),
    };
    ApiError::new(status, code, refused.to_string())
}
