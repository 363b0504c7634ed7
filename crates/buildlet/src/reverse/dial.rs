//! One connection to the coordinator, up to where HTTP begins.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::coordinator::{Coordinator, authority};
use super::proxy::{Proxy, ProxyError};
use super::tls::{Tls, TlsError};
use crate::server::Connection;

/// A TCP connection must be there within this time, and a proxy must have answered within it.
const CONNECT: Duration = Duration::from_secs(10);
/// How often a connection that carries nothing is tried.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Why there is no connection to the coordinator.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    /// Nothing answers there.
    #[error("{to} can't be reached: {source}")]
    Connect {
        /// Who was called.
        to: String,
        /// Why not.
        source: io::Error,
    },
    /// Neither it nor the proxy could be used.
    #[error("{direct}; and not through the proxy either: {proxy}")]
    Both {
        /// Why not without the proxy.
        direct: Box<DialError>,
        /// Why not with it.
        proxy: Box<DialError>,
    },
    /// The proxy does not do what it should.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    /// There is no TLS with it.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Errand {
    /// To register.
    Register,
    /// To serve on it.
    PickUp,
}

/// Makes connections to one coordinator.
pub(super) trait Dial: Send + Sync {
    /// Makes one; limits its own time.
    fn dial(&self, errand: Errand) -> BoxFuture<'_, Result<Connection, DialError>>;
}

/// Dials over the network.
pub(super) struct Network {
    coordinator: Coordinator,
    proxy: Option<Proxy>,
    tls: Option<Tls>,
    /// The way that the last registration went, which those who follow go too: where a firewall swallows what is sent straight,
    /// each would wait for that first.
    through_proxy: AtomicBool,
}

impl Network {
    pub(super) fn new(coordinator: Coordinator, proxy: Option<Proxy>, tls: Option<Tls>) -> Self {
        Self { coordinator, proxy, tls, through_proxy: AtomicBool::new(false) }
    }

    async fn connect(&self, errand: Errand) -> Result<TcpStream, DialError> {
        match &self.proxy {
            None => self.straight().await,
            Some(proxy) if errand == Errand::PickUp && self.through_proxy.load(Ordering::Relaxed) => {
                self.through(proxy).await
            }
            Some(_) if errand == Errand::PickUp => self.straight().await,
            Some(proxy) => {
                let (stream, through) = match self.straight().await {
                    Ok(stream) => (stream, false),
                    Err(direct) => match self.through(proxy).await {
                        Ok(stream) => (stream, true),
                        Err(proxy) => {
                            return Err(DialError::Both { direct: direct.into(), proxy: proxy.into() });
                        }
                    },
                };
                self.through_proxy.store(through, Ordering::Relaxed);
                Ok(stream)
            }
        }
    }

    async fn straight(&self) -> Result<TcpStream, DialError> {
        // "localhost" is only this machine's if its resolver says so, and the key would travel readable.
        let only_here = self.tls.is_none();
        tcp(self.coordinator.host(), self.coordinator.port(), only_here).await
    }

    async fn through(&self, proxy: &Proxy) -> Result<TcpStream, DialError> {
        let mut stream = tcp(&proxy.host, proxy.port, false).await?;
        let to = self.coordinator.authority();
        let opened = timeout(CONNECT, proxy.open(&mut stream, &to)).await;
        opened.map_err(|_late| ProxyError::Io(io::ErrorKind::TimedOut.into()))??;
        Ok(stream)
    }
}

impl Dial for Network {
    fn dial(&self, errand: Errand) -> BoxFuture<'_, Result<Connection, DialError>> {
        Box::pin(async move {
            let stream = self.connect(errand).await?;
            match &self.tls {
                Some(tls) => Ok(tls.wrap(stream, self.coordinator.host()).await?),
                None => Ok(Box::new(stream) as Connection),
            }
        })
    }
}

async fn tcp(host: &str, port: u16, only_here: bool) -> Result<TcpStream, DialError> {
    let connecting = async {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "it has no address that may be used");
        for address in lookup_host((host, port)).await?.filter(|at| !only_here || at.ip().is_loopback()) {
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    };
    let connected = match timeout(CONNECT, connecting).await {
        Ok(connected) => connected,
        Err(_late) => Err(io::ErrorKind::TimedOut.into()),
    };
    let ready = connected.and_then(|stream| {
        stream.set_nodelay(true)?;
        let often = TcpKeepalive::new().with_time(KEEP_ALIVE).with_interval(KEEP_ALIVE);
        SockRef::from(&stream).set_tcp_keepalive(&often)?;
        Ok(stream)
    });
    ready.map_err(|source| DialError::Connect { to: authority(host, port), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn the_error_says_who_was_called_and_each_way_that_was_tried() {
        // Bound and not listening any more, so that nobody else has it for now.
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let coordinator: Coordinator = format!("http://127.0.0.1:{port}").parse().unwrap();
        let alone = Network::new(coordinator.clone(), None, None);
        let error = alone.dial(Errand::Register).await.err().unwrap().to_string();
        assert!(error.contains(&format!("127.0.0.1:{port} can't be reached")), "{error}");
        let proxy = super::super::proxy::find("ci.example.org", 443, |name| {
            (name == "HTTPS_PROXY").then(|| format!("127.0.0.1:{port}"))
        });
        let with_proxy = Network::new(coordinator, proxy.unwrap(), None);
        let error = with_proxy.dial(Errand::Register).await.err().unwrap().to_string();
        assert!(error.contains("; and not through the proxy either: "), "{error}");
    }

    #[tokio::test]
    async fn pick_ups_go_the_way_that_the_registration_went() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move {
            let mut heads = Vec::new();
            for _ in 0..2 {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = vec![0; 256];
                let n = stream.read(&mut head).await.unwrap();
                heads.push(String::from_utf8_lossy(&head[..n]).into_owned());
                stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            }
            heads
        });
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let proxy = super::super::proxy::find("ci.example.org", 443, |name| {
            (name == "HTTPS_PROXY").then(|| at.to_string())
        });
        let coordinator = format!("http://127.0.0.1:{closed}").parse().unwrap();
        let network = Network::new(coordinator, proxy.unwrap(), None);
        network.dial(Errand::PickUp).await.err().expect("no registration went through the proxy yet");
        network.dial(Errand::Register).await.unwrap();
        network.dial(Errand::PickUp).await.unwrap();
        let heads = timeout(Duration::from_secs(20), serving).await.expect("in time").unwrap();
        assert!(
            heads.iter().all(|head| head.starts_with(&format!("CONNECT 127.0.0.1:{closed} "))),
            "{heads:?}"
        );
    }
}
