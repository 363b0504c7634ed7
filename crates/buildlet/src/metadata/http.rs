//! One question to a metadata server.

use std::fmt;
use std::io;
use std::time::Duration;

use ::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_util::task::AbortOnDropHandle;

use super::LARGEST;

/// An answer must be there within this time.
pub(super) const ASK: Duration = Duration::from_secs(5);
/// Such a server is as near as can be: where none answers so soon, there is none.
const CONNECT: Duration = Duration::from_secs(1);

/// A metadata server. It speaks HTTP without TLS, and its redirects are not followed.
pub(super) struct Server {
    host: String,
}

/// What it said.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl Server {
    /// By its host, host and port, or URL.
    pub(super) fn new(host: &str) -> Self {
        let host = host.strip_prefix("http://").unwrap_or(host).trim_end_matches('/');
        Self { host: host.to_owned() }
    }

    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
    ) -> io::Result<Answer> {
        let asking = self.exchange(method, path, headers);
        tokio::time::timeout(ASK, asking).await.map_err(io::Error::from)?
    }

    async fn exchange(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> io::Result<Answer> {
        let with_port = if self.host.contains(':') { self.host.clone() } else { format!("{}:80", self.host) };
        let connecting = tokio::time::timeout(CONNECT, TcpStream::connect(with_port));
        let stream = connecting.await.map_err(io::Error::from)??;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        let _connection = AbortOnDropHandle::new(tokio::spawn(async move { drop(connection.await) }));
        let mut request = Request::new(Empty::<Bytes>::new());
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().map_err(io::Error::other)?;
        let value = |text: &str| HeaderValue::try_from(text).map_err(io::Error::other);
        request.headers_mut().insert(header::HOST, value(&self.host)?);
        for (name, text) in headers {
            let name = HeaderName::try_from(*name).map_err(io::Error::other)?;
            request.headers_mut().insert(name, value(text)?);
        }
        let response = sender.send_request(request).await.map_err(io::Error::other)?;
        let (parts, body) = response.into_parts();
        let most = usize::try_from(LARGEST).unwrap_or(usize::MAX);
        let bytes = Limited::new(body, most).collect().await.map_err(io::Error::other)?.to_bytes();
        let text = String::from_utf8(bytes.to_vec()).map_err(io::Error::other)?;
        Ok(Answer { status: parts.status, headers: parts.headers, text })
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)
    }
}
