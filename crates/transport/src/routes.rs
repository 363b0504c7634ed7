//! Routes with their roles: a path and a method are answered only if they were registered together with who may.
//!
//! The functions have the names of axum's, with the role before the handler. What is registered is also a table, so that
//! a test can ask every route as every role.

use std::convert::Infallible;

use axum::Router;
use axum::body::{Body, HttpBody as _};
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::handler::Handler;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, Route};
use axum::{Extension, Json};
use http::{Method, StatusCode, header};

use crate::document::{self, Described};
use crate::operation::Operation;
use crate::viewer::of;
use crate::{ApiError, Role, Viewer};

/// The largest body of a request whose route says nothing else, in bytes.
const LARGEST_BODY: u64 = 2 << 20;

/// The largest body that a route takes.
#[derive(Debug, Clone, Copy)]
struct BodyLimit(u64);

/// Says that a route minds itself of which repositories an admin is.
#[derive(Debug, Clone, Copy)]
struct MindsRepositories;

/// Says that a route is of the whole server although its role is nobody's who rules it.
#[derive(Debug, Clone, Copy)]
struct OfWhole;

/// What asking a route is, for whoever holds strangers to a measure. Nobody is let in or kept out by it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Nature {
    /// What the method says: GET, HEAD and OPTIONS read, all others are orders.
    #[default]
    OfMethod,
    /// It reads, whatever the method, and its question is small.
    Reads,
    /// It reads, whatever the method, and may wait for long until there is something to read.
    Waits,
}

/// A row of the table of routes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The path, with its parameters in braces.
    pub path: String,
    /// The method, or `*` for all.
    pub method: &'static str,
    /// Who may.
    pub role: Role,
    /// What asking it is.
    pub nature: Nature,
}

/// The handlers of one path, each with its role.
pub struct Methods<S = ()> {
    router: MethodRouter<S, Infallible>,
    roles: Vec<(&'static str, Role, Nature)>,
    about: Vec<(&'static str, Role, Operation)>,
}

macro_rules! methods {
    ($($name:ident $filter:ident $text:literal),*) => {$(
        #[doc = concat!("Answers `", $text, "` for those who have the role.")]
        pub fn $name<H, T, S>(role: Role, handler: H) -> Methods<S>
        where
            H: Handler<T, S>,
            T: 'static,
            S: Clone + Send + Sync + 'static,
        {
            Methods { router: MethodRouter::new(), roles: Vec::new(), about: Vec::new() }.$name(role, handler)
        }
    )*
        impl<S: Clone + Send + Sync + 'static> Methods<S> {$(
            #[doc = concat!("Answers `", $text, "` too.")]
            #[must_use]
            pub fn $name<H, T>(mut self, role: Role, handler: H) -> Self
            where
                H: Handler<T, S>,
                T: 'static,
            {
                let checked = handler.layer(middleware::from_fn_with_state(role, check));
                self.router = self.router.on(MethodFilter::$filter, checked);
                self.roles.push(($text, role, Nature::OfMethod));
                self
            }
        )*}
    };
}

methods!(get GET "GET", put PUT "PUT", post POST "POST", delete DELETE "DELETE", options OPTIONS "OPTIONS");

/// Answers every method for those who have the role; one that is named as well has its own.
pub fn any<H, T, S>(role: Role, handler: H) -> Methods<S>
where
    H: Handler<T, S>,
    T: 'static,
    S: Clone + Send + Sync + 'static,
{
    let router = axum::routing::any(handler.layer(middleware::from_fn_with_state(role, check)));
    Methods { router, roles: vec![("*", role, Nature::OfMethod)], about: Vec::new() }
}

