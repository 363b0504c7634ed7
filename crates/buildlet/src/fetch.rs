//! Getting an archive from a URL that somebody else names, without being led to where only this machine may go.
//!
//! Whoever may ask may also run commands, so this guards no secret from them. It guards the network that the machine stands in
//! from a URL that was made up further away: a coordinator that was told a URL passes it on without knowing where it leads. So
//! nothing is fetched from hosts that the operator has not listed; a name is asked for once, and the address that was looked at
//! is the one that is connected to; a redirect is a new URL and looked at like the first.

mod address;
pub(crate) mod allow;
pub(crate) mod target;
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, StreamExt as _};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Body as _, Incoming};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::task::AbortOnDropHandle;

use crate::reverse::tls::{Tls, TlsError};
use crate::server::Connection;

pub use allow::FetchFrom;
use target::Target;

/// A name must be found and a connection made within this time.
const CONNECT: Duration = Duration::from_secs(10);
/// What the head of an answer may take, in bytes.
const HEAD: usize = 64 << 10;
/// More redirects in a row lead nowhere; as many as Go's client follows.
const REDIRECTS: usize = 10;

/// Why nothing is fetched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    /// The text is no URL that can be fetched.
    #[error("bad 'url' parameter: {0}")]
    Url(&'static str),
    /// The operator has not listed the host.
    #[error(
        "{0} is not fetched from; its operator would start this buildlet with --fetch-from {0} to allow it"
    )]
    NotListed(String),
    /// The host has no address that may be used.
    #[error(
        "{host} is at {at}, which is {what}, and is not fetched from; --fetch-from {remedy} would allow it"
    )]
    Address {
        /// The host.
        host: String,
        /// Where it is.
        at: SocketAddr,
        /// What kind of address that is.
        what: &'static str,
        /// What would have to be listed.
        remedy: String,
    },
    /// From TLS to none.
    #[error("{0} redirects to an address without TLS, which is not followed")]
    Downgrade(String),
    /// A redirect leads to no URL.
    #[error("{from} redirects to what can't be fetched: {what}")]
    Location {
        /// Who was asked.
        from: String,
        /// What is wrong with where it leads.
        what: &'static str,
    },
    /// It never comes to an end.
    #[error("more than {REDIRECTS} redirects")]
    Redirects,
    /// Nothing answers there.
    #[error("{to} can't be reached: {source}")]
    Connect {
        /// Who was called.
        to: String,
        /// Why not.
        source: io::Error,
    },
    /// There is no TLS with it.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// It does not answer as HTTP asks.
    #[error("{to}: {source}")]
    Http {
        /// Who was asked.
        to: String,
        /// What is wrong.
        source: hyper::Error,
    },
    /// It did not answer.
    #[error("{0} did not answer in time")]
    Slow(String),
    /// It has no such archive.
    #[error("{to} answers {status}")]
    Status {
        /// Who was asked.
        to: String,
        /// What it said.
        status: StatusCode,
    },
    /// It is more than is taken.
    #[error("{to} has {size} bytes; more than {most} are not fetched")]
    Size {
        /// Who was asked.
        to: String,
        /// What it announced.
        size: u64,
        /// What is taken.
        most: u64,
    },
}

impl FetchError {
    /// Whether asking for something else would help, and not asking again.
    pub(crate) fn is_askers(&self) -> bool {
        matches!(self, Self::Url(_) | Self::NotListed(_) | Self::Address { .. } | Self::Downgrade(_))
    }
}

/// How much is fetched, and how long it may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Bytes of one archive, as they are sent.
    pub(crate) bytes: u64,
    /// An answer must begin within this time, and go on within it at any moment.
    pub(crate) stall: Duration,
    /// All of it must be there within this time.
    pub(crate) whole: Duration,
}

/// Finds the addresses of a host.
pub(crate) trait Resolve: Send + Sync {
    /// Asks once.
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>>;
}

/// Asks as this machine does.
pub(crate) struct System;

impl Resolve for System {
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        Box::pin(async move { Ok(lookup_host((host, port)).await?.collect()) })
    }
}

/// Fetches from where it may.
pub(crate) struct Fetcher {
    pub(crate) from: Vec<FetchFrom>,
    pub(crate) ca_file: Option<std::path::PathBuf>,
    pub(crate) limits: Limits,
    pub(crate) resolve: Box<dyn Resolve>,
}

/// An archive on its way; the connection ends with it.
pub(crate) type Fetched = BoxStream<'static, io::Result<Bytes>>;

impl Fetcher {
    /// Asks for a URL and returns what comes, from wherever the redirects lead.
    pub(crate) async fn fetch(&self, url: &str) -> Result<Fetched, FetchError> {
        let end = Instant::now() + self.limits.whole;
        let mut target = Target::parse(url)?;
        for _ in 0..=REDIRECTS {
            let (response, connection) = self.ask(&target, end).await?;
            match response.status() {
                StatusCode::OK => return self.body(&target, response, connection, end),
                StatusCode::MOVED_PERMANENTLY
                | StatusCode::FOUND
                | StatusCode::SEE_OTHER
                | StatusCode::TEMPORARY_REDIRECT
                | StatusCode::PERMANENT_REDIRECT => {
                    let location = response.headers().get(header::LOCATION).and_then(|v| v.to_str().ok());
                    target = target.redirected(location.unwrap_or_default())?;
                }
                status => return Err(FetchError::Status { to: target.authority(), status }),
            }
        }
        Err(FetchError::Redirects)
    }

