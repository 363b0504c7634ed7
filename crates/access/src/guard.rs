//! The layer before all routes.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Redirect, Response};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use store::{Micros, StoreError, sessions, tokens};
use transport::routes::{Nature, refusal};
use transport::{Role, Viewer};

use crate::{Access, by_cookie, cookie, limit, secret, shared};

/// The largest form that is read.
const FORM: usize = 64 << 10;
/// The largest question that a stranger's answer is made of, in bytes.
const QUESTION: usize = 128 << 10;
/// The largest refusal that is made a page.
const REFUSAL: usize = 64 << 10;
/// A token's use is noted so often, in microseconds.
const NOTED: i64 = 60_000_000;
/// Of one stranger's refused orders so many go into the audit log.
const REFUSALS: limit::Rate = limit::Rate { per_second: 1, burst: 10 };

/// Says who asks, and lets nothing pass that the kind of asking does not allow.
pub(crate) async fn guard(State(access): State<Access>, mut request: Request, next: Next) -> Response {
    let address = address(&access, &request);
    let viewer = match access.viewer(request.headers()).await {
        Ok(viewer) => viewer,
        Err(refused) => return access.take(address).map_or_else(too_many, |()| *refused),
    };
    let health = matches!(request.uri().path(), "/healthz" | "/readyz");
    if !viewer.known
        && !health
        && let Err(wait) = access.take(address)
    {
        return too_many(wait);
    }
    let nature = access.nature(&request);
    let by_method = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let order = nature == Nature::OfMethod && by_method;
    let told = order.then(|| format!("{} {}", request.method(), request.uri().path()));
    if order && by_cookie(&viewer) {
        request = match form_of_ours(request, &viewer).await {
            Ok(request) => request,
            Err(refused) => {
                access.note_refusal(&viewer, address, told.as_deref().unwrap_or_default()).await;
                return *refused;
            }
        };
    }
    // An order may come with a body that takes its time, and signing in asks somebody else: neither holds up who only looks.
    let sign_in = request.uri().path().starts_with("/login");
    let page = page_asked(&request);
    let alone = viewer.known || health || order || sign_in;
    request.extensions_mut().insert(viewer.clone());
    let response = match nature {
        _ if alone => next.run(request).await,
        Nature::Waits => access.for_waiting(address, request, next).await,
        Nature::Reads if by_method => match asked_whole(request).await {
            Ok(request) => access.for_stranger(request, next).await,
            Err(refused) => *refused,
        },
        Nature::Reads | Nature::OfMethod => access.for_stranger(request, next).await,
    };
    if order && (response.status().is_success() || response.status().is_redirection()) {
        access.0.shared.lock().unwrap_or_else(PoisonError::into_inner).ordered(Instant::now());
    }
    let denied = matches!(response.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
    if let (true, Some(told)) = (denied, told) {
        access.note_refusal(&viewer, address, &told).await;
    }
    let response = crate::cut::with(&viewer.standing, response);
    match page {
        // A person is shown where to sign in; a program gets the status.
        Some(page) if response.status() == StatusCode::UNAUTHORIZED => {
            Redirect::to(&format!("/login?next={}", transport::segment(&page))).into_response()
        }
        Some(page) if !of_programs(&page) => as_page(response).await,
        _ => response,
    }
}

/// Whether an address answers in JSON whoever asks.
fn of_programs(page: &str) -> bool {
    let path = page.split('?').next().unwrap_or_default();
    path.starts_with("/api/") || path.ends_with(".json")
}

/// A refusal in the one error shape as a page, for a person.
async fn as_page(response: Response) -> Response {
    let status = response.status();
    let json = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    if !json || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let said = axum::body::to_bytes(body, REFUSAL).await.unwrap_or_default();
    let Ok(error) = serde_json::from_slice::<transport::ApiError>(&said) else {
        return Response::from_parts(parts, Body::from(said));
    };
    let title = match status {
        StatusCode::NOT_FOUND => "There is no such page",
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => "Not just now",
        status if status.is_server_error() => "Something went wrong here",
        _ => "That can't be shown",
    };
    let mut page =
        webui::page::notice(status, title, &format!("{} (request {})", error.message, error.request_id));
    // Such as when to come again.
    parts.headers.remove(header::CONTENT_TYPE);
    parts.headers.remove(header::CONTENT_LENGTH);
    page.headers_mut().extend(parts.headers);
    page
}

/// The address of a page that a person at a browser asks for.
fn page_asked(request: &Request) -> Option<String> {
    let accepts = request.headers().get(header::ACCEPT)?.to_str().ok()?;
    let wanted = request.method() == Method::GET && accepts.contains("text/html");
    let path = request.uri().path_and_query()?;
    wanted.then(|| path.to_string())
}

fn too_many(wait: Duration) -> Response {
    let seconds = wait.as_secs() + 1;
    let message = "too many requests of somebody who does not say who they are";
    let mut response = refusal(StatusCode::TOO_MANY_REQUESTS, "too_many", message);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}

fn busy(message: &str) -> Response {
    let mut response = refusal(StatusCode::SERVICE_UNAVAILABLE, "busy", message);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    response
}

/// Reads a question whole. It may take its time, and keeps nobody else waiting meanwhile.
async fn asked_whole(request: Request) -> Result<Request, Refused> {
    let (parts, body) = request.into_parts();
    let Ok(bytes) = axum::body::to_bytes(body, QUESTION).await else {
        let message = format!("the question has more than {QUESTION} bytes, or broke off");
        return Err(Box::new(refusal(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)));
    };
    Ok(Request::from_parts(parts, Body::from(bytes)))
}

/// Where a request comes from: the connection's other end, or what a proxy that we trust says of it.
fn address(access: &Access, request: &Request) -> IpAddr {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let mut at = peer.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |peer| peer.0.ip());
    let config = access.config();
    let ours =
        |at: IpAddr| config.access().proxies.iter().any(|proxy| proxy.parse() == Ok(at.to_canonical()));
    let said = request.headers().get_all("x-forwarded-for").iter().filter_map(|line| line.to_str().ok());
    let said: Vec<&str> = said.flat_map(|line| line.split(',')).map(str::trim).collect();
    for one in said.iter().rev() {
        let (true, Ok(before)) = (ours(at), one.parse::<IpAddr>()) else { break };
        at = before;
    }
    at
}

