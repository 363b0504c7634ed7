//! GitHub's webhook.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::response::{IntoResponse as _, Response};
use bytes::BytesMut;
use http::{Extensions, HeaderMap, Method, StatusCode};
use http_body_util::BodyExt as _;

use super::room::{NoRoom, Place, Room};
use super::{not_allowed, plain};
use crate::config::WebhookTls;
use crate::webhook::{Ignored, Signature};
use crate::{GithubEvent, Hint, Hub, OverTls, Published, rerequest, webhook};

/// How long a body may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A body, with its room for as long as it is there.
struct Held {
    bytes: BytesMut,
    place: Place,
}

#[derive(Debug)]
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
    // The header comes first: nothing is read for those who do not even claim to be GitHub.
    let config = &hub.inner.config;
    let (Some(secret), Ok(signature)) = (&config.webhook_secret, signature(&head.headers)) else {
        return ignored(&Ignored::Signature);
    };
    let read = read(body, config.webhook_bytes, &hub.inner.room);
    let body = match tokio::time::timeout(PATIENCE, read).await.unwrap_or(Err(Unread::Broken)) {
        Ok(body) => body,
        Err(Unread::NoRoom) => return plain(StatusCode::SERVICE_UNAVAILABLE, "too much at once"),
        Err(why) => {
            let why = if matches!(why, Unread::TooLarge) { "it is too large" } else { "it did not come" };
            tracing::warn!(why, "a webhook is ignored");
            return StatusCode::OK.into_response();
        }
    };
    let verified = signature.verify(secret, &body.bytes);
    let event = verified.and_then(|()| webhook::event(&body.bytes));
    let again = match (&event, &config.rerequests) {
        (Err(Ignored::Other), Some(told)) => {
            rerequest::read(&body.bytes, signature.delivery()).map(|one| (told, one))
        }
        _ => None,
    };
    // Only the event is stored, which may take a while.
    drop(body);
    if let Some((told, one)) = again {
        return match told.0(one).await {
            true => StatusCode::OK.into_response(),
            false => plain(StatusCode::SERVICE_UNAVAILABLE, "nobody can take it now"),
        };
    }
    match event {
        Ok(event) => publish(&hub, event, signature.delivery()).await,
        Err(why) => ignored(&why),
    }
}

/// The one signature that is said.
fn signature(headers: &HeaderMap) -> Result<Signature, Ignored> {
    let mut said = headers.get_all("x-hub-signature-256").iter();
    let (Some(one), None) = (said.next(), said.next()) else { return Err(Ignored::Signature) };
    Signature::read(one.to_str().map_err(|_| Ignored::Signature)?)
}

fn ignored(why: &Ignored) -> Response {
    match why {
        // GitHub sends whatever it was set up to send.
        Ignored::Other => tracing::debug!(%why, "a webhook is ignored"),
        why => tracing::warn!(%why, "a webhook is ignored"),
    }
    StatusCode::OK.into_response()
}

/// An event that can't be stored is our fault: GitHub lists the delivery as failed then, and it can be asked for again.
async fn publish(hub: &Hub, event: GithubEvent, delivery: String) -> Response {
    match hub.publish(Hint::Github(event), Some(delivery)).await {
        Ok(Published::New(_)) => StatusCode::OK.into_response(),
        Ok(Published::Repeated) => {
            tracing::info!("a webhook was delivered again");
            StatusCode::OK.into_response()
        }
        Err(error) => plain(StatusCode::SERVICE_UNAVAILABLE, &error.to_string()),
    }
}

/// Reads a body of at most so many bytes. One that says to be larger is not read at all.
async fn read(mut body: Body, most: usize, room: &Room) -> Result<Held, Unread> {
    use axum::body::HttpBody as _;
    if body.size_hint().lower() > most as u64 {
        return Err(Unread::TooLarge);
    }
    let mut held = Held { bytes: BytesMut::new(), place: room.place() };
    loop {
        let frame = tokio::select! {
            frame = body.frame() => frame,
            () = held.place.yields() => return Err(Unread::NoRoom),
        };
        let Some(frame) = frame else { return Ok(held) };
        let Ok(data) = frame.map_err(|_| Unread::Broken)?.into_data() else { continue };
        if held.bytes.len() + data.len() > most {
            return Err(Unread::TooLarge);
        }
        held.place.grow(data.len()).await.map_err(|NoRoom| Unread::NoRoom)?;
        held.bytes.extend_from_slice(&data);
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_has_its_room_for_as_long_as_it_is_there() {
        let room = Room::new(40);
        let body = read(Body::from(vec![0; 30]), 1 << 20, &room).await.unwrap();
        assert_eq!(room.used(), 30);
        let Held { bytes, place } = body;
        drop(bytes);
        assert_eq!(room.used(), 30);
        drop(place);
        let large = read(Body::from(vec![0; 41]), 1 << 20, &room).await;
        assert!(matches!(large, Err(Unread::NoRoom)));
        assert_eq!(room.used(), 0);
    }
}