impl<S: Clone + Send + Sync + 'static> Methods<S> {
    /// Describes the last method as an operation of the API. A method may be described more than once: a page and its twin
    /// are one route.
    #[must_use]
    pub fn about(mut self, operation: Operation) -> Self {
        let last = self.roles.last().copied();
        self.about.extend(last.map(|(method, role, _)| (method, role, operation)));
        self
    }

    /// Takes bodies of at most so many bytes at all handlers so far, where else they would be 2 MiB at most. A larger one is
    /// answered with 413 before any of it is read, where its length is said.
    #[must_use]
    pub fn body_limit(self, bytes: u64) -> Self {
        let extracted = usize::try_from(bytes).unwrap_or(usize::MAX);
        self.layer(DefaultBodyLimit::max(extracted)).layer(Extension(BodyLimit(bytes)))
    }

    /// Takes bodies of any size at all handlers so far: they read them piece by piece, and have a limit of their own.
    #[must_use]
    pub fn streams_its_body(self) -> Self {
        self.layer(DefaultBodyLimit::disable()).layer(Extension(BodyLimit(u64::MAX)))
    }

    /// Lets those in at all handlers so far whose token is for some repositories, although this is for admins or services: the
    /// handlers answer them of these repositories alone. Without that they are refused, since what admins and services do is
    /// of the whole server.
    #[must_use]
    pub fn minds_repositories(self) -> Self {
        self.layer(Extension(MindsRepositories))
    }

    /// Refuses those at all handlers so far whose token is for some repositories: what is here is of all of them and can't be
    /// told apart. What is for admins or services is so without it.
    #[must_use]
    pub fn of_the_whole_server(self) -> Self {
        self.layer(Extension(OfWhole))
    }

    /// Says that all handlers so far only read, whatever their methods: what is asked by POST is no order. A question is read
    /// whole before it is handed on, so it is small, and no stream.
    #[must_use]
    pub fn reads(self) -> Self {
        self.of_nature(Nature::Reads)
    }

    /// Says that all handlers so far only read, and may wait for long until there is something to read: whoever waits is not
    /// counted among those for whom something is being made.
    #[must_use]
    pub fn waits(self) -> Self {
        self.of_nature(Nature::Waits)
    }

    fn of_nature(mut self, nature: Nature) -> Self {
        self.roles.iter_mut().for_each(|(_, _, of)| *of = nature);
        self
    }

    /// Puts a layer around all handlers so far, as axum's `MethodRouter::layer`.
    #[must_use]
    pub fn layer<L>(self, layer: L) -> Self
    where
        L: tower::Layer<Route> + Clone + Send + Sync + 'static,
        L::Service: tower::Service<Request> + Clone + Send + Sync + 'static,
        <L::Service as tower::Service<Request>>::Response: IntoResponse + 'static,
        <L::Service as tower::Service<Request>>::Error: Into<Infallible> + 'static,
        <L::Service as tower::Service<Request>>::Future: Send + 'static,
    {
        Methods { router: self.router.layer(layer), ..self }
    }
}

/// A router in which nothing is without a role.
#[derive(Clone)]
#[must_use]
pub struct Routes<S = ()> {
    router: Router<S>,
    table: Vec<Entry>,
    described: Vec<Described>,
}

impl<S: Clone + Send + Sync + 'static> Default for Routes<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    /// Makes an empty one.
    pub fn new() -> Self {
        Routes { router: Router::new(), table: Vec::new(), described: Vec::new() }
    }

    /// Registers a path.
    pub fn route(mut self, path: &str, methods: Methods<S>) -> Self {
        let entry = |(method, role, nature)| Entry { path: path.to_owned(), method, role, nature };
        self.table.extend(methods.roles.into_iter().map(entry));
        let described =
            |(method, role, operation)| Described { path: path.to_owned(), method, role, operation };
        self.described.extend(methods.about.into_iter().map(described));
        self.router = self.router.route(path, methods.router);
        self
    }

    /// Takes in other routes.
    pub fn merge(mut self, other: Routes<S>) -> Self {
        self.table.extend(other.table);
        self.described.extend(other.described);
        self.router = self.router.merge(other.router);
        self
    }

    /// Takes in other routes below a path.
    pub fn nest(mut self, prefix: &str, other: Routes<S>) -> Self {
        let below = |entry: Entry| Entry { path: format!("{prefix}{}", entry.path), ..entry };
        self.table.extend(other.table.into_iter().map(below));
        let below = |one: Described| Described { path: format!("{prefix}{}", one.path), ..one };
        self.described.extend(other.described.into_iter().map(below));
        self.router = self.router.nest(prefix, other.router);
        self
    }

    /// Gives the handlers their state.
    pub fn with_state<T>(self, state: S) -> Routes<T> {
        Routes { router: self.router.with_state(state), table: self.table, described: self.described }
    }
}