type Refused = Box<Response>;

fn unknown_token() -> Refused {
    let message = "this token is not known here, or its time is over; the server keeps one in admin-token of its \
        data directory";
    Box::new(refusal(StatusCode::UNAUTHORIZED, "unauthorized", message))
}

fn broken(error: &StoreError) -> Refused {
    tracing::error!(%error, "who asks can't be found out");
    let message = "the database does not say who you are; the server's log says why";
    Box::new(refusal(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message))
}

impl Access {
    /// Makes what a stranger looks at when it is their turn; or gives them what another got just now.
    async fn for_stranger(&self, request: Request, next: Next) -> Response {
        let shared = || self.0.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let crowd = shared().crowd(Instant::now());
        let key = if crowd { shared::key(&request) } else { None };
        let made = || shared().get(key.as_ref()?, Instant::now());
        if let Some(made) = made() {
            return made;
        }
        let Some(seat) = limit::seat(&self.0.seats, limit::PATIENCE).await else {
            return busy("too many who do not say who they are ask for something at once");
        };
        // Meanwhile somebody may have got it.
        if let Some(made) = made() {
            return made;
        }
        let since = Instant::now();
        let response = next.run(request).await;
        // The head is there. A body that is long, or never ends, is made as it is read.
        drop(seat);
        let Some(key) = key.filter(|_| shared::is_for_all(&response)) else { return response };
        match shared::whole(response).await {
            Ok((headers, body)) => {
                shared().put(key, since, &headers, &body);
                let mut response = Response::new(Body::from(body));
                *response.headers_mut() = headers;
                response
            }
            Err(error) => {
                tracing::warn!(%error, "an answer broke off");
                refusal(StatusCode::INTERNAL_SERVER_ERROR, "internal", "this answer broke off; ask again")
            }
        }
    }

    /// Lets a stranger wait until something happens: beside those for whom something is made, since next to nothing is for them.
    async fn for_waiting(&self, address: IpAddr, request: Request, next: Next) -> Response {
        // Each may have a connection of its own, and others are to have some left.
        let room = self.config().environment().connections / 2;
        let most = limit::Most { in_all: limit::WAITING.in_all.min(room.max(1)), ..limit::WAITING };
        let Some(_place) = self.0.waiters.enter(address, most) else {
            return busy(
                "too many who do not say who they are wait for something to happen, in all or at this address",
            );
        };
        next.run(request).await
    }

