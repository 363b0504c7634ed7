//! Asking: one request at a time for each permit, within the budget, with conditions and tries.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Semaphore;
use transport::Service;

use crate::app::{App, Tokens};
use crate::budget::{Budget, Rate, Tempo, Verdict, date};
use crate::cache::{Cache, Kept};
use crate::error::Error;
use crate::{Clock, link};

/// The version of the API that is spoken.
const VERSION: &str = "2022-11-28";
/// So much of an answer that says no is read and told.
const WORDS: usize = 300;
/// Waits for the budget in one call; each has a limit of its own.
const MOST_REFUSALS: u32 = 20;

/// Limits of a client.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Requests under way at once. GitHub asks for few.
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
    /// Bytes of answers that are kept, so that they need not be sent again.
    pub kept: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            at_once: 4,
            tempo: Tempo { gap: Duration::from_millis(100), burst: 10 },
            tries: 5,
            backoff: Duration::from_secs(1),
            body_time: Duration::from_secs(60),
            body: 32 << 20,
            patience: Duration::from_secs(2 * 3600),
            kept: 32 << 20,
        }
    }
}

/// What a client is made of.
pub struct Options {
    /// GitHub's API, `https://api.github.com`, or what stands for it. The time limit of an answer's head is its own.
    pub service: Service,
    /// By which GitHub knows who asks.
    pub token: Option<SecretString>,
    /// What asks, with an address for complaints if there is one.
    pub user_agent: String,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// Of the jitter of waits.
    pub seed: u64,
    /// Its limits.
    pub limits: Limits,
}

/// A client. Copies share budget and what is kept.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    service: Service,
    login: Login,
    user_agent: HeaderValue,
    clock: Arc<dyn Clock>,
    limits: Limits,
    permits: Semaphore,
    budget: Mutex<Budget>,
    cache: Mutex<Cache>,
    random: Mutex<fastrand::Rng>,
}

/// By what GitHub knows who asks.
enum Login {
    Token(Option<HeaderValue>),
    App(Box<Tokens>),
}

/// An answer that is one.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) body: Bytes,
    /// The path of the next page.
    pub(crate) next: Option<String>,
    /// The server's time.
    pub(crate) date: Option<Timestamp>,
    /// It is what was answered last time.
    pub(crate) unchanged: bool,
}