impl Routes {
    /// The router of a service by itself, which only other services reach: whoever shows the token is one of them, and
    /// everybody else is a stranger who reads nothing.
    pub fn behind_token(self, token: &str) -> Router {
        let token: std::sync::Arc<str> = token.into();
        self.into_router().layer(middleware::from_fn(move |mut request: Request, next: Next| {
            let said = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
            let said = said.and_then(|said| said.strip_prefix("Bearer "));
            if said.is_some_and(|said| same(said, &token)) {
                request.extensions_mut().insert(Viewer::service(Viewer::ANOTHER_SERVICE));
            }
            next.run(request)
        }))
    }

    /// The table, by path.
    #[must_use]
    pub fn table(&self) -> Vec<Entry> {
        let mut table = self.table.clone();
        table.sort();
        table
    }

    /// The OpenAPI document of what is described.
    #[must_use]
    pub fn document(&self, title: &str, description: &str) -> serde_json::Value {
        document::document(title, description, &self.described)
    }

    /// The router, in which what is not registered is refused.
    pub fn into_router(self) -> Router {
        self.router.fallback(no_path).method_not_allowed_fallback(no_method)
    }
}

/// Compares in a time that does not tell how much of it was right.
fn same(said: &str, token: &str) -> bool {
    let differs = said.bytes().zip(token.bytes()).fold(0, |differs, (a, b)| differs | (a ^ b));
    said.len() == token.len() && !token.is_empty() && differs == 0
}

/// Refuses whoever has not the role, or has it for some repositories where all are meant, and what is too large.
async fn check(State(needed): State<Role>, request: Request, next: Next) -> Response {
    let viewer = of(request.extensions());
    if !viewer.role.may(needed) {
        return denied(&viewer, needed);
    }
    let of_all =
        matches!(needed, Role::Admin | Role::Service) || request.extensions().get::<OfWhole>().is_some();
    if of_all && !viewer.may_order_all() && request.extensions().get::<MindsRepositories>().is_none() {
        let message = format!("{} is for some repositories, and this is of the whole server", viewer.who);
        return refusal(StatusCode::FORBIDDEN, "forbidden", message);
    }
    let BodyLimit(limit) = request.extensions().get().copied().unwrap_or(BodyLimit(LARGEST_BODY));
    let size = request.body().size_hint();
    if size.lower() > limit {
        let message = format!("the body is larger than the {limit} bytes that are taken here");
        return refusal(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message);
    }
    let within = size.upper().is_some_and(|upper| upper <= limit) || limit == u64::MAX;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let bounded = |body| if within { body } else { Body::new(http_body_util::Limited::new(body, limit)) };
    next.run(request.map(bounded)).await
}

/// The answer to whoever has not the role: 401 for those who did not say who they are, else 403.
#[must_use]
pub fn denied(viewer: &Viewer, needed: Role) -> Response {
    if viewer.known {
        let message = format!("{} is {}, and this is for: {needed}", viewer.who, viewer.role);
        return refusal(StatusCode::FORBIDDEN, "forbidden", message);
    }
    let message = format!(
        "this is for: {needed}; say who you are by a token (the server keeps one in admin-token of its data directory), \
         or sign in"
    );
    let mut response = refusal(StatusCode::UNAUTHORIZED, "unauthorized", message);
    let scheme = http::HeaderValue::from_static("Bearer");
    response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
    response
}

async fn no_path(viewer: Option<Extension<Viewer>>) -> Response {
    match viewer {
        Some(Extension(viewer)) if viewer.role.may(Role::Reader) => {
            refusal(StatusCode::NOT_FOUND, "not_found", "no such path")
        }
        _ => denied(&Viewer::stranger(false), Role::Reader),
    }
}

