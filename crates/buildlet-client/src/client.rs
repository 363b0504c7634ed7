//! The client and its requests.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine as _;
use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt as _, Full, Limited, StreamBody};
use hyper::Response;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::address::{Address, Connection};
use crate::error::Error;
use crate::order::OUTDATED;
use crate::orders::{About, Orders, Signer};
use crate::pool::{Body, Conn, Origin, Pool};
use crate::stream::OutputStream;
use crate::wire::{ErrorBody, ExecRequest, ExecState, GlobReport, GlobRequest, Status, WipeReport};

/// The greatest body read into memory: a full glob report.
const MAX_BODY: usize = 16 << 20;
/// For an answer that needs no work.
const ANSWER: Duration = Duration::from_secs(30);
/// For removing big trees.
const LONG_ANSWER: Duration = Duration::from_secs(600);
/// An upload that moves no byte for so long has failed.
const STALL: Duration = Duration::from_secs(120);

/// A typed client of one agent; clones share connections.
#[derive(Clone)]
pub struct BuildletClient {
    pool: Arc<Pool>,
    authorization: Option<HeaderValue>,
    fence: Option<u64>,
    lease: Option<HeaderValue>,
    orders: Option<Arc<Orders>>,
}

impl std::fmt::Debug for BuildletClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BuildletClient")
            .field("address", &self.pool.address)
            .field("fence", &self.fence)
            .finish_non_exhaustive()
    }
}

/// How long a request may take.
enum Patience {
    /// Until the headers of the answer.
    Answer(Duration),
    /// As long as the upload counted here goes on.
    Upload(Arc<AtomicU64>),
}

impl BuildletClient {
    /// Makes a client; nothing is connected until the first request.
    pub fn new(address: Address, password: Option<SecretString>) -> Self {
        let authorization = password.map(|password| {
            let text = format!("gomote:{}", password.expose_secret());
            let encoded = base64::engine::general_purpose::STANDARD.encode(text);
            let mut value =
                HeaderValue::from_str(&format!("Basic {encoded}")).expect("base64 is a header value");
            value.set_sensitive(true);
            value
        });
        Self { pool: Pool::new(address), authorization, fence: None, lease: None, orders: None }
    }

    /// Returns the same client with a lease's fencing token on every request.
    #[must_use]
    pub fn with_fence(&self, fence: u64, lease: &str) -> Self {
        Self { fence: Some(fence), lease: HeaderValue::from_str(lease).ok(), ..self.clone() }
    }

    /// Returns the same client with an order on each request that starts something: signed, and for the machine of this name.
    #[must_use]
    pub fn with_orders(&self, signer: Arc<dyn Signer>, machine: &str) -> Self {
        Self { orders: Some(Arc::new(Orders::new(signer, machine))), ..self.clone() }
    }

    /// Returns the same client whose orders say what they are about.
    #[must_use]
    pub fn with_about(&self, about: About) -> Self {
        let orders = self.orders.as_ref().map(|orders| Arc::new(orders.about(about)));
        Self { orders, ..self.clone() }
    }

    /// Returns where the agent is.
    pub fn address(&self) -> &Address {
        &self.pool.address
    }

    /// Asks how the agent is; counts as contact.
    pub async fn status(&self) -> Result<Status, Error> {
        let status: Status = self.get("/status", ANSWER).await?;
        if let Some(orders) = &self.orders {
            orders.note(status.bellwether.as_ref());
        }
        Ok(status)
    }

    /// Unpacks a gzip'd tar, as it arrives, into `dir` beneath the work directory (empty: the work directory).
    ///
    /// An error of the stream becomes [`Error::Source`]; what was unpacked until then stays.
    pub async fn write_tgz(
        &self,
        dir: &str,
        body: impl Stream<Item = Result<Bytes, io::Error>> + Send + 'static,
    ) -> Result<(), Error> {
        self.put_stream(&query("/writetgz", &[("dir", dir)]), body).await
    }