/// One try.
enum Tried {
    Answer(Answer),
    /// Worth another try.
    Again(Error),
    /// Within what the budget allows.
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
    /// Where token or user agent can't be in a header; the token is not told.
    pub fn new(options: Options) -> Result<Self, Error> {
        let malformed = |what: &str| Error::Malformed {
            path: "the client's configuration".into(),
            message: format!("the {what} has characters that no header can have"),
        };
        let token = options.token.as_ref().filter(|token| !token.expose_secret().is_empty()).map(|token| {
            let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose_secret()))?;
            value.set_sensitive(true);
            Ok::<_, header::InvalidHeaderValue>(value)
        });
        let login = Login::Token(token.transpose().map_err(|_| malformed("token"))?);
        Self::with(options, login)
    }

    /// Makes a client that asks as an app: the token of its options is not used, and tokens are made as they are needed.
    ///
    /// # Errors
    /// Where the user agent can't be in a header.
    pub fn of_app(options: Options, app: App) -> Result<Self, Error> {
        Self::with(options, Login::App(Box::new(Tokens::new(app))))
    }

    fn with(options: Options, login: Login) -> Result<Self, Error> {
        let malformed = |what: &str| Error::Malformed {
            path: "the client's configuration".into(),
            message: format!("the {what} has characters that no header can have"),
        };
        let inner = Inner {
            login,
            user_agent: HeaderValue::try_from(options.user_agent).map_err(|_| malformed("user agent"))?,
            service: options.service,
            clock: options.clock,
            permits: Semaphore::new(options.limits.at_once.clamp(1, 100)),
            budget: Mutex::new(Budget::new(options.limits.tempo)),
            cache: Mutex::new(Cache::new(options.limits.kept)),
            random: Mutex::new(fastrand::Rng::with_seed(options.seed)),
            limits: options.limits,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Returns what GitHub says of the budget.
    #[must_use]
    pub fn rate(&self) -> Rate {
        lock(&self.inner.budget).rate(self.inner.clock.now())
    }

    /// Returns the time of day by the client's clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    /// Gets a path, with all waits and tries that it needs.
    pub(crate) async fn get(&self, path: &str) -> Result<Answer, Error> {
        let until = self.now().checked_add(self.inner.limits.patience).unwrap_or(Timestamp::MAX);
        let Ok(permit) = tokio::time::timeout(self.inner.limits.patience, self.inner.permits.acquire()).await
        else {
            return Err(Error::Limited { path: path.to_owned(), until });
        };
        // The semaphore is never closed.
        let _permit = permit;
        let (mut tries, mut refusals, mut renewed) = (0, 0, false);
        loop {
            self.wait(path, until).await?;
            let shown = self.authorization(path, until).await?;
            match self.try_once(path, shown.as_ref()).await {
                Tried::Answer(answer) => return Ok(answer),
                Tried::Failed(error) if !renewed && self.renews(&error, shown.as_ref()) => renewed = true,
                Tried::Failed(error) => return Err(error),
                Tried::Refused => {
                    refusals += 1;
                    if refusals > MOST_REFUSALS {
                        return Err(Error::Limited { path: path.to_owned(), until: self.now() });
                    }
                }
                Tried::Again(error) => {
                    tries += 1;
                    if tries >= self.inner.limits.tries {
                        return Err(error);
                    }
                    tracing::debug!(path, tries, %error, "GitHub is asked again");
                    let base = self.inner.limits.backoff * (1 << (tries - 1).min(6));
                    tokio::time::sleep(base + self.jitter(base)).await;
                }
            }
        }
    }

    /// Posts to a path within the budget, and returns the answer's body. It is tried again only where it has certainly not happened.
    pub(crate) async fn post(&self, method: Method, path: &str, body: Bytes) -> Result<Bytes, Error> {
        let until = self.now().checked_add(self.inner.limits.patience).unwrap_or(Timestamp::MAX);
        let Ok(permit) = tokio::time::timeout(self.inner.limits.patience, self.inner.permits.acquire()).await
        else {
            return Err(Error::Limited { path: path.to_owned(), until });
        };
        // The semaphore is never closed.
        let _permit = permit;
        let (mut tries, mut refusals, mut renewed) = (0, 0, false);
        loop {
            self.wait(path, until).await?;
            let shown = self.authorization(path, until).await?;
            let mut request = self.request(path, None, shown.as_ref())?;
            *request.method_mut() = method.clone();
            request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            *request.body_mut() = Body::from(body.clone());
            match self.post_once(path, request).await {
                Ok(Some(body)) => return Ok(body),
                Ok(None) => {
                    refusals += 1;
                    if refusals > MOST_REFUSALS {
                        return Err(Error::Limited { path: path.to_owned(), until: self.now() });
                    }
                }
                Err(error) if !renewed && self.renews(&error, shown.as_ref()) => renewed = true,
                Err(error @ Error::Call { .. }) if !error.may_have_happened() => {
                    tries += 1;
                    if tries >= self.inner.limits.tries {
                        return Err(error);
                    }
                    let base = self.inner.limits.backoff * (1 << (tries - 1).min(6));
                    tokio::time::sleep(base + self.jitter(base)).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// What is shown: an app's token is made anew before it ends.
    async fn authorization(&self, path: &str, until: Timestamp) -> Result<Option<HeaderValue>, Error> {
        let tokens = match &self.inner.login {
            Login::Token(token) => return Ok(token.clone()),
            Login::App(tokens) => tokens,
        };
        if let Some(token) = tokens.current(self.now()) {
            return Ok(Some(token));
        }
        let asking = tokio::time::timeout(self.inner.limits.patience, tokens.asking.acquire());
        // The semaphore is never closed.
        let Ok(_asking) = asking.await else { return Err(Error::Limited { path: path.to_owned(), until }) };
        if let Some(token) = tokens.current(self.now()) {
            return Ok(Some(token));
        }
        let (made_at, claim) = tokens.claim(self.now())?;
        let mut request = self.request(&made_at, None, Some(&claim))?;
        *request.method_mut() = Method::POST;
        match self.post_once(&made_at, request).await? {
            Some(body) => tokens.take(&body, self.now()).map(Some),
            None => Err(Error::Limited { path: made_at, until: self.now() }),
        }
    }

    /// Whether GitHub took an app's token no more, so that a new one is worth a try.
    fn renews(&self, error: &Error, shown: Option<&HeaderValue>) -> bool {
        match (&self.inner.login, error, shown) {
            (Login::App(tokens), Error::Status { status: StatusCode::UNAUTHORIZED, .. }, Some(shown)) => {
                tokens.refused(shown);
                true
            }
            _ => false,
        }
    }

    /// One try; nothing where GitHub's limit is reached.
    async fn post_once(&self, path: &str, request: Request<Body>) -> Result<Option<Bytes>, Error> {
        let call = |source| Error::Call { path: path.to_owned(), source };
        let response = self.inner.service.send(request).await.map_err(call)?;
        let (head, body) = response.into_parts();
        let read = axum::body::to_bytes(body, self.inner.limits.body);
        let body = tokio::time::timeout(self.inner.limits.body_time, read).await;
        let body = body.map_err(|_| malformed(path, "its body took too long"))?;
        let body =
            body.map_err(|error| malformed(path, format!("its body broke off or is too large: {error}")));
        let said = body.as_ref().map_or_else(ToString::to_string, |body| words(body));
        if lock(&self.inner.budget).saw(self.now(), head.status, &head.headers, &said) == Verdict::Refused {
            return Ok(None);
        }
        match head.status {
            status if status.is_success() => body.map(Some),
            status if status.is_redirection() => {
                let location = head.headers.get(header::LOCATION).and_then(|to| to.to_str().ok());
                let location = location.unwrap_or_default().chars().take(WORDS).collect();
                Err(Error::Moved { path: path.to_owned(), location })
            }
            status => Err(Error::Status { path: path.to_owned(), status, message: said }),
        }
    }

    /// Up to half as much again, so that not all who wait come at once.
    fn jitter(&self, of: Duration) -> Duration {
        of.mul_f64(lock(&self.inner.random).f64() / 2.0)
    }

    /// Waits for the budget; no longer than until then.
    async fn wait(&self, path: &str, until: Timestamp) -> Result<(), Error> {
        loop {
            let now = self.now();
            let Err(free) = lock(&self.inner.budget).take(now) else { return Ok(()) };
            if free > until {
                return Err(Error::Limited { path: path.to_owned(), until: free });
            }
            let wait = Duration::try_from(free.duration_since(now)).unwrap_or_default();
            tokio::time::sleep(wait.max(Duration::from_millis(1)) + self.jitter(Duration::from_millis(100)))
                .await;
        }
    }

    fn request(
        &self,
        path: &str,
        etag: Option<&HeaderValue>,
        shown: Option<&HeaderValue>,
    ) -> Result<Request<Body>, Error> {
        let mut request = Request::get(path)
            .header(header::ACCEPT, "application/vnd.github+json")
            .header(header::USER_AGENT, &self.inner.user_agent)
            .header("x-github-api-version", VERSION);
        if let Some(shown) = shown {
            request = request.header(header::AUTHORIZATION, shown);
        }
        if let Some(etag) = etag {
            request = request.header(header::IF_NONE_MATCH, etag);
        }
        request.body(Body::empty()).map_err(|error| malformed(path, error))
    }

    async fn try_once(&self, path: &str, shown: Option<&HeaderValue>) -> Tried {
        let kept = lock(&self.inner.cache).get(path);
        let request = match self.request(path, kept.as_ref().map(|kept| &kept.etag), shown) {
            Ok(request) => request,
            Err(error) => return Tried::Failed(error),
        };
        let call = |source| Error::Call { path: path.to_owned(), source };
        let response = match self.inner.service.send(request).await {
            Ok(response) => response,
            Err(error) if error.is_transient() => return Tried::Again(call(error)),
            Err(error) => return Tried::Failed(call(error)),
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
        let words = body.as_ref().map_or_else(|why| why.clone(), |body| words(body));
        let verdict = lock(&self.inner.budget).saw(self.now(), head.status, &head.headers, &words);
        if verdict == Verdict::Refused {
            tracing::warn!(path, status = head.status.as_u16(), "GitHub's limit is reached");
            return Tried::Refused;
        }
        let date = date(&head.headers);
        match (head.status, body, kept) {
            (StatusCode::NOT_MODIFIED, _, Some(kept)) => match self.same(path, &head.headers, kept, date) {
                Ok(answer) => Tried::Answer(answer),
                Err(error) => Tried::Failed(error),
            },
            (StatusCode::OK, Ok(body), _) => match self.fresh(path, &head.headers, body, date) {
                Ok(answer) => Tried::Answer(answer),
                Err(error) => Tried::Failed(error),
            },
            (StatusCode::OK, Err(message), _) => {
                Tried::Again(Error::Malformed { path: path.to_owned(), message })
            }
            (StatusCode::MOVED_PERMANENTLY | StatusCode::PERMANENT_REDIRECT, ..) => {
                let location =
                    head.headers.get(header::LOCATION).and_then(|to| to.to_str().ok()).unwrap_or_default();
                Tried::Failed(Error::Moved {
                    path: path.to_owned(),
                    location: location.chars().take(WORDS).collect(),
                })
            }
            (status, ..) => {
                let error = Error::Status { path: path.to_owned(), status, message: words };
                if status.is_server_error() { Tried::Again(error) } else { Tried::Failed(error) }
            }
        }
    }

    fn fresh(
        &self,
        path: &str,
        headers: &HeaderMap,
        body: Bytes,
        date: Option<Timestamp>,
    ) -> Result<Answer, Error> {
        let next = next_page(path, headers)?;
        // The ETag is the body's. Of a full page that was the last one it would say that nothing changed when there is another.
        let keep = next.is_some() || !is_full(path, &body);
        let mut cache = lock(&self.inner.cache);
        match headers.get(header::ETAG).filter(|_| keep) {
            Some(etag) => {
                cache.keep(path, Kept { etag: etag.clone(), body: body.clone(), next: next.clone() })
            }
            None => cache.forget(path),
        }
        drop(cache);
        Ok(Answer { body, next, date, unchanged: false })
    }

    /// What was kept, but for where the list goes on: that may have changed without the body.
    fn same(
        &self,
        path: &str,
        headers: &HeaderMap,
        mut kept: Kept,
        date: Option<Timestamp>,
    ) -> Result<Answer, Error> {
        let next = next_page(path, headers)?;
        if next.is_some() && next != kept.next {
            kept.next = next;
            lock(&self.inner.cache).keep(path, kept.clone());
        }
        Ok(Answer { body: kept.body, next: kept.next, date, unchanged: true })
    }
}

/// The path of the next page by the header `Link`.
fn next_page(path: &str, headers: &HeaderMap) -> Result<Option<String>, Error> {
    let next = headers.get(header::LINK).and_then(|link| link.to_str().ok()).and_then(link::next);
    // Wherever a link leads, it is this service that is asked, with this token.
    let next =
        next.map(|url| link::path(url).ok_or_else(|| malformed(path, "its next page is no path of repos")));
    let next = next.transpose()?.map(str::to_owned);
    if next.as_deref() == Some(path) {
        return Err(malformed(path, "its next page is itself"));
    }
    Ok(next)
}

/// Whether a page of a list has as many elements as were asked for.
fn is_full(path: &str, body: &[u8]) -> bool {
    let query = path.split_once('?').map_or("", |(_, query)| query);
    let asked = query.split('&').find_map(|pair| pair.strip_prefix("per_page=")?.parse::<usize>().ok());
    let count = || serde_json::from_slice::<Vec<serde::de::IgnoredAny>>(body).map_or(0, |all| all.len());
    asked.is_some_and(|asked| count() >= asked)
}

pub(crate) fn malformed(path: &str, message: impl fmt::Display) -> Error {
    Error::Malformed { path: path.to_owned(), message: message.to_string() }
}

/// What an answer that says no says, cut.
fn words(body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Said {
        message: String,
    }
    let text = serde_json::from_slice::<Said>(body).map_or_else(
        |_| String::from_utf8_lossy(&body[..body.len().min(WORDS)]).into_owned(),
        |said| said.message,
    );
    text.chars().take(WORDS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_token_is_in_no_text() {
        let options = |token: &str| Options {
            service: Service::url("http://127.0.0.1:9"),
            token: Some(token.into()),
            user_agent: "test".into(),
            clock: Arc::new(crate::SystemClock),
            seed: 1,
            limits: Limits::default(),
        };
        let client = Client::new(options("s3cr3t")).unwrap();
        assert!(!format!("{client:?}").contains("s3cr3t"));
        let shown = client.authorization("/repos/o/r", Timestamp::MAX).await.unwrap();
        let request = client.request("/repos/o/r", None, shown.as_ref()).unwrap();
        assert!(!format!("{request:?}").contains("s3cr3t"));
        let error = Client::new(options("s3cr3t\n")).unwrap_err();
        assert!(!format!("{error:?} {error}").contains("s3cr3t"), "{error}");
    }
}
