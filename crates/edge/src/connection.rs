//! One connection: its first byte, TLS if there is any, and HTTP until its end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::response::{IntoResponse as _, Redirect};
use http::{Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::OverTls;
use crate::body::{Answer, Paced};
use crate::files::Sending;
use crate::serve::{Edge, Plain};
use crate::stream::Stream;
use crate::table::{Activity, Entry};
use crate::takeover::{Head, Opening, Taken, opening};

/// How long a connection may take to end that is to end.
const LEAVE: std::time::Duration = std::time::Duration::from_secs(2);

/// The content type of streams that a reader comes back to by itself.
const EVENTS: &[u8] = b"text/event-stream";

/// Serves one connection until its end, the server's, or until another takes its place.
pub(crate) async fn serve(
    edge: Edge,
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    entry: Entry,
    stop: CancellationToken,
) {
    // Small answers and events are not to wait for more.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "a connection was gone at once");
        return;
    }
    let door = Door { router, peer, activity: Arc::clone(&entry.activity), edge, plain: None, tls: false };
    door.serve(stream, &entry.activity.cut, &stop).await;
    drop(entry);
}

/// What requests of a connection are handed to.
#[derive(Clone)]
struct Door {
    router: Router,
    peer: SocketAddr,
    activity: Arc<Activity>,
    edge: Edge,
    /// Said in place of an answer to what came without TLS.
    plain: Option<Plain>,
    /// It came over TLS.
    tls: bool,
}

impl Door {
    #[cfg(feature = "tls")]
    async fn serve(mut self, stream: TcpStream, cut: &CancellationToken, stop: &CancellationToken) {
        let Some(tls) = self.edge.tls().cloned() else {
            let stream = Sending::new(stream, self.edge.files());
            return self.begin(stream, cut, stop).await;
        };
        let limit = self.edge.limits().head;
        let opening = async {
            let mut first = [0];
            match stream.peek(&mut first).await {
                Ok(1) if first[0] == crate::tls::HANDSHAKE => Ok(Err(tls.accept(stream).await?)),
                Ok(1) => Ok(Ok(stream)),
                Ok(_) => Err(std::io::ErrorKind::UnexpectedEof.into()),
                Err(error) => Err(error),
            }
        };
        let opened = tokio::select! {
            opened = timeout(limit, opening) => opened,
            () = cut.cancelled() => return,
            () = stop.cancelled() => return,
        };
        match opened {
            Ok(Ok(Ok(plain))) => {
                self.plain = Some(self.edge.plain(self.peer.ip())).filter(|rule| *rule != Plain::Answer);
                let plain = Sending::new(plain, self.edge.files());
                self.begin(plain, cut, stop).await;
            }
            Ok(Ok(Err(crate::tls::Accepted::Http1(stream)))) => {
                self.tls = true;
                self.begin(*stream, cut, stop).await;
            }
            Ok(Ok(Err(crate::tls::Accepted::Http2(stream)))) => {
                self.tls = true;
                self.http2(*stream, cut, stop).await;
            }
            Ok(Ok(Err(crate::tls::Accepted::Challenge))) => {
                tracing::debug!(peer = %self.peer, "an ACME challenge was answered");
            }
            Ok(Err(error)) => tracing::debug!(peer = %self.peer, %error, "a connection did not get to HTTP"),
            Err(_) => tracing::debug!(peer = %self.peer, "a connection sent nothing, or too slowly"),
        }
    }

    #[cfg(not(feature = "tls"))]
    async fn serve(self, stream: TcpStream, cut: &CancellationToken, stop: &CancellationToken) {
        let stream = Sending::new(stream, self.edge.files());
        self.begin(stream, cut, stop).await;
    }

