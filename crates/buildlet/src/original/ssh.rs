//! `/connect-ssh`: a way into this machine for who gets the coordinator's word that they may (spec 1.18).
//!
//! It leads to the agent's own SSH server, or to the sshd of this machine if the operator gives its port. No sshd is started: one
//! that is there has host keys and rules of its own, and an agent that made some up would undo them. Either way nobody is longer
//! here than whoever let them in: a newer holder of the machine, its wipe and the agent's end are the end of every session.

#[cfg_attr(windows, path = "ssh/no_keys.rs")]
pub(crate) mod keys;

use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;
#[cfg(feature = "ssh")]
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_body::Body as _;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};
use tokio_util::task::TaskTracker;

use crate::agent::Agent;
use crate::args::Args;
use crate::http::{GoError, Token};
#[cfg(feature = "ssh")]
use crate::ssh::{Guest, Server};

use super::{internal, require};

/// Sessions at once.
const MOST: usize = 64;
/// How often the sshd is tried, which may be starting just now, and how far apart.
const TRIES: u32 = 5;
const APART: Duration = Duration::from_secs(1);
/// One try.
const CONNECT: Duration = Duration::from_secs(2);

/// Where it leads, and the sessions that there are.
pub(crate) struct Ssh {
    way: Option<Way>,
    room: Arc<Semaphore>,
    sessions: Mutex<Sessions>,
}

enum Way {
    /// To the sshd on a port of this machine, whose users' homes are in a directory.
    Sshd { port: u16, homes: Option<PathBuf> },
    /// To ourselves.
    #[cfg(feature = "ssh")]
    Own(Arc<Server>),
}

/// Sessions that end together.
#[derive(Clone)]
struct Sessions {
    /// Why, once they have to.
    end: watch::Sender<Option<&'static str>>,
    tasks: TaskTracker,
}

impl Sessions {
    fn new() -> Self {
        Self { end: watch::Sender::new(None), tasks: TaskTracker::new() }
    }
}

impl Ssh {
    /// To where the operator says.
    pub(crate) fn of(args: &Args) -> io::Result<Self> {
        let way = match args.ssh_port {
            Some(port) => Some(Way::Sshd { port, homes: args.ssh_homes.clone() }),
            None => own()?,
        };
        Ok(Self { way, room: Arc::new(Semaphore::new(MOST)), sessions: Mutex::new(Sessions::new()) })
    }

    fn sessions(&self) -> Sessions {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends every session for a reason and waits until nothing of them is left; who comes later is of another time.
    pub(crate) async fn end_sessions(&self, reason: &'static str) {
        let before = {
            let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *sessions, Sessions::new())
        };
        before.end.send_replace(Some(reason));
        before.tasks.close();
        before.tasks.wait().await;
    }
}

#[cfg(feature = "ssh")]
fn own() -> io::Result<Option<Way>> {
    Ok(Some(Way::Own(Arc::new(Server::new()?))))
}

#[cfg(not(feature = "ssh"))]
#[expect(clippy::unnecessary_wraps, reason = "the other one can fail")]
fn own() -> io::Result<Option<Way>> {
    Ok(None)
}

/// Returns once a session has to end, and why.
async fn ousted(agent: Arc<Agent>, token: Option<u64>, sessions: Sessions) -> &'static str {
    let mut end = sessions.end.subscribe();
    tokio::select! {
        () = agent.fence.outrun(token) => "another holds this machine now",
        // The sender lives as long as `sessions`.
        end = end.wait_for(Option::is_some) => end.ok().and_then(|end| *end).unwrap_or("this machine ends its sessions"),
        () = agent.stop.cancelled() => "this machine is halted",
    }
}

