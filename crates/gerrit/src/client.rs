//! Asking: a few requests at once, within the budget, tried again where that is safe.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use transport::{CallError, Service};

use crate::budget::{Budget, Tempo};
use crate::error::Error;

/// What stands before each JSON that Gerrit answers, against its use as a script.
const PREFIX: &[u8] = b")]}'";
/// So much of an answer that says no is told.
const WORDS: usize = 300;

/// Limits of a client.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Requests under way at once.
    pub at_once: usize,
    /// How quickly they follow one another.
    pub tempo: Tempo,
    /// Times that one request is tried where it may succeed later.
    pub tries: u32,
    /// The wait before the second of them, doubled each time.
    pub backoff: Duration,
    /// The longest that an answer's body may take.
    pub body_time: Duration,
    /// The largest body, bytes.
    pub body: usize,
    /// The longest that one call waits for the budget.
    pub patience: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            at_once: 4,
            tempo: Tempo { gap: Duration::from_millis(100), burst: 10 },
            tries: 3,
            backoff: Duration::from_secs(1),
            body_time: Duration::from_secs(20),
            body: 16 << 20,
            patience: Duration::from_secs(60),
        }
    }
}

/// By what Gerrit knows who asks.
#[derive(Debug, Clone)]
pub struct Login {
    /// The account's user name.
    pub user: String,
    /// The HTTP password that Gerrit made for it.
    pub password: SecretString,
}

/// What a client is made of.
pub struct Options {
    /// Gerrit, `https://review.example.org`, or what stands for it. The time limit of an answer's head is its own.
    pub service: Service,
    /// Who asks; nobody in particular may post nothing.
    pub login: Option<Login>,
    /// What asks, with an address for complaints if there is one.
    pub user_agent: String,
    /// Of the jitter of waits.
    pub seed: u64,
    /// Its limits.
    pub limits: Limits,
}

/// A client. Copies share the budget.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    service: Service,
    authorization: Option<HeaderValue>,
    user_agent: HeaderValue,
    limits: Limits,
    permits: Semaphore,
    budget: Mutex<Budget>,
    random: Mutex<fastrand::Rng>,
}

/// What is asked.
pub(crate) enum Ask {
    Get,
    Post(Bytes),
}

/// One try.
enum Tried {
    Answer(Bytes),
    /// Worth another try: a read, or a post that has not happened.
    Again(Error),
    /// Gerrit has had enough for now; nothing has happened.
    Refused,
    Failed(Error),
}

/// Nothing that a panic could leave half done is behind these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("service", &self.inner.service)
            .field("limits", &self.inner.limits)
            .finish()
    }
}

