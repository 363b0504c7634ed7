//! Signs what starts something on a machine, so that the agent there knows that it is the coordinator's own order.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Request};
use tokio::time::Instant;

use crate::error::Error;
use crate::order::{self, Order};
use crate::pool::Body;
use crate::wire::AgentStatus;

/// How long the command of an order may be started: a request that takes longer is given up and signed anew.
const GOOD_FOR: Duration = Duration::from_secs(120);

/// Who signs.
pub trait Signer: Send + Sync {
    /// Signs bytes, Ed25519.
    fn sign(&self, bytes: &[u8]) -> [u8; 64];
    /// Something random that was never returned before, of at most 64 letters and digits.
    fn nonce(&self) -> String;
}

/// What is done on a machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// The commits that it is about, as `REPO@COMMIT`.
    pub commits: Vec<String>,
    /// How far it is trusted: `landed` or `held`.
    pub trust: &'static str,
}

/// Makes the orders for one machine; clones know of the same agent.
#[derive(Clone)]
pub(crate) struct Orders {
    signer: Arc<dyn Signer>,
    machine: String,
    about: About,
    agent: Arc<Mutex<Option<Agent>>>,
}

/// The process that is there, and its clock when it was asked.
#[derive(Clone)]
struct Agent {
    instance: String,
    uptime: Duration,
    asked: Instant,
}

impl Orders {
    pub(crate) fn new(signer: Arc<dyn Signer>, machine: &str) -> Self {
        Self { signer, machine: machine.to_owned(), about: About::default(), agent: Arc::default() }
    }

    /// The same, about something.
    pub(crate) fn about(&self, about: About) -> Self {
        Self { about, ..self.clone() }
    }

    /// Notes what an agent says of itself.
    pub(crate) fn note(&self, status: Option<&AgentStatus>) {
        let agent = status.map(|status| Agent {
            instance: status.instance.clone(),
            uptime: Duration::from_millis(status.uptime_ms),
            asked: Instant::now(),
        });
        *self.agent.lock().unwrap_or_else(PoisonError::into_inner) = agent;
    }

    /// Whether an agent was asked who it is.
    pub(crate) fn knows(&self) -> bool {
        self.agent.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Puts an order for a request beside it.
    pub(crate) fn put(
        &self,
        request: &mut Request<Body>,
        body: &[u8],
        fence: Option<u64>,
    ) -> Result<(), Error> {
        let agent = self.agent.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // An original buildlet obeys whoever asks.
        let Some(agent) = agent else { return Ok(()) };
        let until = agent.uptime + agent.asked.elapsed() + GOOD_FOR;
        let headers = request.headers();
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
        let (user, key) = (value(headers, "x-go-ssh-user"), value(headers, "x-go-authorized-key"));
        let order = Order {
            machine: self.machine.clone(),
            instance: agent.instance,
            lease: headers.get("bw-lease").and_then(|lease| lease.to_str().ok()).map(str::to_owned),
            fence,
            commits: self.about.commits.clone(),
            trust: self.about.trust.to_owned(),
            request: order::digest(request.method().as_str(), target, user, key, body),
            until_ms: u64::try_from(until.as_millis()).unwrap_or(u64::MAX),
            nonce: self.signer.nonce(),
        };
        let wrong = |error: &dyn std::fmt::Display| Error::Protocol { what: format!("an order: {error}") };
        let json = serde_json::to_vec(&order).map_err(|error| wrong(&error))?;
        let signature = self.signer.sign(&order::signed(&json));
        let value =
            HeaderValue::try_from(order::written(&json, &signature)).map_err(|error| wrong(&error))?;
        request.headers_mut().insert(order::HEADER, value);
        Ok(())
    }
}

fn value<'h>(headers: &'h HeaderMap, name: &str) -> &'h [u8] {
    headers.get(name).map_or(&[], HeaderValue::as_bytes)
}
