//! GitHub's webhook.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::response::{IntoResponse as _, Response};
use bytes::{Bytes, BytesMut};
use http::{Extensions, HeaderMap, Method, StatusCode};
use http_body_util::BodyExt as _;
use tokio::sync::Semaphore;

use super::{not_allowed, plain};
use crate::config::WebhookTls;
use crate::{Hint, Hub, OverTls, Published, webhook};

/// How long a body may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest id of a delivery, bytes.
const LONGEST_ID: usize = 128;
/// The unit in which [`Room`] counts, bytes.
const UNIT: usize = 1024;

/// The memory for bodies of all webhooks together: whoever sends them is not known before they are whole.
pub(crate) struct Room(Arc<Semaphore>);

impl Room {
    pub(crate) fn new(bytes: usize) -> Room {
        Room(Arc::new(Semaphore::new((bytes / UNIT).clamp(1, Semaphore::MAX_PERMITS))))
    }
}

enum Unread {
    TooLarge,
    NoRoom,
    Broken,
}

/// `POST /github-webhook` and `POST /hooks/github`. What GitHub can't mend is answered with 200, or it would send it again.
pub(super) async fn webhook(State(hub): State<Hub>, request: Request) -> Response {
    if request.method() != Method::POST {
        return not_allowed("POST");
    }
    if !is_safe(&hub.inner.config.webhook_tls, request.extensions(), request.headers()) {
        return plain(StatusCode::BAD_REQUEST, "HTTPS required");
    }
    let (head, body) = request.into_parts();
    let said = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
    let read = read(body, hub.inner.config.webhook_bytes, &hub.inner.room);
    let body = match tokio::time::timeout(PATIENCE, read).await.unwrap_or(Err(Unread::Broken)) {
        Ok((body, _room)) => body,
        Err(Unread::NoRoom) => return plain(StatusCode::SERVICE_UNAVAILABLE, "too much at once"),
        Err(why) => {
            let why = if matches!(why, Unread::TooLarge) { "it is too large" } else { "it did not come" };
            tracing::warn!(why, "a webhook is ignored");
            return StatusCode::OK.into_response();
        }
    };
    let event = match &hub.inner.config.webhook_secret {
        Some(secret) => {
            let verified = webhook::verify(secret, said("x-hub-signature-256"), &body);
            verified.and_then(|()| webhook::event(&body))
        }
        None => Err(webhook::Ignored::Signature),
    };
    let delivery = said("x-github-delivery").filter(|id| !id.is_empty() && id.len() <= LONGEST_ID);
    match event {
        Ok(event) => {
            let delivery = delivery.map(|id| format!("github {id}"));
            publish(&hub, event, delivery).await
        }
        // GitHub sends whatever it was set up to send.
        Err(why @ webhook::Ignored::Other) => {
            tracing::debug!(%why, delivery, "a webhook is ignored");
            StatusCode::OK.into_response()
        }
        Err(why) => {
            tracing::warn!(%why, delivery, "a webhook is ignored");
            StatusCode::OK.into_response()
        }
    }
}

/// An event that can't be stored is our fault: GitHub lists the delivery as failed then, and it can be asked for again.
async fn publish(hub: &Hub, event: crate::GithubEvent, delivery: Option<String>) -> Response {
    match hub.publish(Hint::Github(event), delivery).await {
        Ok(Published::New(_)) => StatusCode::OK.into_response(),
        Ok(Published::Repeated) => {
            tracing::info!("a webhook was delivered again");
            StatusCode::OK.into_response()
        }
        Err(error) => plain(StatusCode::SERVICE_UNAVAILABLE, &error.to_string()),
    }
}

/// Reads a body of at most so many bytes. One that says to be larger is not read at all.
async fn read(
    mut body: Body,
    most: usize,
    room: &Room,
) -> Result<(Bytes, Option<tokio::sync::OwnedSemaphorePermit>), Unread> {
    use axum::body::HttpBody as _;
    if body.size_hint().lower() > most as u64 {
        return Err(Unread::TooLarge);
    }
    let (mut whole, mut held) = (BytesMut::new(), None::<tokio::sync::OwnedSemaphorePermit>);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Unread::Broken)?.into_data() else { continue };
        if whole.len() + data.len() > most {
            return Err(Unread::TooLarge);
        }
        whole.extend_from_slice(&data);
        let has = held.as_ref().map_or(0, tokio::sync::OwnedSemaphorePermit::num_permits);
        let more = u32::try_from(whole.len().div_ceil(UNIT).saturating_sub(has)).unwrap_or(u32::MAX);
        let permit = Arc::clone(&room.0).try_acquire_many_owned(more).map_err(|_| Unread::NoRoom)?;
        match &mut held {
            Some(held) => held.merge(permit),
            None => held = Some(permit),
        }
    }
    Ok((whole.freeze(), held))
}

/// Whether nobody between GitHub and us could read or change it.
fn is_safe(rule: &WebhookTls, extensions: &Extensions, headers: &HeaderMap) -> bool {
    let WebhookTls::Required { proxies } = rule else { return true };
    if extensions.get::<OverTls>().is_some() {
        return true;
    }
    let peer = extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip().to_canonical());
    let trusted = peer.is_some_and(|peer| proxies.iter().map(IpAddr::to_canonical).any(|one| one == peer));
    // What stands before the last comma was said by others than this proxy.
    let last = headers.get_all("x-forwarded-proto").iter().next_back().and_then(|value| value.to_str().ok());
    let last = last.and_then(|text| text.rsplit(',').next()).map(str::trim);
    trusted && last.is_some_and(|said| said.eq_ignore_ascii_case("https"))
}