async fn dial(port: u16) -> Result<TcpStream, GoError> {
    let mut last = io::Error::from(io::ErrorKind::TimedOut);
    for attempt in 0..TRIES {
        if attempt > 0 {
            sleep(APART).await;
        }
        match timeout(CONNECT, TcpStream::connect((Ipv4Addr::LOCALHOST, port))).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = error,
            Err(_late) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    let text = format!("there is no sshd on port {port} of this machine: {last}");
    Err(GoError(StatusCode::BAD_GATEWAY, text))
}

pub(crate) async fn connect_ssh(
    State(agent): State<Arc<Agent>>,
    mut request: Request,
) -> Result<Response, GoError> {
    require(request.method(), &Method::POST)?;
    let ssh = &agent.ssh;
    let way = ssh.way.as_ref().ok_or_else(|| {
        let text = "this buildlet was built without its SSH server and leads to no sshd; its operator would start it with \
                    --ssh-port 22 to allow it";
        GoError(StatusCode::FORBIDDEN, text.to_owned())
    })?;
    if request.body().size_hint().exact() != Some(0) {
        return Err(GoError::bad("requires Content-Length of 0"));
    }
    let token = request.extensions().get::<Token>().map(|token| token.0);
    let full = || GoError(StatusCode::SERVICE_UNAVAILABLE, format!("there are {MOST} ssh sessions already"));
    let room = Arc::clone(&ssh.room).try_acquire_owned().map_err(|_full| full())?;
    let upgrade = request.extensions_mut().remove::<OnUpgrade>();
    let upgrade = upgrade.ok_or_else(|| GoError::bad("HTTP/1.1 is required, and nothing between"))?;
    let asked = asked_for(request.headers())?;
    let sessions = ssh.sessions();
    let ousted = ousted(Arc::clone(&agent), token, sessions.clone());
    match way {
        Way::Sshd { port, homes } => {
            if let Some((user, key)) = asked {
                let homes = homes.clone();
                let add = move || keys::add(homes.as_deref(), &user, &key);
                let added = tokio::task::spawn_blocking(add).await;
                added.map_err(internal)?.map_err(|error| GoError::bad(error.to_string()))?;
            }
            let sshd = dial(*port).await?;
            sessions.tasks.spawn(tunnel(Arc::clone(&agent), room, upgrade, sshd, ousted));
        }
        #[cfg(feature = "ssh")]
        Way::Own(server) => {
            let (user, key) = asked.ok_or_else(|| {
                GoError::bad("requires X-Go-Ssh-User and X-Go-Authorized-Key: who comes, and with which key")
            })?;
            let guest = Guest::read(&user, &key).map_err(|error| GoError::bad(error.to_string()))?;
            sessions.tasks.spawn(serve(Arc::clone(&agent), room, upgrade, Arc::clone(server), guest, ousted));
        }
    }
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("ssh"));
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    Ok(response)
}

/// Whose key is to be added, and which, if one is.
fn asked_for(headers: &HeaderMap) -> Result<Option<(String, String)>, GoError> {
    let text = |name: &str| {
        let value = headers.get(name).map(|value| value.to_str().map(str::to_owned));
        value.transpose().map_err(|_bad| GoError::bad(format!("{name} is no plain text")))
    };
    match (text("X-Go-Ssh-User")?, text("X-Go-Authorized-Key")?) {
        (Some(user), Some(key)) => Ok(Some((user, key))),
        (None, None) => Ok(None),
        _ => Err(GoError::bad("X-Go-Ssh-User and X-Go-Authorized-Key go together")),
    }
}

/// Carries bytes both ways until either end has no more, as the original does.
async fn tunnel(
    agent: Arc<Agent>,
    _room: OwnedSemaphorePermit,
    upgrade: OnUpgrade,
    sshd: TcpStream,
    ousted: impl Future<Output = &'static str>,
) {
    // Whoever is logged in is somebody that the agent is there for.
    let _contact = agent.contact(None);
    let carry = async {
        let client: TokioIo<Upgraded> = TokioIo::new(upgrade.await.map_err(io::Error::other)?);
        let (mut from_client, mut to_client) = tokio::io::split(client);
        let (mut from_sshd, mut to_sshd) = tokio::io::split(sshd);
        tokio::select! {
            done = tokio::io::copy(&mut from_client, &mut to_sshd) => done.map(drop),
            done = tokio::io::copy(&mut from_sshd, &mut to_client) => done.map(drop),
        }
    };
    let carried: io::Result<()> = tokio::select! {
        carried = carry => carried,
        reason = ousted => Err(io::Error::other(reason)),
    };
    if let Err(error) = carried {
        tracing::debug!(%error, "a tunnel to the sshd ended");
    }
}

/// Serves a guest on what becomes of a request.
#[cfg(feature = "ssh")]
async fn serve(
    agent: Arc<Agent>,
    _room: OwnedSemaphorePermit,
    upgrade: OnUpgrade,
    server: Arc<Server>,
    guest: Guest,
    ousted: impl Future<Output = &'static str>,
) {
    let _contact = agent.contact(None);
    let mut ousted = pin!(ousted);
    let upgraded = tokio::select! {
        upgraded = upgrade => upgraded,
        _reason = &mut ousted => return,
    };
    match upgraded {
        Ok(upgraded) => server.serve(agent, TokioIo::new(upgraded), guest, ousted).await,
        Err(error) => tracing::debug!(%error, "nobody came by ssh after all"),
    }
}