impl Client {
    /// Makes a client.
    ///
    /// # Errors
    /// Where login or user agent can't be in a header; the password is not told.
    pub fn new(options: Options) -> Result<Self, Error> {
        let authorization = options.login.as_ref().map(|login| {
            if login.user.contains(':') || login.user.chars().any(char::is_control) {
                return Err(Error::Configuration("user"));
            }
            let pair = format!("{}:{}", login.user, login.password.expose_secret());
            let mut value = HeaderValue::try_from(format!("Basic {}", BASE64.encode(pair)))
                .map_err(|_| Error::Configuration("password"))?;
            value.set_sensitive(true);
            Ok(value)
        });
        let inner = Inner {
            service: options.service,
            authorization: authorization.transpose()?,
            user_agent: HeaderValue::try_from(options.user_agent)
                .map_err(|_| Error::Configuration("user agent"))?,
            permits: Semaphore::new(options.limits.at_once.clamp(1, 100)),
            budget: Mutex::new(Budget::new(options.limits.tempo)),
            random: Mutex::new(fastrand::Rng::with_seed(options.seed)),
            limits: options.limits,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Asks, with all waits and tries that it needs, and returns the JSON of the answer. `remedy` is what a person does where
    /// Gerrit forbids it.
    pub(crate) async fn ask(&self, ask: &Ask, path: &str, remedy: &str) -> Result<Bytes, Error> {
        let limits = self.inner.limits;
        let until = Instant::now() + limits.patience;
        let limited = |seconds| Error::Limited { path: path.to_owned(), seconds };
        let Ok(permit) = tokio::time::timeout_at(until, self.inner.permits.acquire()).await else {
            return Err(limited(0));
        };
        // The semaphore is never closed.
        let _permit = permit;
        let mut tries = 0;
        loop {
            self.wait(until).await.map_err(|wait| limited(wait.as_secs()))?;
            match self.try_once(ask, path, remedy).await {
                Tried::Answer(body) => return Ok(body),
                Tried::Failed(error) => return Err(error),
                // The wait ends it: each refusal holds everybody for longer.
                Tried::Refused => tracing::warn!(path, "Gerrit's limit is reached"),
                Tried::Again(error) => {
                    tries += 1;
                    if tries >= limits.tries {
                        return Err(error);
                    }
                    tracing::debug!(path, tries, %error, "Gerrit is asked again");
                    let base = limits.backoff * (1 << (tries - 1).min(6));
                    tokio::time::sleep(base + self.jitter(base)).await;
                }
            }
        }
    }

    /// Up to half as much again, so that not all who wait come at once.
    fn jitter(&self, of: Duration) -> Duration {
        of.mul_f64(lock(&self.inner.random).f64() / 2.0)
    }

    /// Waits for the budget; no longer than until then.
    async fn wait(&self, until: Instant) -> Result<(), Duration> {
        loop {
            let now = Instant::now();
            let Err(free) = lock(&self.inner.budget).take(now) else { return Ok(()) };
            if free > until {
                return Err(free - now);
            }
            tokio::time::sleep_until(free + self.jitter(Duration::from_millis(20))).await;
        }
    }

    fn request(&self, ask: &Ask, path: &str) -> Result<Request<Body>, Error> {
        // Below `/a` Gerrit wants a login, and answers 401 where it does not take it.
        let whole = match &self.inner.authorization {
            Some(_) => format!("/a{path}"),
            None => path.to_owned(),
        };
        let (method, body) = match ask {
            Ask::Get => (Method::GET, Body::empty()),
            Ask::Post(body) => (Method::POST, Body::from(body.clone())),
        };
        let mut request = Request::builder()
            .method(method)
            .uri(whole)
            .header(header::ACCEPT, "application/json")
            .header(header::USER_AGENT, &self.inner.user_agent);
        if let Ask::Post(_) = ask {
            request = request.header(header::CONTENT_TYPE, "application/json; charset=UTF-8");
        }
        if let Some(value) = &self.inner.authorization {
            request = request.header(header::AUTHORIZATION, value);
        }
        let malformed = |error: http::Error| Error::Call {
            path: path.to_owned(),
            source: CallError::BadRequest(error.to_string()),
        };
        request.body(body).map_err(malformed)
    }

    async fn try_once(&self, ask: &Ask, path: &str, remedy: &str) -> Tried {
        let request = match self.request(ask, path) {
            Ok(request) => request,
            Err(error) => return Tried::Failed(error),
        };
        let reads = matches!(ask, Ask::Get);
        let again = |error: Error| {
            if error.may_succeed_later() && (reads || !error.may_have_happened()) {
                Tried::Again(error)
            } else {
                Tried::Failed(error)
            }
        };
        let response = match self.inner.service.send(request).await {
            Ok(response) => response,
            Err(source) => return again(Error::Call { path: path.to_owned(), source }),
        };
        let (head, body) = response.into_parts();
        let read = axum::body::to_bytes(body, self.inner.limits.body);
        let body = match tokio::time::timeout(self.inner.limits.body_time, read).await {
            Ok(Ok(body)) => Ok(body),
            Ok(Err(error)) => {
                Err(format!("its body broke off or is larger than {} bytes: {error}", self.inner.limits.body))
            }
            Err(_) => Err(format!("its body took more than {} s", self.inner.limits.body_time.as_secs())),
        };
        if head.status == StatusCode::TOO_MANY_REQUESTS {
            lock(&self.inner.budget).refused(Instant::now(), retry_after(&head.headers));
            return Tried::Refused;
        }
        lock(&self.inner.budget).answered();
        let malformed = |message: String| Error::Malformed { path: path.to_owned(), message };
        if head.status.is_success() {
            return match body {
                Ok(body) => match json(&body) {
                    Some(json) => Tried::Answer(json),
                    None => Tried::Failed(malformed("it is not Gerrit's JSON".into())),
                },
                Err(message) => again(malformed(message)),
            };
        }
        let message = body.as_ref().map_or_else(Clone::clone, |body| words(body));
        let (path, status) = (path.to_owned(), head.status);
        match status {
            StatusCode::UNAUTHORIZED => Tried::Failed(Error::Login { path }),
            StatusCode::FORBIDDEN => {
                Tried::Failed(Error::Forbidden { path, message, remedy: remedy.to_owned() })
            }
            StatusCode::NOT_FOUND => Tried::Failed(Error::NotFound { path }),
            StatusCode::CONFLICT => Tried::Failed(Error::Conflict { path, message }),
            status if status.is_server_error() => again(Error::Server { path, status, message }),
            status => Tried::Failed(Error::Rejected { path, status, message }),
        }
    }
}

/// What stands behind the prefix.
fn json(body: &Bytes) -> Option<Bytes> {
    body.starts_with(PREFIX).then(|| body.slice(PREFIX.len()..))
}

fn retry_after(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()
}

/// What an answer that says no says, cut.
fn words(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(WORDS * 4)]);
    text.trim().chars().take(WORDS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_in_no_text() {
        let options = |password: &str| Options {
            service: Service::url("http://127.0.0.1:9"),
            login: Some(Login { user: "bot".into(), password: password.into() }),
            user_agent: "test".into(),
            seed: 1,
            limits: Limits::default(),
        };
        let encoded = BASE64.encode("bot:s3cr3t");
        let client = Client::new(options("s3cr3t")).unwrap();
        let request = client.request(&Ask::Get, "/changes/x~1").unwrap();
        assert_eq!(request.uri(), "/a/changes/x~1");
        for text in [format!("{client:?}"), format!("{request:?}"), format!("{:?}", options("s3cr3t").login)]
        {
            assert!(!text.contains("s3cr3t") && !text.contains(&encoded), "{text}");
        }
        let options =
            Options { login: Some(Login { user: "b:o".into(), password: "p".into() }), ..options("p") };
        assert!(Client::new(options).is_err());
    }
}
