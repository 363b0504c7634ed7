//! The handle on a service.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tower::ServiceExt;

use crate::connect::{self, Client, names};
use crate::{ApiError, CallError, Viewer};

/// The limit of a call that has none of its own: head of the answer, and whole body where the call reads it.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
/// The largest JSON answer that is read, in bytes.
const MAX_JSON: usize = 64 << 20;

/// A connection that was one of HTTP.
pub type Upgraded = TokioIo<hyper::upgrade::Upgraded>;

/// A handle on an HTTP service. Cheap to clone.
#[derive(Clone)]
pub struct Service {
    reach: Reach,
    bearer: Option<Arc<str>>,
    timeout: Duration,
}

#[derive(Clone)]
enum Reach {
    InProcess(Router, Viewer),
    Url { base: Arc<str>, client: Box<Client> },
}

impl Service {
    /// Reaches a service by its router, in this process: no socket, no serialisation of the head. It is asked as another
    /// service of this system, unless [`Service::asking_as`] says otherwise.
    pub fn in_process(router: Router) -> Self {
        let reach = Reach::InProcess(router, Viewer::service(Viewer::THIS_PROCESS));
        Service { reach, bearer: None, timeout: DEFAULT_TIMEOUT }
    }

    /// Says who asks, in this process. Over a URL that is what the bearer token says.
    pub fn asking_as(mut self, viewer: Viewer) -> Self {
        if let Reach::InProcess(_, asking) = &mut self.reach {
            *asking = viewer;
        }
        self
    }

    /// Reaches a service at `base`, such as `http://127.0.0.1:8119`; a path at its end is put before every path asked. One
    /// at an https address is known by the well-known authorities.
    pub fn url(base: &str) -> Self {
        Self::by(base, connect::client(connect::Version::One))
    }

    /// The same, unless it is at an address of this machine or of a private network, whatever its name: for an address that a
    /// stranger said, who is not to ask in our name what they can't reach themselves.
    ///
    /// # Errors
    /// When the host is such an address. One whose name leads to it is found as it is asked: [`CallError::BadRequest`] says so.
    pub fn public_url(base: &str) -> Result<Self, CallError> {
        names::public(base).map_err(|inner| CallError::BadRequest(inner.to_string()))?;
        Ok(Self::by(base, connect::client_of(connect::Version::One, names::Whom::Public)))
    }

    /// The same by HTTP/2 and nothing else, as gRPC is called; with certificates that are trusted as with
    /// [`Service::url_trusting`].
    ///
    /// # Errors
    /// As there.
    pub fn url_by_http2(base: &str, certificates: Option<&[u8]>) -> Result<Self, CallError> {
        let version = connect::Version::Two;
        let client = match certificates {
            Some(certificates) => connect::client_trusting(certificates, version)?,
            None => connect::client(version),
        };
        Ok(Self::by(base, client))
    }

    /// Reaches a service at an https address whose certificate, or whose authority's, may also be one of these in PEM.
    ///
    /// # Errors
    /// When none of them can be used; or this was built without TLS.
    pub fn url_trusting(base: &str, certificates: &[u8]) -> Result<Self, CallError> {
        Ok(Self::by(base, connect::client_trusting(certificates, connect::Version::One)?))
    }

    fn by(base: &str, client: Client) -> Self {
        let base = base.trim_end_matches('/').into();
        Service {
            reach: Reach::Url { base, client: Box::new(client) },
            bearer: None,
            timeout: DEFAULT_TIMEOUT,
        }
    }

    /// Sends `Authorization: Bearer TOKEN` with each request that has no such header.
    pub fn with_bearer(mut self, token: &str) -> Self {
        self.bearer = Some(token.into());
        self
    }

    /// Sets the limit of a call.
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    fn target(&self) -> String {
        match &self.reach {
            Reach::InProcess(..) => "in process".into(),
            Reach::Url { base, .. } => base.to_string(),
        }
    }

