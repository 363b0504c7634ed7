//! A request as the original's handlers see it.

use std::sync::{Mutex, PoisonError};

use axum::body::{Body, Bytes};
use axum::extract::Request;
use http::{HeaderMap, Method, header};

use super::super::Dashboard;
use super::Dash;
use super::answer::{Fault, Outcome};

/// Largest body, in bytes: that of the original's host.
pub(super) const LARGEST_BODY: usize = 32 << 20;
/// Builders whose own keys are not taken any more.
const REVOKED: [&str; 2] = ["plan9-amd64-mischief", "linux-arm-onlinenet"];

/// One of the dashboards.
#[derive(Debug, Clone)]
pub(super) struct Desk {
    pub(super) dashboard: Dashboard,
    pub(super) dash: Dash,
}

/// A request: its parameters are those of the query, never of the body.
pub(super) struct Call {
    pub(super) desk: Desk,
    pub(super) method: Method,
    pub(super) headers: HeaderMap,
    query: Vec<(String, String)>,
    /// In a lock only so that a call may be lent to what waits.
    body: Mutex<Body>,
}

impl Call {
    pub(super) fn new(desk: Desk, request: Request) -> Self {
        let (parts, body) = request.into_parts();
        let query = form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes());
        // PostgreSQL's texts can't hold a zero.
        let query = query.map(|(key, value)| (key.into_owned(), value.replace('\0', "\u{fffd}")));
        Call {
            desk,
            method: parts.method,
            headers: parts.headers,
            query: query.collect(),
            body: Mutex::new(body),
        }
    }

    /// The first value of a parameter, or nothing.
    pub(super) fn form<'a>(&'a self, key: &'a str) -> &'a str {
        self.all(key).next().unwrap_or_default()
    }

    /// All values of a parameter.
    pub(super) fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.query.iter().filter(move |(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// A number, 0 where there is none.
    pub(super) fn number(&self, key: &str) -> i64 {
        self.form(key).parse().unwrap_or(0)
    }

    /// What the client calls us.
    pub(super) fn host(&self) -> &str {
        self.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default()
    }

    /// Whether the builder's own key was revoked.
    pub(super) fn is_revoked(&self) -> bool {
        REVOKED.contains(&self.form("builder"))
    }

    /// Refuses a post without a good key.
    pub(super) fn authenticated(&self) -> Result<(), Fault> {
        if self.method != Method::POST {
            return Ok(());
        }
        let (key, builder) = (self.form("key"), self.form("builder"));
        let ring = self.desk.dashboard.builder_keys();
        if ring.is_master(key) || (!self.is_revoked() && ring.is_of(key, builder)) {
            return Ok(());
        }
        let (key, builder) = (super::keys::quoted(key), super::keys::quoted(builder));
        Err(Fault(format!("invalid key {key} for builder {builder}")))
    }

    /// Refuses what is said of another builder than the one whose key it came with. The original takes it.
    pub(super) fn speaks_for(&self, builder: &str) -> Result<(), Fault> {
        let key = self.form("key");
        if builder == self.form("builder") || self.desk.dashboard.builder_keys().is_master(key) {
            return Ok(());
        }
        let (key, builder) = (super::keys::quoted(key), super::keys::quoted(builder));
        Err(Fault(format!("invalid key {key} for builder {builder}")))
    }

    /// Refuses another method than POST.
    pub(super) fn post_only(&self) -> Result<(), Fault> {
        if self.method == Method::POST { Ok(()) } else { Err(self.bad_method()) }
    }

    pub(super) fn bad_method(&self) -> Fault {
        Fault(format!("bad method: {}", self.method))
    }

    /// Reads the body.
    pub(super) async fn body(&mut self) -> Result<Bytes, Fault> {
        let body = std::mem::take(self.body.get_mut().unwrap_or_else(PoisonError::into_inner));
        axum::body::to_bytes(body, LARGEST_BODY)
            .await
            .map_err(|_| Fault(format!("the body breaks off or has more than {LARGEST_BODY} bytes")))
    }

    pub(super) fn refuse(text: &str) -> Outcome {
        Err(Fault::new(text))
    }
}
