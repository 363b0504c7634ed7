//! A port with nothing but `/healthz`, for whoever watches a machine that dials out.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

/// Connections at once; more wait in the kernel.
const MOST: usize = 16;
/// Each is one question, and short.
const PATIENCE: Duration = Duration::from_secs(10);

/// The port, until it is dropped.
pub(crate) struct Health(#[expect(dead_code, reason = "it lives as long as this")] AbortOnDropHandle<()>);

impl Health {
    pub(crate) async fn open(address: SocketAddr) -> io::Result<Self> {
        let taken =
            |error| io::Error::other(format!("--health-addr {address} can't be listened on: {error}"));
        let listener = TcpListener::bind(address).await.map_err(taken)?;
        tracing::info!(address = %listener.local_addr()?, "answers /healthz");
        Ok(Self(AbortOnDropHandle::new(tokio::spawn(serve(listener)))))
    }
}

async fn serve(listener: TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < MOST => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(tokio::time::timeout(PATIENCE, async move {
                        let served = hyper::server::conn::http1::Builder::new()
                            .timer(TokioTimer::new())
                            .keep_alive(false)
                            .serve_connection(TokioIo::new(stream), hyper::service::service_fn(answer));
                        // Whoever breaks off does not want to know.
                        let _ended = served.await;
                    }));
                }
                Err(error) => {
                    tracing::warn!(%error, "accept for /healthz");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
            Some(_ended) = connections.join_next() => {}
        }
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (status, text) = match request.uri().path() {
        "/healthz" => (StatusCode::OK, "ok\n"),
        _ => (StatusCode::NOT_FOUND, "404 page not found\n"),
    };
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    Ok(response)
}
