//! The listener, and who owns the connections.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::files::Files;
use crate::stream::Stream;
use crate::table::Table;
use crate::takeover::Takeover;
use crate::{Limits, connection};

/// What is under way has so long to end when the server does. Live tails never end by themselves.
const GRACE: Duration = Duration::from_millis(200);
/// After an error that more connections would only repeat.
const PAUSE: Duration = Duration::from_millis(100);
/// So many that were turned away are listened to for a moment, so that they can read why.
const TURNED_AWAY: usize = 64;
/// An end that was turned away has so long to take the last bytes.
const STALLED: Duration = Duration::from_secs(1);

/// What is said on the port of TLS to somebody who comes without.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plain {
    /// The answer, as over TLS.
    Answer,
    /// Nothing but that it must be TLS.
    Refuse,
    /// The same path below this address.
    Redirect(Arc<str>),
}

/// Says how somebody at an address is dealt with who comes without TLS.
pub type PlainRule = Arc<dyn Fn(IpAddr) -> Plain + Send + Sync>;

/// The edge of a server. Cheap to clone.
#[derive(Clone)]
pub struct Edge(Arc<Inner>);

impl std::fmt::Debug for Edge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Edge").field("open", &self.open()).finish_non_exhaustive()
    }
}

struct Inner {
    limits: Limits,
    table: Arc<Table>,
    /// Places of those who are turned away.
    turned_away: Arc<Semaphore>,
    #[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "without TLS, plain is what there is"))]
    plain: PlainRule,
    /// Takes some connections out of HTTP.
    takeover: OnceLock<Arc<dyn Takeover>>,
    /// Knows what lies in files.
    files: OnceLock<Files>,
    #[cfg(feature = "tls")]
    tls: Option<crate::tls::Tls>,
}

impl Edge {
    /// Makes one without TLS.
    #[must_use]
    pub fn new(limits: Limits) -> Edge {
        Edge(Arc::new(Inner {
            limits,
            table: Arc::default(),
            turned_away: Arc::new(Semaphore::new(TURNED_AWAY)),
            plain: Arc::new(|_| Plain::Answer),
            takeover: OnceLock::new(),
            files: OnceLock::new(),
            #[cfg(feature = "tls")]
            tls: None,
        }))
    }

    /// Makes one with TLS; `plain` says what becomes of those who come without.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn with_tls(limits: Limits, tls: crate::tls::Tls, plain: PlainRule) -> Edge {
        let turned_away = Arc::new(Semaphore::new(TURNED_AWAY));
        let (table, takeover, files) = (Arc::default(), OnceLock::new(), OnceLock::new());
        Edge(Arc::new(Inner { limits, table, turned_away, plain, takeover, files, tls: Some(tls) }))
    }

    /// Lets some connections be taken out of HTTP. Only the first takeover counts.
    #[must_use]
    pub fn with_takeover(self, takeover: Arc<dyn Takeover>) -> Edge {
        let _ = self.0.takeover.set(takeover);
        self
    }

    /// Has bytes that lie in files sent from there, over connections without TLS. Only the first counts.
    #[must_use]
    pub fn with_files(self, files: Files) -> Edge {
        let _ = self.0.files.set(files);
        self
    }

    pub(crate) fn files(&self) -> Option<Files> {
        self.0.files.get().cloned()
    }

    pub(crate) fn takeover(&self) -> Option<&Arc<dyn Takeover>> {
        self.0.takeover.get()
    }

    /// How many connections are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.0.table.len()
    }

    /// How many connections were cut or turned away because there were too many.
    #[must_use]
    pub fn cut(&self) -> u64 {
        self.0.table.cut()
    }

    /// Until when the certificate is valid that is shown now, in seconds since 1970.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn certificate_until(&self) -> Option<i64> {
        self.0.tls.as_ref()?.valid_until()
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// What TLS on another port is begun with, by the same certificate; none without TLS.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn acceptor(&self) -> Option<tokio_rustls::TlsAcceptor> {
        self.0.tls.as_ref().map(crate::tls::Tls::acceptor)
    }

    #[cfg(feature = "tls")]
    pub(crate) fn tls(&self) -> Option<&crate::tls::Tls> {
        self.0.tls.as_ref()
    }

    #[cfg(feature = "tls")]
    pub(crate) fn plain(&self, peer: IpAddr) -> Plain {
        (self.0.plain)(peer.to_canonical())
    }

    /// Serves until `stop`; what is under way then has a moment to end.
    pub async fn serve(&self, listener: TcpListener, router: Router, stop: CancellationToken) {
        let mut connections = JoinSet::new();
        let mut short = false;
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(ended) = connections.join_next(), if !connections.is_empty() => {
                    if let Err(error) = ended {
                        tracing::error!(%error, "a connection's task died");
                    }
                }
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        short = false;
                        self.take(&mut connections, stream, peer, &router, &stop);
                    }
                    Err(error) if of_one_connection(&error) => {}
                    Err(error) => {
                        if !short {
                            tracing::error!(%error, "no connection can be accepted");
                        }
                        short = true;
                        // There may be no file descriptor left: whoever waits gives one back.
                        self.0.table.make_room();
                        tokio::select! {
                            () = tokio::time::sleep(PAUSE) => {}
                            () = stop.cancelled() => break,
                        }
                    }
                },
            }
        }
        drop(listener);
        let ended = async { while connections.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(GRACE, ended).await;
        connections.shutdown().await;
    }

    fn take(
        &self,
        connections: &mut JoinSet<()>,
        stream: TcpStream,
        peer: SocketAddr,
        router: &Router,
        stop: &CancellationToken,
    ) {
        match self.0.table.enter(self.0.limits.connections) {
            Some(entry) => {
                let served =
                    connection::serve(self.clone(), stream, peer, router.clone(), entry, stop.clone());
                connections.spawn(served);
            }
            None => {
                tracing::debug!(%peer, "a connection too many");
                let place = Arc::clone(&self.0.turned_away).try_acquire_owned().ok();
                connections.spawn(turn_away(stream, place, stop.clone()));
            }
        }
    }
}