    /// Finds out who asks.
    async fn viewer(&self, headers: &HeaderMap) -> Result<Viewer, Refused> {
        if let Some(token) = bearer(headers) {
            return self.by_token(token).await;
        }
        let stranger = || Viewer::stranger(self.config().access().read == buildenv::Reading::Anonymous);
        let Some(cookie) = cookie::value(headers, self.secure()) else { return Ok(stranger()) };
        let (hash, now) = (secret::hash(&cookie), Micros::now());
        let standing = self.0.standings.of(&hash);
        let found = async { sessions::valid(&mut self.0.db.read().await?, &hash, now).await };
        let Some(session) = found.await.map_err(|error| broken(&error))? else { return Ok(stranger()) };
        let Ok(role) = session.role.parse::<Role>() else { return Ok(stranger()) };
        let standing = standing.good_for(left(session.expires, now));
        let csrf = Some(secret::csrf(&cookie).into());
        Ok(Viewer { csrf, standing, ..Viewer::known(&session.person, role) })
    }

    async fn by_token(&self, token: &str) -> Result<Viewer, Refused> {
        let hash = secret::hash(token);
        if hash == self.0.admin {
            return Ok(Viewer::known(Viewer::ADMIN, Role::Admin));
        }
        let now = Micros::now();
        let standing = self.0.standings.of(&hash);
        let found = async { tokens::valid(&mut self.0.db.read().await?, &hash, now).await };
        let row = found.await.map_err(|error| broken(&error))?.ok_or_else(unknown_token)?;
        let role = row.role.parse::<Role>().map_err(|_| unknown_token())?;
        if row.used.is_none_or(|used| now.0 - used.0 > NOTED) {
            let noted = async {
                let mut tx = self.0.db.begin().await?;
                tokens::used(&mut tx, &hash, now).await?;
                tx.commit().await
            };
            if let Err(error) = noted.await {
                tracing::warn!(%error, token = row.name, "the use of a token is not noted");
            }
        }
        let standing = match row.expires {
            Some(expires) => standing.good_for(left(expires, now)),
            None => standing,
        };
        let viewer = Viewer { standing, ..Viewer::known(&row.name, role) };
        let scope: Vec<String> = row.scope.split_whitespace().map(str::to_owned).collect();
        Ok(if scope.is_empty() { viewer } else { viewer.scoped(scope) })
    }

    /// Writes a refused order into the audit log; of strangers only so many.
    async fn note_refusal(&self, viewer: &Viewer, address: IpAddr, told: &str) {
        if !viewer.known {
            let mut refusals = self.0.refusals.lock().unwrap_or_else(PoisonError::into_inner);
            // All strangers together: their addresses are cheap to come by.
            let everybody = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
            if refusals.take(everybody, REFUSALS, Instant::now()).is_err() {
                return;
            }
        }
        self.note(&viewer.who, "refused", told, &address.to_string()).await;
    }
}

/// How long it is until then.
fn left(until: Micros, now: Micros) -> Duration {
    Duration::from_micros(u64::try_from(until.0.saturating_sub(now.0)).unwrap_or(0))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let said = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = said.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Whether a browser says that a request comes from a page of another site.
pub(crate) fn from_elsewhere(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    if let Some(site) = text("sec-fetch-site") {
        return !matches!(site, "same-origin" | "none");
    }
    let Some(origin) = text(header::ORIGIN.as_str()) else { return false };
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    authority.is_none() || authority != text(header::HOST.as_str())
}

/// Lets an order of a session pass if it comes from a form of ours: by the header `X-CSRF-Token`, or the field `csrf`.
async fn form_of_ours(request: Request, viewer: &Viewer) -> Result<Request, Refused> {
    let no = |message: &str| Box::new(refusal(StatusCode::FORBIDDEN, "csrf", message));
    if from_elsewhere(request.headers()) {
        return Err(no("this order comes from a page of another site"));
    }
    let matches =
        |said: &str| viewer.csrf.as_deref().is_some_and(|csrf| secret::hash(said) == secret::hash(csrf));
    let head = request.headers();
    if let Some(said) = head.get("x-csrf-token") {
        let fine = said.to_str().is_ok_and(matches);
        return if fine { Ok(request) } else { Err(no("X-CSRF-Token is not of this session")) };
    }
    if !is_form(head) {
        return Err(no("an order of a session carries the token of its form: the header X-CSRF-Token"));
    }
    let (parts, body) = request.into_parts();
    let bytes = axum::body::to_bytes(body, FORM).await.map_err(|_| {
        Box::new(refusal(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "the form is too large"))
    })?;
    let fine = form_urlencoded::parse(&bytes).any(|(name, value)| name == "csrf" && matches(&value));
    if !fine {
        return Err(no("this form is not of this session; load its page again"));
    }
    Ok(Request::from_parts(parts, Body::from(bytes)))
}

/// Whether a body is a form's.
fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    kind.is_some_and(|kind| {
        kind.split(';').next().is_some_and(|kind| kind.trim() == "application/x-www-form-urlencoded")
    })
}
