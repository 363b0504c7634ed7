//! Where connections come from, one task per connection, and the reasons to end.

use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use crate::agent::Agent;
use crate::args::Listen;
use crate::http::{First, router};
use crate::reverse::Reverse;
use crate::te::WithTrailers;

/// Connections at once; more wait in the kernel.
const MAX_CONNECTIONS: usize = 256;

/// A listening socket; a Unix one is removed when it is dropped.
pub(crate) enum Listener {
    Unix(UnixListener, std::path::PathBuf),
    Tcp(TcpListener),
}

impl Listener {
    pub(crate) fn bind(listen: &Listen, agent: &Agent) -> io::Result<Self> {
        match listen {
            Listen::Unix(path) => {
                if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty() && !dir.exists()) {
                    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
                }
                // A socket that nobody listens on is what a killed agent left.
                match std::os::unix::net::UnixStream::connect(path) {
                    Ok(_) => {
                        return Err(io::Error::new(io::ErrorKind::AddrInUse, format!("{listen} is in use")));
                    }
                    Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                        std::fs::remove_file(path)?
                    }
                    Err(_) => {}
                }
                // Bound under another name until nobody else may enter.
                let partial = path.with_extension("partial");
                match std::fs::remove_file(&partial) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
                let listener = UnixListener::bind(&partial)?;
                std::fs::set_permissions(&partial, std::fs::Permissions::from_mode(0o600))?;
                std::fs::rename(&partial, path)?;
                Ok(Self::Unix(listener, path.clone()))
            }
            Listen::Tcp(addr) => {
                debug_assert!(agent.password.is_some());
                let listener = std::net::TcpListener::bind(addr)?;
                listener.set_nonblocking(true)?;
                Ok(Self::Tcp(TcpListener::from_std(listener)?))
            }
        }
    }

    async fn accept(&self) -> io::Result<Connection> {
        match self {
            Self::Unix(listener, _) => Ok(Box::new(listener.accept().await?.0)),
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok(Box::new(stream))
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Self::Unix(_, path) = self {
            // Somebody else may have removed it.
            let _gone = std::fs::remove_file(path);
        }
    }
}

/// A byte stream of either direction.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection that requests come on.
pub(crate) type Connection = Box<dyn Stream>;

/// Where connections come from.
pub(crate) enum Source {
    /// Others dial us.
    Listening(Listener),
    /// We dial out, and are asked over what we dialled.
    Reverse(Reverse),
}

impl Source {
    /// Waits for the next connection; there is none any more if whoever makes them has died. May be dropped and asked again.
    async fn accept(&mut self) -> io::Result<Option<Connection>> {
        match self {
            Self::Listening(listener) => listener.accept().await.map(Some),
            Self::Reverse(reverse) => Ok(reverse.accept().await),
        }
    }

    /// Whether an agent that is not spoken to is one that was forgotten. One that dials out is known to its coordinator, which
    /// may have nothing to do for days.
    fn ends_idle(&self) -> bool {
        matches!(self, Self::Listening(_))
    }
}

/// Serves until told to end, and returns why.
pub(crate) async fn serve(mut source: Source, agent: Arc<Agent>) -> &'static str {
    let router = router(Arc::clone(&agent));
    let mut connections = JoinSet::new();
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return "no signal handlers";
    };
    let ends_idle = source.ends_idle();
    let reason = loop {
        let full = connections.len() >= MAX_CONNECTIONS;
        tokio::select! {
            accepted = source.accept(), if !full => match accepted {
                Ok(Some(stream)) => { connections.spawn(connection(stream, router.clone())); }
                Ok(None) => break "no more connections can come",
                // Out of descriptors, or the peer was gone already: the next may do.
                Err(error) => {
                    tracing::warn!(%error, "accept");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
            Some(_ended) = connections.join_next() => {}
            () = sleep_until(agent.idle_at()), if ends_idle => {
                // It may have been spoken to since the timer was set.
                if agent.idle_at() <= Instant::now() {
                    break "idle for too long";
                }
            }
            _ = term.recv() => break "SIGTERM",
            _ = int.recv() => break "SIGINT",
            () = agent.stop.cancelled() => break "halted",
        }
    };
    // Answers that are on their way get a moment; streams of running commands end with the commands.
    let drain = async { while connections.join_next().await.is_some() {} };
    let _in_time = timeout(Duration::from_millis(50), drain).await;
    reason
}

async fn connection(stream: Connection, router: Router) {
    let first = AtomicBool::new(true);
    let router = TowerToHyperService::new(router);
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        if first.swap(false, Ordering::Relaxed) {
            request.extensions_mut().insert(First);
        }
        hyper::service::Service::call(&router, request)
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(120))
        .serve_connection(TokioIo::new(WithTrailers::new(stream)), service);
    if let Err(error) = served.await {
        tracing::debug!(%error, "connection ended");
    }
}