async fn no_method(method: Method, viewer: Option<Extension<Viewer>>) -> Response {
    let reads = matches!(method, Method::GET | Method::HEAD);
    match viewer {
        Some(Extension(viewer)) if viewer.known || (reads && viewer.role.may(Role::Reader)) => {
            refusal(StatusCode::METHOD_NOT_ALLOWED, "method", "this path does not know this method")
        }
        _ => denied(&Viewer::stranger(false), Role::Developer),
    }
}

/// An answer in the one error shape, with an id for the log.
#[must_use]
pub fn refusal(status: StatusCode, code: &str, message: impl Into<String>) -> Response {
    let request_id = request_id();
    let message = message.into();
    tracing::debug!(request_id, %status, message, "a request was refused");
    (status, Json(ApiError { code: code.into(), message, request_id })).into_response()
}

fn request_id() -> String {
    let mut random = [0; 16];
    // Without randomness an id is only less unique.
    let _ = getrandom::fill(&mut random);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    ulid::Ulid::from_parts(now.as_millis() as u64, u128::from_be_bytes(random)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tower::ServiceExt as _;

    fn app() -> Routes {
        let ok = || async { "ok" };
        let inner = Routes::new()
            .route("/a/{id}", get(Role::Reader, ok).put(Role::Service, ok).body_limit(8))
            .with_state(());
        Routes::new()
            .nest("/api", inner)
            .merge(Routes::new().route("/open", get(Role::Anonymous, ok)))
            .route("/any", any(Role::Developer, ok))
            .route("/own", any(Role::Reader, ok).waits().post(Role::Anonymous, ok))
            .route("/all", get(Role::Admin, ok))
            .route("/some", get(Role::Admin, ok).minds_repositories())
            .route("/whole", get(Role::Developer, ok).of_the_whole_server())
    }

    async fn ask(method: &str, path: &str, viewer: Option<Viewer>) -> (u16, Option<String>) {
        let mut request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        request.extensions_mut().extend(
            viewer
                .map(|viewer| {
                    let mut one = http::Extensions::new();
                    one.insert(viewer);
                    one
                })
                .unwrap_or_default(),
        );
        let response = app().into_router().oneshot(request).await.unwrap();
        let allow = response.headers().get(header::ALLOW).map(|v| v.to_str().unwrap().to_owned());
        (response.status().as_u16(), allow)
    }

    #[test]
    fn what_is_registered_is_a_table() {
        let rows: Vec<String> = app()
            .table()
            .into_iter()
            .map(|entry| {
                let of_method = entry.nature == Nature::OfMethod;
                let nature = if of_method { String::new() } else { format!(" {:?}", entry.nature) };
                format!("{} {} {}{nature}", entry.method, entry.path, entry.role)
            })
            .collect();
        assert_eq!(
            rows,
            [
                "GET /all admin",
                "* /any developer",
                "GET /api/a/{id} reader",
                "PUT /api/a/{id} service",
                "GET /open anonymous",
                "* /own reader Waits",
                "POST /own anonymous",
                "GET /some admin",
                "GET /whole developer"
            ]
        );
    }

    #[tokio::test]
    async fn what_is_of_the_whole_server_is_not_for_those_of_some_repositories() {
        let of_a = |role| Some(Viewer::known("ada", role).scoped(vec!["a".into()]));
        for (method, path, role, status) in [
            ("GET", "/all", Role::Admin, 403),
            ("GET", "/some", Role::Admin, 200),
            ("GET", "/some", Role::Developer, 403),
            ("PUT", "/api/a/1", Role::Service, 403),
            ("GET", "/api/a/1", Role::Service, 200),
            ("GET", "/any", Role::Developer, 200),
            ("GET", "/whole", Role::Developer, 403),
            ("GET", "/whole", Role::Reader, 403),
        ] {
            assert_eq!(ask(method, path, of_a(role)).await.0, status, "{method} {path} as {role}");
        }
        for path in ["/all", "/some", "/whole"] {
            assert_eq!(ask("GET", path, Some(Viewer::known("ada", Role::Admin))).await.0, 200, "{path}");
        }
    }

    #[tokio::test]
    async fn without_a_viewer_only_what_is_open_to_all_is_answered() {
        for (method, path, status) in [
            ("GET", "/open", 200),
            ("HEAD", "/open", 200),
            ("POST", "/open", 401),
            ("GET", "/api/a/1", 401),
            ("PUT", "/api/a/1", 401),
            ("GET", "/any", 401),
            ("GET", "/nothing", 401),
            ("POST", "/own", 200),
            ("GET", "/own", 401),
        ] {
            assert_eq!(ask(method, path, None).await.0, status, "{method} {path}");
        }
    }

    #[tokio::test]
    async fn a_service_by_itself_is_reached_by_its_token() {
        let router = app().behind_token("abc");
        for (said, status) in [("Bearer abc", 200), ("Bearer abd", 401), ("Bearer ab", 401), ("abc", 401)] {
            let request = Request::put("/api/a/1").header(header::AUTHORIZATION, said);
            let answer = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
            assert_eq!(answer.status(), status, "{said}");
        }
        let empty = Request::put("/api/a/1").header(header::AUTHORIZATION, "Bearer ");
        let answer = app().behind_token("").oneshot(empty.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(answer.status(), 401, "no token is nobody's");
    }

    #[tokio::test]
    async fn a_body_that_is_too_large_is_refused_whether_its_length_is_said_or_not() {
        let echo = |body: axum::body::Bytes| async move { body.len().to_string() };
        let ignore = || async { "ok" };
        let streamed = |body: Body| async move {
            axum::body::to_bytes(body, usize::MAX).await.map_or(0, |bytes| bytes.len()).to_string()
        };
        let app = Routes::new()
            .route("/usual", post(Role::Anonymous, echo))
            .route("/ignores", get(Role::Anonymous, ignore))
            .route("/small", post(Role::Anonymous, echo).body_limit(8))
            .route("/large", post(Role::Anonymous, echo).body_limit(3 << 20))
            .route("/streamed", post(Role::Anonymous, streamed).streams_its_body())
            .into_router();
        let small = 8;
        let (usual, large) = (2 << 20, 3 << 20);
        for (method, path, size, status) in [
            ("POST", "/usual", usual, 200),
            ("POST", "/usual", usual + 1, 413),
            ("GET", "/ignores", usual + 1, 413),
            ("POST", "/small", small, 200),
            ("POST", "/small", small + 1, 413),
            ("POST", "/large", large, 200),
            ("POST", "/large", large + 1, 413),
            ("POST", "/streamed", large + 1, 200),
        ] {
            let said = Body::from(vec![0; size]);
            // A stream says nothing of its length.
            let unsaid = Body::from_stream(Body::from(vec![0; size]).into_data_stream());
            for (body, is_said) in [(said, true), (unsaid, false)] {
                if !is_said && path == "/ignores" {
                    continue;
                }
                let request = Request::builder().method(method).uri(path).body(body).unwrap();
                let answer = app.clone().oneshot(request).await.unwrap();
                assert_eq!(answer.status(), status, "{method} {path} {size} said {is_said}");
            }
        }
    }

    #[tokio::test]
    async fn each_method_has_its_own_role_and_what_is_not_registered_is_refused() {
        let reader = || Some(Viewer::stranger(true));
        assert_eq!(ask("GET", "/api/a/1", reader()).await.0, 200);
        assert_eq!(ask("HEAD", "/api/a/1", reader()).await.0, 200);
        assert_eq!(ask("PUT", "/api/a/1", reader()).await.0, 401);
        assert_eq!(ask("DELETE", "/api/a/1", reader()).await.0, 401);
        assert_eq!(ask("GET", "/nothing", reader()).await.0, 404);
        let ada = || Some(Viewer::known("ada", Role::Developer));
        assert_eq!(ask("PUT", "/api/a/1", ada()).await.0, 403);
        assert_eq!(ask("GET", "/any", ada()).await.0, 200);
        let (status, allow) = ask("DELETE", "/api/a/1", ada()).await;
        assert_eq!(status, 405);
        assert!(allow.unwrap().contains("PUT"));
        assert_eq!(ask("PUT", "/api/a/1", Some(Viewer::service("coordinator"))).await.0, 200);
    }
}