/// Errors that say nothing of the next connection.
fn of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionRefused | ConnectionAborted | ConnectionReset)
}

/// Says that there are too many. With a place, what the other end still sends is read for a moment: what comes for a
/// socket that is closed makes its system throw the answer away. Without one it is said as far as can be without waiting.
async fn turn_away(stream: TcpStream, place: Option<OwnedSemaphorePermit>, stop: CancellationToken) {
    let message = "too many requests are under way; try again";
    let body = serde_json::json!({"code": "too_many_connections", "message": message, "request_id": ""});
    let body = body.to_string();
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    // Whoever can't take it is gone, or did not ask in plain HTTP.
    if place.is_none() {
        if let Ok(mut stream) = stream.into_std() {
            let _ = io::Write::write(&mut stream, answer.as_bytes());
        }
        return;
    }
    let mut stream = Stream::new(stream, STALLED);
    let told = async {
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await
    };
    tokio::select! {
        _ = told => {}
        () = stop.cancelled() => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use tokio::io::AsyncReadExt as _;

    const ASK: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

    struct Running {
        edge: Edge,
        address: SocketAddr,
        stop: CancellationToken,
        served: tokio::task::JoinHandle<()>,
    }

    async fn running(limits: Limits, router: Router) -> Running {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (edge, stop) = (Edge::new(limits), CancellationToken::new());
        let served = tokio::spawn({
            let (edge, stop) = (edge.clone(), stop.clone());
            async move { edge.serve(listener, router, stop).await }
        });
        Running { edge, address, stop, served }
    }

    async fn ask(address: SocketAddr, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    fn small(connections: usize) -> Limits {
        Limits {
            connections,
            head: Duration::from_millis(300),
            idle: Duration::from_millis(600),
            body_wait: Duration::from_millis(200),
            ..Limits::default()
        }
    }

    #[tokio::test]
    async fn whoever_waits_gives_way_and_who_is_answered_does_not() {
        let limits = Limits { head: Duration::from_secs(60), ..small(2) };
        let (go, held) = tokio::sync::watch::channel(false);
        let (answering, mut answered) = tokio::sync::mpsc::channel(2);
        let slow = move || {
            let (mut held, answering) = (held.clone(), answering.clone());
            async move {
                answering.send(()).await.unwrap();
                held.wait_for(|go| *go).await.map_or("gone", |_| "at last")
            }
        };
        let router = Router::new().route("/", get(|| async { "at once" })).route("/slow", get(slow));
        let running = running(limits, router).await;
        let mut waits = TcpStream::connect(running.address).await.unwrap();
        waits.write_all(b"GET / HTTP/1.1\r\nHost:").await.unwrap();
        let _waits_too = TcpStream::connect(running.address).await.unwrap();
        for _ in 0..3 {
            assert!(ask(running.address, ASK).await.ends_with("at once"), "somebody is let in");
        }
        assert_eq!(waits.read(&mut [0; 1]).await.unwrap_or(0), 0, "whoever waited is cut");
        let mut both = Vec::new();
        for _ in 0..2 {
            let request = b"GET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
            both.push(tokio::spawn(ask(running.address, request)));
            answered.recv().await.unwrap();
        }
        // Those two are answered now, so that a third is told to come again, who only asks once that is said.
        let mut third = TcpStream::connect(running.address).await.unwrap();
        third.readable().await.unwrap();
        third.write_all(ASK).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        third.write_all(ASK).await.unwrap();
        let mut refused = String::new();
        third.read_to_string(&mut refused).await.unwrap();
        assert!(refused.starts_with("HTTP/1.1 503 ") && refused.ends_with('}'), "{refused}");
        assert!(refused.contains("Retry-After"), "{refused}");
        drop(third);
        let (head, body) = refused.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{refused}");
        go.send_replace(true);
        for one in both {
            assert!(one.await.unwrap().ends_with("at last"));
        }
        running.stop.cancel();
        running.served.await.unwrap();
        assert_eq!(running.edge.open(), 0);
    }

    #[tokio::test]
    async fn a_head_that_does_not_end_a_silent_end_and_a_slow_body_are_given_up() {
        let router = Router::new().route("/", get(|| async { "x" }).post(|body: String| async { body }));
        let running = running(small(100), router).await;
        let slow_body = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nab";
        let kept_alive = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
        let (silent, head, body, kept) = tokio::join!(
            ask(running.address, b""),
            ask(running.address, b"GET / HTTP/1.1\r\nHost: "),
            ask(running.address, slow_body),
            ask(running.address, kept_alive),
        );
        assert_eq!(silent, "");
        assert!(!head.contains("200"), "{head}");
        assert!(body.starts_with("HTTP/1.1 400"), "{body}");
        assert!(kept.ends_with('x'), "{kept}");
        running.stop.cancel();
        running.served.await.unwrap();
        assert_eq!((running.edge.open(), running.edge.cut()), (0, 0));
    }

    #[tokio::test]
    async fn a_head_that_is_too_large_is_refused() {
        let running = running(Limits::default(), Router::new()).await;
        let mut request = b"GET / HTTP/1.1\r\nHost: x\r\nX-Large: ".to_vec();
        request.resize(1 << 20, b'a');
        request.extend_from_slice(b"\r\n\r\n");
        let answer = ask(running.address, &request).await;
        assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
        running.stop.cancel();
        running.served.await.unwrap();
    }

    #[tokio::test]
    async fn an_answer_that_never_ends_ends_with_the_server() {
        let endless = || async { axum::body::Body::new(Endless) };
        let running = running(Limits::default(), Router::new().route("/", get(endless))).await;
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut start = [0; 15];
        stream.read_exact(&mut start).await.unwrap();
        assert_eq!(&start, b"HTTP/1.1 200 OK");
        running.stop.cancel();
        running.served.await.unwrap();
        assert_eq!(running.edge.open(), 0, "every connection has ended with it");
    }

    #[tokio::test]
    async fn many_who_are_told_events_keep_nobody_out() {
        let kind = [(http::header::CONTENT_TYPE, "text/event-stream")];
        let events = move || async move { (kind, axum::body::Body::new(Endless)) };
        let router = Router::new().route("/", get(|| async { "at once" })).route("/events", get(events));
        let running = running(Limits { head: Duration::from_secs(60), ..small(3) }, router).await;
        let mut told = Vec::new();
        for _ in 0..3 {
            let mut stream = TcpStream::connect(running.address).await.unwrap();
            stream.write_all(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
            let mut start = [0; 15];
            stream.read_exact(&mut start).await.unwrap();
            assert_eq!(&start, b"HTTP/1.1 200 OK");
            told.push(stream);
        }
        assert!(ask(running.address, ASK).await.ends_with("at once"));
        let mut rest = Vec::new();
        // It is cut in the middle, so that its end may be one or an error.
        let _ = told[0].read_to_end(&mut rest).await;
        assert_eq!(running.edge.cut(), 1);
        running.stop.cancel();
        running.served.await.unwrap();
    }

    /// A body that has no frame, and no end.
    struct Endless;

    impl http_body::Body for Endless {
        type Data = bytes::Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<http_body::Frame<bytes::Bytes>, Self::Error>>> {
            std::task::Poll::Pending
        }
    }
}