    async fn ask(
        &self,
        target: &Target,
        end: Instant,
    ) -> Result<(Response<Incoming>, AbortOnDropHandle<()>), FetchError> {
        let to = || target.authority();
        let stream = self.connect(target).await?;
        let failed = |source| FetchError::Http { to: to(), source };
        let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
            .max_buf_size(HEAD)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(failed)?;
        // What ends it badly is seen where the answer is read.
        let connection = AbortOnDropHandle::new(tokio::spawn(async move { drop(connection.await) }));
        let mut request = Request::new(Empty::<Bytes>::new());
        *request.method_mut() = Method::GET;
        *request.uri_mut() =
            target.path().parse().map_err(|_bad| FetchError::Url("its path can't be asked for"))?;
        let host = HeaderValue::try_from(target.host_header())
            .map_err(|_bad| FetchError::Url("its host can't be asked for"))?;
        request.headers_mut().insert(header::HOST, host);
        let agent = HeaderValue::from_static(concat!("bellwether-buildlet/", env!("CARGO_PKG_VERSION")));
        request.headers_mut().insert(header::USER_AGENT, agent);
        let by = end.min(Instant::now() + self.limits.stall);
        let response = timeout_at(by, sender.send_request(request)).await;
        Ok((response.map_err(|_late| FetchError::Slow(to()))?.map_err(failed)?, connection))
    }

    async fn connect(&self, target: &Target) -> Result<Connection, FetchError> {
        allow::check_host(&self.from, target.host(), target.port())?;
        let to = target.authority();
        let unreachable = |source| FetchError::Connect { to: to.clone(), source };
        let late = |_late| unreachable(io::ErrorKind::TimedOut.into());
        let asked = timeout(CONNECT, self.resolve.resolve(target.host(), target.port()));
        let found = asked.await.map_err(late)?.map_err(unreachable)?;
        let mut refused = None;
        let mut last = None;
        let (end, addresses) = (Instant::now() + CONNECT, found.len());
        for (n, at) in found.into_iter().enumerate() {
            match allow::check_address(&self.from, target.host(), at) {
                Err(error) => {
                    refused.get_or_insert(error);
                }
                // Connected to is the address that was looked at, and no name. One that says nothing leaves time for the next.
                Ok(()) => {
                    let left = end.saturating_duration_since(Instant::now());
                    let time = if n + 1 < addresses { left / 2 } else { left };
                    match timeout(time, TcpStream::connect(at)).await {
                        Ok(Ok(stream)) => return self.secure(target, stream).await,
                        Ok(Err(error)) => last = Some(error),
                        Err(_late) => last = Some(io::ErrorKind::TimedOut.into()),
                    }
                }
            }
        }
        let nowhere = || io::Error::new(io::ErrorKind::NotFound, "it has no address");
        Err(match (last, refused) {
            (None, Some(refused)) => refused,
            (last, _) => unreachable(last.unwrap_or_else(nowhere)),
        })
    }

    async fn secure(&self, target: &Target, stream: TcpStream) -> Result<Connection, FetchError> {
        if target.tls() {
            Ok(Tls::open(self.ca_file.as_deref())?.wrap(stream, target.host()).await?)
        } else {
            Ok(Box::new(stream))
        }
    }

    fn body(
        &self,
        target: &Target,
        response: Response<Incoming>,
        connection: AbortOnDropHandle<()>,
        end: Instant,
    ) -> Result<Fetched, FetchError> {
        let Limits { bytes: most, stall, .. } = self.limits;
        let body = response.into_body();
        let size = body.size_hint().lower();
        if size > most {
            return Err(FetchError::Size { to: target.authority(), size, most });
        }
        let to = target.authority();
        let state = (body, connection, to, 0_u64);
        let chunks = stream::try_unfold(state, move |(mut body, connection, to, mut read)| async move {
            loop {
                let by = end.min(Instant::now() + stall);
                let frame = match timeout_at(by, body.frame()).await {
                    Err(_late) => {
                        let text = format!("{to} stopped sending, or took too long");
                        return Err(io::Error::new(io::ErrorKind::TimedOut, text));
                    }
                    Ok(None) => return Ok(None),
                    Ok(Some(frame)) => frame.map_err(|error| io::Error::other(format!("{to}: {error}")))?,
                };
                // Trailers say nothing to us.
                let Ok(data) = frame.into_data() else { continue };
                read += data.len() as u64;
                if read > most {
                    let text = format!("{to} sends more than the {most} bytes that are fetched");
                    return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
                }
                return Ok(Some((data, (body, connection, to, read))));
            }
        });
        Ok(chunks.boxed())
    }
}