    /// Sends a request whose URI is a path (with query) and returns the answer, whatever its status. The body is
    /// streamed both ways; the time limit covers the head of the answer only.
    pub async fn send(&self, mut request: Request<Body>) -> Result<Response<Body>, CallError> {
        if let Some(bearer) = &self.bearer
            && !request.headers().contains_key(header::AUTHORIZATION)
        {
            let value = header::HeaderValue::try_from(format!("Bearer {bearer}"))
                .map_err(|error| CallError::BadRequest(error.to_string()))?;
            request.headers_mut().insert(header::AUTHORIZATION, value);
        }
        let answer = async {
            match &self.reach {
                Reach::InProcess(router, viewer) => {
                    if request.extensions().get::<Viewer>().is_none() {
                        request.extensions_mut().insert(viewer.clone());
                    }
                    match router.clone().oneshot(request).await {
                        Ok(response) => Ok(response),
                        Err(never) => match never {},
                    }
                }
                Reach::Url { base, client } => {
                    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
                    let uri = format!("{base}{path}");
                    *request.uri_mut() = uri
                        .parse()
                        .map_err(|error| CallError::BadRequest(format!("{uri:?} is not a URI: {error}")))?;
                    connect::possible(base)?;
                    let response =
                        client.request(request).await.map_err(|error| match names::inner(&error) {
                            Some(inner) => CallError::BadRequest(inner.to_string()),
                            None => CallError::Unreachable { target: base.to_string(), source: error.into() },
                        })?;
                    Ok(response.map(Body::new))
                }
            }
        };
        match tokio::time::timeout(self.timeout, answer).await {
            Ok(answer) => answer,
            Err(_) => Err(self.too_late()),
        }
    }

    /// Sends a request and refuses an answer outside 2xx, with the service's own words.
    pub async fn send_ok(&self, request: Request<Body>) -> Result<Response<Body>, CallError> {
        let response = self.send(request).await?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let bytes = self.read(response.into_body(), 1 << 20).await?;
        Err(refused(status, &bytes))
    }

    /// Gets a path whose connection goes on as another protocol, and that connection. Over a URL of HTTP/1.1 only.
    pub async fn upgrade(&self, path: &str, protocol: &'static str) -> Result<Upgraded, CallError> {
        let request = Request::get(path)
            .header(header::CONNECTION, "Upgrade")
            .header(header::UPGRADE, protocol)
            .body(Body::empty())
            .map_err(|error| CallError::BadRequest(format!("{path}: {error}")))?;
        let mut response = self.send(request).await?;
        let status = response.status();
        if status != StatusCode::SWITCHING_PROTOCOLS {
            let bytes = self.read(response.into_body(), 1 << 20).await?;
            return Err(refused(status, &bytes));
        }
        match hyper::upgrade::on(&mut response).await {
            Ok(stream) => Ok(TokioIo::new(stream)),
            Err(error) => Err(CallError::Unreachable { target: self.target(), source: error.into() }),
        }
    }

    /// Calls with an optional JSON body and decodes a JSON answer; an empty answer decodes as `null`.
    pub async fn call_json<B, T>(&self, method: Method, path: &str, body: Option<&B>) -> Result<T, CallError>
    where
        B: Serialize + ?Sized,
        T: DeserializeOwned,
    {
        let mut request = Request::builder().method(method).uri(path);
        let body = match body {
            Some(body) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                let text =
                    serde_json::to_vec(body).map_err(|error| CallError::BadRequest(error.to_string()))?;
                Body::from(text)
            }
            None => Body::empty(),
        };
        let request =
            request.body(body).map_err(|error| CallError::BadRequest(format!("{path}: {error}")))?;
        let response = self.send_ok(request).await?;
        let bytes = self.read(response.into_body(), MAX_JSON).await?;
        let text: &[u8] = if bytes.is_empty() { b"null" } else { &bytes };
        serde_json::from_slice(text).map_err(|error| CallError::Malformed {
            target: self.target(),
            message: format!("{path}: {error}"),
        })
    }

    /// Gets a JSON document.
    pub async fn get_json<T: DeserializeOwned>(&self, path: &str) -> Result<T, CallError> {
        self.call_json::<(), T>(Method::GET, path, None).await
    }

    async fn read(&self, body: Body, limit: usize) -> Result<bytes::Bytes, CallError> {
        let read = axum::body::to_bytes(body, limit);
        match tokio::time::timeout(self.timeout, read).await {
            Ok(Ok(bytes)) => Ok(bytes),
            Ok(Err(error)) => Err(CallError::Unreachable { target: self.target(), source: error.into() }),
            Err(_) => Err(self.too_late()),
        }
    }

    fn too_late(&self) -> CallError {
        CallError::Timeout { target: self.target(), seconds: self.timeout.as_secs() }
    }
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Service").field(&self.target()).finish()
    }
}

