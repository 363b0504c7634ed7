//! Webhooks: what is told of an operation, signed, and whether it arrived.

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use super::State;
use super::render::time;
use super::world::{OWNER, REPO};

/// A webhook that is to be sent.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// The header `X-GitHub-Event`.
    pub event: String,
    /// What happened.
    pub action: String,
    /// The body.
    pub body: Vec<u8>,
}

impl Webhook {
    pub(super) fn of(told: Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let payload = &told["payload"];
        Self {
            event: text(&told["event"]),
            action: text(&payload["action"]),
            body: payload.to_string().into_bytes(),
        }
    }

    /// The header `X-Hub-Signature-256` for a secret.
    ///
    /// # Panics
    /// Never: a key of any length is one.
    pub fn signature(&self, secret: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key may have any length");
        mac.update(&self.body);
        let digest: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("sha256={digest}")
    }
}

/// A webhook as it is set up.
pub(super) fn hook(url: &str, id: i64, active: bool) -> Value {
    let at = format!("https://api.github.com/repos/{OWNER}/{REPO}/hooks/{id}");
    json!({
        "type": "Repository", "id": id, "name": "web", "active": active, "events": ["issues", "issue_comment"],
        "config": {"url": url, "content_type": "json", "insecure_ssl": "0", "secret": "********"},
        "updated_at": time(0), "created_at": time(0), "url": at, "test_url": format!("{at}/test"),
        "ping_url": format!("{at}/pings"), "deliveries_url": format!("{at}/deliveries"),
        "last_response": {"code": 200, "status": "active", "message": "OK"},
    })
}

#[derive(Debug, Clone)]
pub(super) struct Delivery {
    id: i64,
    event: String,
    action: String,
    at: i64,
    status: u16,
}

impl Delivery {
    pub(super) fn json(&self) -> Value {
        json!({
            "id": self.id, "guid": format!("00000000-0000-0000-0000-{:012x}", self.id), "delivered_at": time(self.at),
            "redelivery": false, "duration": 0.1, "status": if self.status < 300 { "OK" } else { "Bad Gateway" },
            "status_code": self.status, "event": self.event, "action": self.action, "installation_id": null,
            "repository_id": 23_096_959, "throttled_at": null,
        })
    }
}

impl State {
    pub(super) fn delivered(&mut self, webhook: &Webhook, arrived: bool, now: i64) {
        self.deliveries.push(Delivery {
            id: self.deliveries.len() as i64 + 1,
            event: webhook.event.clone(),
            action: webhook.action.clone(),
            at: now,
            status: if arrived { 200 } else { 502 },
        });
    }
}
