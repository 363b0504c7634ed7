//! Where connections come from, one task per connection, and the reasons to end.

mod health;
#[cfg_attr(windows, path = "server/no_local.rs")]
mod local;
mod places;
mod stall;
#[cfg(feature = "tls")]
mod tls;
#[cfg(not(feature = "tls"))]
#[path = "server/no_tls.rs"]
mod tls;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use futures::future::BoxFuture;
use http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep_until, timeout};

use crate::agent::Agent;
use crate::args::Listen;
use crate::http::{First, router};
use crate::listen::Plan;
use crate::reverse::Reverse;
use crate::sys::Ends;
use crate::te::WithTrailers;
use local::Local;
use places::Places;
use stall::Stalling;
use tls::Tls;

pub(crate) use health::Health;
pub(crate) use places::{Activity, Busy};

/// A handshake of TLS must be done within this time.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How often a connection that carries nothing is tried, as the original does.
const KEEP_ALIVE: Duration = Duration::from_secs(180);
/// Who reads an answer may pause for so many times as long as who sends a request.
const READERS_PATIENCE: u32 = 5;

/// A listening socket.
pub(crate) enum Listener {
    Unix(Local),
    Tcp(TcpListener, Option<Tls>),
}

impl Listener {
    pub(crate) fn bind(plan: &Plan) -> io::Result<Self> {
        let listen = &plan.listen;
        match listen {
            Listen::Auto => unreachable!("invariant: a plan has an address"),
            Listen::Unix(path) => Ok(Self::Unix(Local::bind(path, &listen.to_string())?)),
            Listen::Tcp(addr) => {
                let tls = plan.identity.as_ref().map(Tls::open).transpose()?;
                let taken = |error: io::Error| {
                    io::Error::new(error.kind(), format!("--listen {addr} can't be listened on: {error}"))
                };
                let listener = std::net::TcpListener::bind(addr).map_err(taken)?;
                listener.set_nonblocking(true)?;
                Ok(Self::Tcp(TcpListener::from_std(listener)?, tls))
            }
        }
    }

    async fn accept(&self) -> io::Result<Arriving> {
        match self {
            Self::Unix(local) => Ok(arrived(local.accept().await?)),
            Self::Tcp(listener, tls) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                let often = TcpKeepalive::new().with_time(KEEP_ALIVE).with_interval(KEEP_ALIVE);
                SockRef::from(&stream).set_tcp_keepalive(&often)?;
                let Some(tls) = tls.clone() else { return Ok(arrived(Box::new(stream))) };
                Ok(Box::pin(
                    async move { timeout(HANDSHAKE, tls.accept(stream)).await.map_err(io::Error::from)? },
                ))
            }
        }
    }
}

/// A byte stream of either direction.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection that requests come on.
pub(crate) type Connection = Box<dyn Stream>;

/// A connection that may have to be agreed on first, which holds up only itself.
type Arriving = BoxFuture<'static, io::Result<Connection>>;

fn arrived(connection: Connection) -> Arriving {
    Box::pin(std::future::ready(Ok(connection)))
}

/// Where connections come from.
pub(crate) enum Source {
    /// Others dial us.
    Listening(Listener),
    /// We dial out, and are asked over what we dialled.
    Reverse(Reverse),
}

impl Source {
    /// Waits for the next connection; there is none any more if whoever makes them has died. May be dropped and asked again.
    async fn accept(&mut self) -> io::Result<Option<Arriving>> {
        match self {
            Self::Listening(listener) => listener.accept().await.map(Some),
            Self::Reverse(reverse) => Ok(reverse.accept().await.map(arrived)),
        }
    }

    /// Nothing comes any more, and whoever may wait for this machine is told.
    async fn close(self) {
        match self {
            Self::Listening(listener) => drop(listener),
            Self::Reverse(reverse) => reverse.leave().await,
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
    let mut places = Places::new();
    let stall = agent.stall;
    let Ok(mut ends) = Ends::hear() else { return "no signal handlers" };
    let ends_idle = source.ends_idle();
    let reason = loop {
        let room = places.has_room();
        tokio::select! {
            accepted = source.accept(), if room => match accepted {
                Ok(Some(arriving)) => {
                    let router = router.clone();
                    places.take(move |activity| connection(arriving, router, activity, stall));
                }
                Ok(None) => break "no more connections can come",
                // Out of descriptors, or the peer was gone already: the next may do.
                Err(error) => {
                    tracing::warn!(%error, "accept");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
            () = places.changed() => {}
            () = sleep_until(agent.idle_at()), if ends_idle => {
                // It may have been spoken to since the timer was set.
                if agent.idle_at() <= Instant::now() {
                    break "idle for too long";
                }
            }
            ended = ends.next() => break ended,
            () = agent.stop.cancelled() => break "halted",
        }
    };
    // Answers that are on their way get a moment; streams of running commands end with the commands, and what a wipe has
    // not removed is removed by the next, which plants under another name.
    agent.wipes.close();
    let _in_time = timeout(Duration::from_millis(50), async {
        places.empty().await;
        agent.wipes.wait().await;
    })
    .await;
    source.close().await;
    reason
}

async fn connection(arriving: Arriving, router: Router, activity: Arc<Activity>, stall: Duration) {
    let stream = match arriving.await {
        Ok(stream) => stream,
        Err(error) => {
            tracing::debug!(%error, "no connection was made");
            return;
        }
    };
    let first = AtomicBool::new(true);
    let router = TowerToHyperService::new(router);
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        if first.swap(false, Ordering::Relaxed) {
            request.extensions_mut().insert(First);
        }
        request.extensions_mut().insert(Arc::clone(&activity));
        hyper::service::Service::call(&router, request)
    });
    let stream = Stalling::new(WithTrailers::new(stream), stall.saturating_mul(READERS_PATIENCE));
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(stall)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    if let Err(error) = served.await {
        tracing::debug!(%error, "connection ended");
    }
}
