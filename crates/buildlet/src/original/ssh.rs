//! `/connect-ssh`: a tunnel to the sshd of this machine, for who gets the coordinator's word that they may (spec 1.18).
//!
//! Off unless the operator gives the port. No sshd is started: one that is there has host keys and rules of its own, and an agent
//! that made some up would undo them.

mod keys;

use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_body::Body as _;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_util::task::TaskTracker;

use crate::agent::Agent;
use crate::http::GoError;

use super::{internal, require};

/// Tunnels at once.
const MOST: usize = 64;
/// How often the sshd is tried, which may be starting just now, and how far apart.
const TRIES: u32 = 5;
const APART: Duration = Duration::from_secs(1);
/// One try.
const CONNECT: Duration = Duration::from_secs(2);

/// Where tunnels lead, and those that there are.
pub(crate) struct Ssh {
    port: u16,
    homes: Option<PathBuf>,
    room: Arc<Semaphore>,
    tunnels: TaskTracker,
}

impl Ssh {
    /// To the sshd on a port of this machine, whose users' homes are in a directory.
    pub(crate) fn new(port: u16, homes: Option<PathBuf>) -> Self {
        Self { port, homes, room: Arc::new(Semaphore::new(MOST)), tunnels: TaskTracker::new() }
    }

    async fn dial(&self) -> Result<TcpStream, GoError> {
        let mut last = io::Error::from(io::ErrorKind::TimedOut);
        for attempt in 0..TRIES {
            if attempt > 0 {
                sleep(APART).await;
            }
            match timeout(CONNECT, TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => last = error,
                Err(_late) => last = io::ErrorKind::TimedOut.into(),
            }
        }
        let text = format!("there is no sshd on port {} of this machine: {last}", self.port);
        Err(GoError(StatusCode::BAD_GATEWAY, text))
    }
}

pub(crate) async fn connect_ssh(
    State(agent): State<Arc<Agent>>,
    mut request: Request,
) -> Result<Response, GoError> {
    require(request.method(), &Method::POST)?;
    let ssh = agent.ssh.as_ref().ok_or_else(|| {
        let text =
            "this buildlet leads to no sshd; its operator would start it with --ssh-port 22 to allow it";
        GoError(StatusCode::FORBIDDEN, text.to_owned())
    })?;
    if request.body().size_hint().exact() != Some(0) {
        return Err(GoError::bad("requires Content-Length of 0"));
    }
    let full = || GoError(StatusCode::SERVICE_UNAVAILABLE, format!("there are {MOST} tunnels already"));
    let room = Arc::clone(&ssh.room).try_acquire_owned().map_err(|_full| full())?;
    let upgrade = request.extensions_mut().remove::<OnUpgrade>();
    let upgrade = upgrade.ok_or_else(|| GoError::bad("HTTP/1.1 is required, and nothing between"))?;
    if let Some((user, key)) = asked_for(request.headers())? {
        let homes = ssh.homes.clone();
        let added = tokio::task::spawn_blocking(move || keys::add(homes.as_deref(), &user, &key)).await;
        added.map_err(internal)?.map_err(|error| GoError::bad(error.to_string()))?;
    }
    let sshd = ssh.dial().await?;
    ssh.tunnels.spawn(tunnel(Arc::clone(&agent), room, upgrade, sshd));
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
async fn tunnel(agent: Arc<Agent>, _room: OwnedSemaphorePermit, upgrade: OnUpgrade, sshd: TcpStream) {
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
        () = agent.stop.cancelled() => Ok(()),
    };
    if let Err(error) = carried {
        tracing::debug!(%error, "a tunnel to the sshd ended");
    }
}
