//! Webhooks: JSON that is posted to an address of the server file, signed. See docs/notifications.md for what a receiver does.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::Body;
use futures::future::BoxFuture;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderValue, Request, StatusCode, Uri, header};
use serde_json::Value;
use sha2::Sha256;
use transport::{CallError, Service};

use super::{Again, Channel, Delivered, Delivery, Failure, Kind, Message};
use crate::clock::SharedClock;

/// How long a receiver may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// So much of an answer that says no is read, bytes.
const WORDS: usize = 4096;

/// Something to tell a webhook.
#[must_use]
pub fn message(key: &str, webhook: &str, body: Value) -> Message {
    Message { key: key.to_owned(), channel: Kind::Webhook, target: webhook.to_owned(), body }
}

/// A webhook of the server file.
pub struct Webhook {
    service: Service,
    path: String,
    secret: Vec<u8>,
}

/// Why a webhook can't be used.
#[derive(Debug, thiserror::Error)]
pub enum BadWebhook {
    /// Its address is none.
    #[error("{0:?} is no address of a webhook: it must be https://HOST/PATH, without a user")]
    Address(String),
    /// Its address is not everybody's.
    #[error("{0}; if it is to be asked nevertheless, say `private = true`")]
    Private(String),
    /// It has no secret.
    #[error("a webhook's secret is empty: what is posted would be signed by nothing")]
    NoSecret,
}

impl Webhook {
    /// Makes one. An address of this machine or of a private network is refused, by its name when it is asked, unless it is `private`.
    ///
    /// # Errors
    /// See [`BadWebhook`].
    pub fn new(url: &str, secret: &str, private: Privacy) -> Result<Self, BadWebhook> {
        let bad = || BadWebhook::Address(url.chars().take(200).collect());
        let uri: Uri = url.parse().map_err(|_| bad())?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return Err(bad()) };
        if !matches!(scheme, "http" | "https") || authority.as_str().contains('@') {
            return Err(bad());
        }
        if secret.is_empty() {
            return Err(BadWebhook::NoSecret);
        }
        let base = format!("{scheme}://{authority}");
        let service = match private {
            Privacy::May => Service::url(&base),
            Privacy::MayNot => {
                Service::public_url(&base).map_err(|error| BadWebhook::Private(error.to_string()))?
            }
        };
        let path = uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string);
        Ok(Self { service: service.with_timeout(PATIENCE), path, secret: secret.as_bytes().to_vec() })
    }
}

/// Whether an address may be one of this machine or of a private network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Privacy {
    /// Only addresses that are everybody's.
    MayNot,
    /// Any address.
    May,
}

/// Posts to webhooks.
pub struct Webhooks {
    /// By name.
    pub webhooks: BTreeMap<String, Webhook>,
    /// What time a delivery has.
    pub clock: SharedClock,
}

/// The signature of a delivery: `sha256=` and the HMAC-SHA256 over its time (seconds since 1970, in digits), a dot and its body.
fn signature(secret: &[u8], seconds: i64, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("invariant: HMAC takes a key of any length");
    mac.update(format!("{seconds}.{body}").as_bytes());
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

impl Webhooks {
    async fn post(&self, delivery: Delivery<'_>) -> Result<Delivered, Failure> {
        let Some(webhook) = self.webhooks.get(delivery.target) else {
            let name = delivery.target;
            return Err(Failure::later(format!(
                "the server file has no section [webhook.{name}] any more: give it one"
            )));
        };
        let seconds = self.clock.now().0.div_euclid(1_000_000);
        let request = Request::post(&*webhook.path)
            .header(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .header(header::USER_AGENT, concat!("bellwether/", env!("CARGO_PKG_VERSION")))
            .header("x-bellwether-delivery", delivery.marker)
            .header("x-bellwether-timestamp", seconds)
            .header("x-bellwether-signature", signature(&webhook.secret, seconds, delivery.body))
            .body(Body::from(delivery.body.to_owned()))
            .map_err(|error| Failure::never(error.to_string()))?;
        let response = webhook.service.send(request).await.map_err(|error| match error {
            // It is an inner address by its name, or one of https where that is not built in: a person may mend either.
            CallError::BadRequest(why) => Failure::later(why),
            error => Failure::later(error.to_string()),
        })?;
        let status = response.status();
        if status.is_success() {
            return Ok(Delivered::Now);
        }
        let read = tokio::time::timeout(PATIENCE, axum::body::to_bytes(response.into_body(), WORDS)).await;
        let words = read.ok().and_then(Result::ok).unwrap_or_default();
        let words: String = String::from_utf8_lossy(&words).trim().chars().take(200).collect();
        let (message, again) = verdict(status, &words);
        Err(Failure { message, again })
    }
}

fn verdict(status: StatusCode, words: &str) -> (String, Again) {
    if status.is_redirection() {
        let message = format!(
            "it answers {status}, and nobody is followed elsewhere: name its last address in the server file"
        );
        return (message, Again::Later);
    }
    let message = format!("it answers {status}: {words:?}");
    // What a person may mend, or time: the rest is the receiver's word that it does not want this message.
    let later = status.is_server_error() || matches!(status.as_u16(), 401 | 403 | 404 | 408 | 425 | 429);
    (message, if later { Again::Later } else { Again::Never })
}

impl Channel for Webhooks {
    fn deliver<'a>(&'a self, delivery: Delivery<'a>) -> BoxFuture<'a, Result<Delivered, Failure>> {
        Box::pin(self.post(delivery))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_address_that_is_everybody_s_is_one_unless_said_otherwise() {
        let made = |url: &str, private| Webhook::new(url, "s", private).map(|made| made.path);
        assert_eq!(made("https://example.org/a/b?c=d", Privacy::MayNot).unwrap(), "/a/b?c=d");
        assert_eq!(made("https://example.org", Privacy::MayNot).unwrap(), "/");
        assert!(matches!(made("http://127.0.0.1:1/x", Privacy::MayNot), Err(BadWebhook::Private(_))));
        assert!(matches!(made("http://[::1]/x", Privacy::MayNot), Err(BadWebhook::Private(_))));
        assert!(made("http://127.0.0.1:1/x", Privacy::May).is_ok());
        for bad in ["", "example.org/x", "ftp://example.org/", "https://u:p@example.org/", "/x"] {
            assert!(matches!(made(bad, Privacy::May), Err(BadWebhook::Address(_))), "{bad}");
        }
        assert!(matches!(Webhook::new("https://example.org", "", Privacy::May), Err(BadWebhook::NoSecret)));
    }

    #[test]
    fn a_signature_is_what_the_manual_says() {
        // printf '1790000000.{"a":1}' | openssl dgst -sha256 -hmac s3cr3t
        let known = "sha256=8a51f1eea5188f8130aaeacb66b85607b6b1d1560784c68c6715c43a1be8d0fa";
        assert_eq!(signature(b"s3cr3t", 1_790_000_000, r#"{"a":1}"#), known);
    }

    #[test]
    fn what_the_receiver_does_not_want_is_not_sent_again() {
        for (status, again) in [
            (500, Again::Later),
            (404, Again::Later),
            (302, Again::Later),
            (422, Again::Never),
            (410, Again::Never),
        ] {
            assert_eq!(verdict(StatusCode::from_u16(status).unwrap(), "").1, again, "{status}");
        }
    }
}