fn refused(status: StatusCode, bytes: &[u8]) -> CallError {
    let error = serde_json::from_slice::<ApiError>(bytes).unwrap_or_else(|_| ApiError {
        code: String::new(),
        message: plain_message(status, bytes),
        request_id: String::new(),
    });
    CallError::Refused { status, error }
}

fn plain_message(status: StatusCode, bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(4096)]);
    match text.trim() {
        "" => status.canonical_reason().unwrap_or("refused").to_owned(),
        text => text.to_owned(),
    }
}

/// What a generated client calls by.
impl<B> tower::Service<Request<B>> for Service
where
    B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<axum::BoxError>,
{
    type Response = Response<Body>;
    type Error = CallError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, CallError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move { service.send(request.map(Body::new)).await })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Json;
    use axum::routing::{get, post};

    fn router() -> Router {
        Router::new()
            .route("/double", post(|Json(n): Json<u32>| async move { Json(n * 2) }))
            .route("/plain", get(|| async { (StatusCode::CONFLICT, "not now\n") }))
            .route(
                "/typed",
                get(|| async {
                    let body =
                        ApiError { code: "stale".into(), message: "old".into(), request_id: "r1".into() };
                    (StatusCode::CONFLICT, Json(body))
                }),
            )
            .route("/slow", get(std::future::pending::<()>))
            .route(
                "/who",
                get(|headers: http::HeaderMap| async move {
                    let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
                    Json(value.map(str::to_owned))
                }),
            )
    }

    async fn both() -> (Vec<Service>, tokio::task::JoinHandle<()>) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let server = tokio::spawn(async move { axum::serve(listener, router()).await.unwrap() });
        (vec![Service::in_process(router()), Service::url(&url)], server)
    }

    #[tokio::test]
    async fn both_ways_give_the_same_answers() {
        let (services, server) = both().await;
        for service in services {
            let doubled: u32 = service.call_json(Method::POST, "/double", Some(&21)).await.unwrap();
            assert_eq!(doubled, 42, "{service:?}");
            let refused = service.get_json::<u32>("/plain").await.unwrap_err();
            assert!(refused.is_status(StatusCode::CONFLICT) && refused.to_string().contains("not now"));
            let typed = service.get_json::<u32>("/typed").await.unwrap_err();
            assert!(typed.is_code("stale") && !typed.is_transient());
            let slow = service.clone().with_timeout(Duration::from_millis(20)).get_json::<()>("/slow").await;
            assert!(matches!(slow, Err(CallError::Timeout { .. })) && slow.unwrap_err().is_transient());
            let who: Option<String> = service.with_bearer("abc").get_json("/who").await.unwrap();
            assert_eq!(who.as_deref(), Some("Bearer abc"));
        }
        server.abort();
    }

    #[tokio::test]
    async fn a_service_that_is_not_there_is_unreachable() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let error = Service::url(&url).get_json::<()>("/").await.unwrap_err();
        assert!(matches!(error, CallError::Unreachable { .. }) && error.is_transient(), "{error}");
        assert!(error.is_connect(), "{error}");
    }

    #[tokio::test]
    async fn a_service_that_hangs_up_was_reached() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let service = Service::url(&format!("http://{}", listener.local_addr().unwrap()));
        let asked = service.get_json::<()>("/");
        let (error, ()) = tokio::join!(asked, async { drop(listener.accept().await.unwrap()) });
        let error = error.unwrap_err();
        assert!(matches!(error, CallError::Unreachable { .. }) && !error.is_connect(), "{error}");
    }

    #[tokio::test]
    async fn a_public_url_leads_to_no_inner_address() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let refused = Service::public_url(&format!("http://127.0.0.1:{port}")).err().unwrap();
        assert!(refused.to_string().contains("private network") && !refused.is_transient(), "{refused}");
        let named = Service::public_url(&format!("http://localhost:{port}")).unwrap();
        let why = named.send(Request::get("/").body(Body::empty()).unwrap()).await.err().unwrap();
        assert!(why.to_string().contains("localhost is ") && !why.is_transient(), "{why}");
        let nobody = tokio::time::timeout(Duration::from_millis(1), listener.accept()).await;
        assert!(nobody.is_err(), "somebody connected");
    }
}