    /// Puts what comes.
    pub(crate) async fn put_stream(
        &self,
        path: &str,
        body: impl Stream<Item = Result<Bytes, io::Error>> + Send + 'static,
    ) -> Result<(), Error> {
        let moved = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&moved);
        let failed = Arc::new(std::sync::Mutex::new(None));
        let failure = Arc::clone(&failed);
        let frames = body.map(move |chunk| {
            counter.fetch_add(1, Ordering::Relaxed);
            match chunk {
                Ok(bytes) => Ok(Frame::data(bytes)),
                Err(error) => {
                    let text = error.to_string();
                    *failure.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(error);
                    Err(text.into())
                }
            }
        });
        let body: Body = StreamBody::new(frames).boxed_unsync();
        let request = self.request(Method::PUT, path, body)?;
        let result = self.finish(request, Patience::Upload(moved)).await;
        let source = failed.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        match source {
            Some(error) => Err(Error::Source(error)),
            None => result.map(drop),
        }
    }

    /// Writes one file beneath the work directory with exactly these permission bits (for example `0o755`).
    pub async fn write_file(&self, path: &str, mode: u32, content: Bytes) -> Result<(), Error> {
        let mode = (mode & 0o777).to_string();
        let path = query("/write", &[("path", path), ("mode", &mode)]);
        self.finish(self.request(Method::PUT, &path, full(content))?, Patience::Answer(LONG_ANSWER)).await?;
        Ok(())
    }

    /// Starts a command, or returns the state of the one already started under this id.
    pub async fn start(&self, request: &ExecRequest) -> Result<ExecState, Error> {
        let path = "/bw1/exec";
        let body = serde_json::to_vec(request).map_err(|e| Error::Protocol { what: e.to_string() })?;
        let body = Bytes::from(body);
        let make = || {
            let mut request = self.request(Method::POST, path, full(body.clone()))?;
            let json = HeaderValue::from_static("application/json");
            request.headers_mut().insert(header::CONTENT_TYPE, json);
            Ok(request)
        };
        let send = |request| self.finish(request, Patience::Answer(ANSWER));
        let answer = self.ordered(make, &body, send).await?;
        serde_json::from_slice(&answer).map_err(|e| Error::Protocol { what: format!("{path}: {e}") })
    }

    /// Returns a command's state: once it has exited, or else after `wait` (at most 60 s).
    pub async fn exec_state(&self, id: &str, wait: Duration) -> Result<ExecState, Error> {
        let wait = wait.min(Duration::from_secs(60));
        let path = query(&exec_path(id, ""), &[("wait_ms", &wait.as_millis().to_string())]);
        self.get(&path, ANSWER + wait).await
    }

    /// Streams a command's output from a byte offset until the command has exited.
    ///
    /// [`Error::Gone`] if that offset was already acknowledged. A quiet stream says nothing of whether the
    /// agent lives: on a network, ask for the state beside it.
    pub async fn output(&self, id: &str, from: u64) -> Result<OutputStream, Error> {
        let path = query(&exec_path(id, "/output"), &[("from", &from.to_string())]);
        self.stream(&path).await.map(|(_, stream)| stream)
    }

    /// Frees the output before this offset, which lets a blocked command go on.
    pub async fn ack(&self, id: &str, upto: u64) -> Result<(), Error> {
        let path = query(&exec_path(id, "/ack"), &[("upto", &upto.to_string())]);
        self.finish(self.request(Method::POST, &path, full(Bytes::new()))?, Patience::Answer(ANSWER)).await?;
        Ok(())
    }

    /// Ends a command with its whole process tree (2 s of grace) and returns its last state.
    pub async fn kill(&self, id: &str, reason: &str) -> Result<ExecState, Error> {
        let path = query(&exec_path(id, ""), &[("reason", reason)]);
        self.json::<(), _>(Method::DELETE, &path, None, ANSWER).await
    }

    /// Ends every process, empties the work directory, forgets all commands, and proves it.
    pub async fn wipe(&self) -> Result<WipeReport, Error> {
        self.json::<(), _>(Method::POST, "/bw1/wipe", None, LONG_ANSWER).await
    }

    /// Tells the agent that its holder is alive.
    pub async fn extend(&self) -> Result<(), Error> {
        let request = self.request(Method::POST, "/bw1/extend", full(Bytes::new()))?;
        self.finish(request, Patience::Answer(ANSWER)).await?;
        Ok(())
    }

    /// Lists regular files beneath `dir` that match one of the patterns.
    pub async fn glob(&self, dir: &str, patterns: &[String]) -> Result<GlobReport, Error> {
        let request = GlobRequest { patterns: patterns.to_vec(), dir: dir.to_owned() };
        self.json(Method::POST, "/bw1/glob", Some(&request), LONG_ANSWER).await
    }

    /// Reads one regular file beneath the work directory: its size in bytes and its content.
    pub async fn file(&self, path: &str) -> Result<(u64, OutputStream), Error> {
        let (headers, stream) = self.stream(&query("/bw1/file", &[("path", path)])).await?;
        let size = headers
            .get(header::CONTENT_LENGTH)
            .and_then(|v| v.to_str().ok()?.parse().ok())
            .ok_or_else(|| Error::Protocol { what: "a file without a length".to_owned() })?;
        Ok((size, stream))
    }

    /// Streams a directory beneath the work directory as a gzip'd tar.
    pub async fn tgz(&self, dir: &str) -> Result<OutputStream, Error> {
        let dir = if dir.is_empty() { "." } else { dir };
        self.stream(&query("/tgz", &[("dir", dir)])).await.map(|(_, stream)| stream)
    }

    /// The same in less time and a third more bytes: gzip's level 1, which an agent of before this does not know and passes over.
    pub async fn tgz_fast(&self, dir: &str) -> Result<OutputStream, Error> {
        let dir = if dir.is_empty() { "." } else { dir };
        self.stream(&query("/tgz", &[("dir", dir), ("level", "1")])).await.map(|(_, stream)| stream)
    }

    /// Makes the agent exit (or the machine halt, if it was started so).
    pub async fn halt(&self) -> Result<(), Error> {
        let request = self.request(Method::POST, "/halt", full(Bytes::new()))?;
        self.finish(request, Patience::Answer(ANSWER)).await?;
        Ok(())
    }

    /// Opens a connection to the machine's SSH server, which lets in the holder of one key, a line of `authorized_keys`.
    ///
    /// On machines with an sshd of their own the user is one of the system's.
    pub async fn connect_ssh(&self, user: &str, key: &str) -> Result<Box<dyn Connection>, Error> {
        let make = || {
            let mut request = self.request(Method::POST, "/connect-ssh", full(Bytes::new()))?;
            for (name, value) in [("X-Go-Ssh-User", user), ("X-Go-Authorized-Key", key)] {
                let no_header = |_| Error::Protocol { what: format!("{name} {value:?} is no header") };
                request.headers_mut().insert(name, HeaderValue::from_str(value).map_err(no_header)?);
            }
            for (name, value) in [(header::CONNECTION, "Upgrade"), (header::UPGRADE, "ssh")] {
                request.headers_mut().insert(name, HeaderValue::from_static(value));
            }
            Ok(request)
        };
        let send = async |request| {
            let (response, conn) = self.send(request, Patience::Answer(ANSWER)).await?;
            if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                return Ok((response, conn));
            }
            let (response, _conn) = self.checked(response, conn).await?;
            let what = format!("/connect-ssh answered {}, and not 101", response.status());
            Err(Error::Protocol { what })
        };
        let (mut response, conn) = self.ordered(make, &[], send).await?;
        let stream = hyper::upgrade::on(&mut response).await;
        // It has let go of the connection by now.
        drop(conn);
        let stream = stream.map_err(|error| self.unreachable("opening a shell", Box::new(error)))?;
        Ok(Box::new(TokioIo::new(stream)))
    }

    pub(crate) async fn post_form(&self, path: &str, form: String, wait: Duration) -> Result<Bytes, Error> {
        self.finish(self.form_request(path, form)?, Patience::Answer(wait)).await
    }

    pub(crate) async fn get_text(&self, path: &str) -> Result<Bytes, Error> {
        let request = self.request(Method::GET, path, full(Bytes::new()))?;
        self.finish(request, Patience::Answer(LONG_ANSWER)).await
    }

    pub(crate) async fn stream_form(&self, path: &str, form: String) -> Result<OutputStream, Error> {
        let make = || self.form_request(path, form.clone());
        let send = async |request| {
            let (response, conn) = self.send(request, Patience::Answer(ANSWER)).await?;
            self.checked(response, conn).await
        };
        let (response, conn) = self.ordered(make, form.as_bytes(), send).await?;
        Ok(OutputStream::new(response.into_body(), conn, Arc::clone(&self.pool)))
    }

    fn form_request(&self, path: &str, form: String) -> Result<Request<Body>, Error> {
        let mut request = self.request(Method::POST, path, full(form.into()))?;
        let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers_mut().insert(header::CONTENT_TYPE, form_type);
        Ok(request)
    }

    async fn get<T: DeserializeOwned>(&self, path: &str, wait: Duration) -> Result<T, Error> {
        self.json::<(), T>(Method::GET, path, None, wait).await
    }

    async fn json<B: Serialize, T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&B>,
        wait: Duration,
    ) -> Result<T, Error> {
        let bytes = match body {
            Some(body) => serde_json::to_vec(body).map_err(|e| Error::Protocol { what: e.to_string() })?,
            None => Vec::new(),
        };
        let mut request = self.request(method, path, full(bytes.into()))?;
        if body.is_some() {
            let json = HeaderValue::from_static("application/json");
            request.headers_mut().insert(header::CONTENT_TYPE, json);
        }
        let answer = self.finish(request, Patience::Answer(wait)).await?;
        serde_json::from_slice(&answer).map_err(|e| Error::Protocol { what: format!("{path}: {e}") })
    }

    async fn stream(&self, path: &str) -> Result<(http::HeaderMap, OutputStream), Error> {
        let request = self.request(Method::GET, path, full(Bytes::new()))?;
        let (response, conn) = self.send(request, Patience::Answer(ANSWER)).await?;
        let (response, conn) = self.checked(response, conn).await?;
        let (parts, body) = response.into_parts();
        Ok((parts.headers, OutputStream::new(body, conn, Arc::clone(&self.pool))))
    }

    fn request(&self, method: Method, path: &str, body: Body) -> Result<Request<Body>, Error> {
        let mut builder = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "buildlet")
            .header(header::TE, "trailers");
        if let Some(value) = &self.authorization {
            builder = builder.header(header::AUTHORIZATION, value);
        }
        if let Some(fence) = self.fence {
            builder = builder.header("bw-fence", fence);
        }
        if let Some(lease) = &self.lease {
            builder = builder.header("bw-lease", lease);
        }
        builder.body(body).map_err(|e| Error::Protocol { what: format!("{path}: {e}") })
    }

    /// Does what starts something: with an order, which is signed anew once if the agent says that it is out of date.
    async fn ordered<T, F>(
        &self,
        make: impl Fn() -> Result<Request<Body>, Error>,
        body: &[u8],
        send: impl Fn(Request<Body>) -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let Some(orders) = &self.orders else { return send(make()?).await };
        if !orders.knows() {
            self.status().await?;
        }
        for last in [false, true] {
            let mut request = make()?;
            orders.put(&mut request, body, self.fence)?;
            match send(request).await {
                Err(Error::Refused { code: Some(code), .. }) if code == OUTDATED && !last => {
                    self.status().await?;
                }
                done => return done,
            }
        }
        unreachable!("invariant: the last turn returns")
    }

    /// Sends and reads the whole answer.
    async fn finish(&self, request: Request<Body>, patience: Patience) -> Result<Bytes, Error> {
        let (response, conn) = self.send(request, patience).await?;
        let (response, conn) = self.checked(response, conn).await?;
        let bytes = self.collect(response.into_body()).await?;
        self.pool.give_back(conn);
        Ok(bytes)
    }

    async fn collect(&self, body: Incoming) -> Result<Bytes, Error> {
        let whole = tokio::time::timeout(STALL, Limited::new(body, MAX_BODY).collect());
        match whole.await.map_err(|_elapsed| Error::Timeout { what: "reading the answer" })? {
            Ok(collected) => Ok(collected.to_bytes()),
            Err(source) => Err(self.unreachable("reading the answer", source)),
        }
    }

    /// Turns an answer that is no success into an error.
    async fn checked(
        &self,
        response: Response<Incoming>,
        conn: Conn,
    ) -> Result<(Response<Incoming>, Conn), Error> {
        let status = response.status();
        if status.is_success() {
            return Ok((response, conn));
        }
        let bytes = self.collect(response.into_body()).await?;
        // Not given back: after a refusal in mid-upload the agent closes it.
        drop(conn);
        let Ok(body) = serde_json::from_slice::<ErrorBody>(&bytes) else {
            let message = String::from_utf8_lossy(&bytes).trim_end().to_owned();
            return Err(Error::Refused { status: status.as_u16(), code: None, message });
        };
        Err(match (body.code.as_str(), body.current) {
            ("stale_fence", Some(current)) => Error::StaleFence { current },
            ("set_aside", _) => Error::SetAside { reason: body.message },
            ("gone" | "unknown_exec", _) => Error::Gone { what: body.message },
            _ => Error::Refused { status: status.as_u16(), code: Some(body.code), message: body.message },
        })
    }

    /// Sends on an idle connection, or a new one if there is none or it turns out to be dead.
    async fn send(
        &self,
        request: Request<Body>,
        patience: Patience,
    ) -> Result<(Response<Incoming>, Conn), Error> {
        let (mut conn, mut origin) = match self.pool.idle() {
            Some(conn) => (conn, Origin::Reused),
            None => (self.pool.open().await?, Origin::Fresh),
        };
        let mut request = request;
        loop {
            let sent = patience.wait(conn.sender.try_send_request(request)).await?;
            let mut error = match sent {
                Ok(response) => return Ok((response, conn)),
                Err(error) => error,
            };
            match error.take_message() {
                // Not a byte of it was sent: the agent has closed the idle connection.
                Some(unsent) if origin == Origin::Reused => {
                    request = unsent;
                    conn = self.pool.open().await?;
                    origin = Origin::Fresh;
                }
                _ => return Err(self.unreachable("sending", Box::new(error.into_error()))),
            }
        }
    }

    fn unreachable(&self, doing: &'static str, source: Box<dyn std::error::Error + Send + Sync>) -> Error {
        Error::Unreachable { address: self.pool.address.to_string(), doing, source }
    }
}

impl Patience {
    async fn wait<F: Future>(&self, future: F) -> Result<F::Output, Error> {
        match self {
            Self::Answer(limit) => tokio::time::timeout(*limit, future)
                .await
                .map_err(|_elapsed| Error::Timeout { what: "waiting for the answer" }),
            Self::Upload(moved) => {
                tokio::pin!(future);
                loop {
                    let before = moved.load(Ordering::Relaxed);
                    if let Ok(done) = tokio::time::timeout(STALL, &mut future).await {
                        return Ok(done);
                    }
                    if moved.load(Ordering::Relaxed) == before {
                        return Err(Error::Timeout { what: "uploading" });
                    }
                }
            }
        }
    }
}

fn full(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

pub(crate) fn query(path: &str, pairs: &[(&str, &str)]) -> String {
    let mut encoder = form_urlencoded::Serializer::for_suffix(format!("{path}?"), path.len() + 1);
    encoder.extend_pairs(pairs);
    encoder.finish()
}

fn exec_path(id: &str, rest: &str) -> String {
    let id: String = form_urlencoded::byte_serialize(id.as_bytes()).collect();
    format!("/bw1/exec/{id}{rest}")
}