    /// Serves the HTTP that a connection begins with, unless its first request takes it out of that.
    async fn begin<S>(self, stream: S, cut: &CancellationToken, stop: &CancellationToken)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let takeover = self.edge.takeover().filter(|_| self.plain.is_none()).map(Arc::clone);
        let limits = self.edge.limits();
        let paths = takeover.as_ref().map(|takeover| takeover.paths()).unwrap_or_default();
        let opened = tokio::select! {
            opened = timeout(limits.head, opening(stream, paths, limits.head_bytes)) => opened,
            () = cut.cancelled() => return,
            () = stop.cancelled() => return,
        };
        match opened {
            Ok(Ok(Opening::Http(stream))) => self.http1(stream, cut, stop).await,
            Ok(Ok(Opening::Http2(stream))) => self.http2(stream, cut, stop).await,
            Ok(Ok(Opening::Taken(head, stream))) => {
                // Nothing is taken by nobody.
                let Some(takeover) = takeover else { return };
                let _answered = self.activity.request();
                let Head { path, headers } = *head;
                let stream = Box::new(Stream::new(stream, limits.stalled));
                let taken = Taken { path, headers, peer: self.peer, tls: self.tls, stream };
                tokio::select! {
                    () = takeover.take(taken) => {}
                    () = stop.cancelled() => {}
                }
            }
            Ok(Err(error)) => {
                tracing::debug!(peer = %self.peer, %error, "a connection broke before it asked")
            }
            Err(_) => tracing::debug!(peer = %self.peer, "a connection sent nothing, or too slowly"),
        }
    }

    async fn http1<S>(self, stream: S, cut: &CancellationToken, stop: &CancellationToken)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let limits = self.edge.limits();
        let io = TokioIo::new(Stream::new(stream, limits.stalled));
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            // The time for heads is watched in `until_the_end`, where it is known what else the connection does.
            .header_read_timeout(None)
            .max_buf_size(limits.head_bytes)
            .serve_connection(io, self.clone())
            .with_upgrades();
        self.until_the_end(served, cut, stop).await;
    }

    async fn http2<S>(self, stream: S, cut: &CancellationToken, stop: &CancellationToken)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let limits = self.edge.limits();
        let io = TokioIo::new(Stream::new(stream, limits.stalled));
        let streams = Streams(CancellationToken::new());
        let _ended_with_the_connection = streams.0.clone().drop_guard();
        let served = hyper::server::conn::http2::Builder::new(streams)
            .timer(TokioTimer::new())
            .max_concurrent_streams(100)
            .max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX))
            .keep_alive_interval(limits.idle / 2)
            .keep_alive_timeout(limits.head)
            .serve_connection(io, self.clone());
        self.until_the_end(served, cut, stop).await;
    }

    /// Drives a connection, and ends it when it waited too long, when its place is taken, or with the server.
    async fn until_the_end<C: Served>(&self, served: C, cut: &CancellationToken, stop: &CancellationToken) {
        let mut served = std::pin::pin!(served);
        let limits = self.edge.limits();
        loop {
            let deadline = self.activity.deadline(limits);
            let look = deadline.unwrap_or_else(|| Instant::now() + limits.idle);
            tokio::select! {
                ended = served.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(peer = %self.peer, %error, "a connection broke");
                    }
                    return;
                }
                () = cut.cancelled() => return,
                () = stop.cancelled() => {
                    served.as_mut().leave();
                    // What is still answered then is ended with the server.
                    let _ = served.await;
                    return;
                }
                () = sleep_until(look) => {
                    let late = self.activity.deadline(limits).is_some_and(|deadline| deadline <= Instant::now());
                    if late {
                        served.as_mut().leave();
                        let _ = timeout(LEAVE, served).await;
                        return;
                    }
                }
            }
        }
    }

    async fn answer(self, mut request: Request<Incoming>) -> Response<Answer> {
        let mut busy = self.activity.request();
        // HTTP/2 has no such header, and what is asked of it must not depend on that.
        if let (false, Some(authority)) =
            (request.headers().contains_key(header::HOST), request.uri().authority())
            && let Ok(host) = http::HeaderValue::try_from(authority.as_str())
        {
            request.headers_mut().insert(header::HOST, host);
        }
        let response = match &self.plain {
            Some(rule) => plainly(rule, &request),
            None => {
                request.extensions_mut().insert(ConnectInfo(self.peer));
                if self.tls {
                    request.extensions_mut().insert(OverTls);
                }
                let limits = self.edge.limits();
                let request = request.map(|body| Body::new(Paced::new(body, limits)));
                match self.router.oneshot(request).await {
                    Ok(response) => response,
                    Err(never) => match never {},
                }
            }
        };
        let kind = response.headers().get(header::CONTENT_TYPE);
        if kind.is_some_and(|kind| kind.as_bytes().starts_with(EVENTS)) {
            busy.is_stream();
        }
        response.map(|inner| Answer { inner, _busy: busy })
    }
}

/// What is said to somebody who came without TLS and may not.
fn plainly(rule: &Plain, request: &Request<Incoming>) -> Response<Body> {
    if let Plain::Redirect(base) = rule {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        return Redirect::permanent(&format!("{base}{path}")).into_response();
    }
    let message = "this server is asked over https only; what was sent just now could be read on the way";
    let error = serde_json::json!({"code": "tls_only", "message": message, "request_id": ""});
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (StatusCode::FORBIDDEN, kind, error.to_string()).into_response()
}

impl hyper::service::Service<Request<Incoming>> for Door {
    type Response = Response<Answer>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Answer>, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let door = self.clone();
        Box::pin(async move { Ok(door.answer(request).await) })
    }
}

/// A connection of some version of HTTP.
trait Served: Future<Output = hyper::Result<()>> {
    /// Takes no more requests.
    fn leave(self: Pin<&mut Self>);
}

impl<S> Served for http1::UpgradeableConnection<TokioIo<S>, Door>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    fn leave(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<S> Served for hyper::server::conn::http2::Connection<TokioIo<S>, Door, Streams>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    fn leave(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// Runs the streams of a connection, none of them longer than the connection.
#[derive(Clone)]
struct Streams(CancellationToken);

impl<F> hyper::rt::Executor<F> for Streams
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, stream: F) {
        let ended = self.0.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = stream => {}
                () = ended.cancelled() => {}
            }
        });
    }
}
