//! The door: connections are let in one by one, and none outlives the hold that it is for.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use buildenv::Config;
use russh::{Disconnect, MethodKind, MethodSet, SshId, server};
use store::audit::Deed;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use transport::Standing;

use super::authority::{Authority, BadKey, Subject};
use super::guest::{Admitted, Guest};
use super::host_key::SshHostKey;
use super::machine::KEEPALIVE;
use super::pending::WINDOW;
use super::pump::pumped;
use crate::attempt::Shared;
use crate::gomote::{RENEW, Session};

/// Connections at once of those who said who they are before, and by the port of SSH, where anybody may knock.
const MOST: usize = 256;
/// How long somebody may take to log in.
const LOGIN: Duration = Duration::from_secs(30);
/// How long a connection may take to end that was told to, and recordings to be written at the end of the server.
pub(super) const LEAVE: Duration = Duration::from_secs(2);
/// How long a key that is not let in waits to hear of it.
const REJECTED: Duration = Duration::from_secs(1);

/// The door to shells on machines that people hold. Cheap to clone.
#[derive(Clone)]
pub struct Shells(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub shared: Arc<Shared>,
    pub config: watch::Receiver<Arc<Config>>,
    pub key: SshHostKey,
    authority: Authority,
    server: Arc<server::Config>,
    room: Arc<Semaphore>,
    room_for_known: Arc<Semaphore>,
    /// Connections that came through the pages' port, and recordings that are being written.
    pub tasks: TaskTracker,
    stop: CancellationToken,
}

impl std::fmt::Debug for Shells {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Shells").field(&self.0.key).finish()
    }
}

impl Shells {
    pub(crate) fn new(shared: Arc<Shared>, config: watch::Receiver<Arc<Config>>, key: SshHostKey) -> Shells {
        let server = server::Config {
            server_id: SshId::Standard("SSH-2.0-bellwether".into()),
            methods: MethodSet::from(&[MethodKind::PublicKey][..]),
            keys: vec![key.private().as_ref().clone()],
            auth_rejection_time: REJECTED,
            auth_rejection_time_initial: Some(Duration::ZERO),
            inactivity_timeout: None,
            keepalive_interval: Some(KEEPALIVE),
            window_size: WINDOW,
            nodelay: true,
            ..server::Config::default()
        };
        let authority = Authority::new(&**shared.ledger.clock());
        Shells(Arc::new(Inner {
            shared,
            config,
            key,
            authority,
            server: Arc::new(server),
            room: Arc::new(Semaphore::new(MOST)),
            room_for_known: Arc::new(Semaphore::new(MOST)),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        }))
    }

    /// The server's public key, as a line.
    #[must_use]
    pub fn host_key(&self) -> String {
        self.0.key.public_line()
    }

    /// Signs a public key of who holds a machine, for that machine; it lets them in as long as what they showed counts.
    pub(crate) fn sign(&self, line: &str, session: &Session, standing: &Standing) -> Result<String, BadKey> {
        let id = session.id.to_string();
        let subject = Subject { name: &session.name, id: &id, owner: &session.owner };
        let (signed, serial) = self.0.authority.sign(line, subject, &**self.0.shared.ledger.clock())?;
        session.signed.note(serial, standing);
        Ok(signed)
    }

    /// Whether a certificate lets somebody log in to a machine now, and for how long.
    pub(super) fn admits(
        &self,
        certificate: &russh::keys::Certificate,
        session: &Session,
    ) -> Result<Standing, &'static str> {
        let id = session.id.to_string();
        let subject = Subject { name: &session.name, id: &id, owner: &session.owner };
        self.0.authority.admits(certificate, subject, self.0.shared.ledger.clock().now())?;
        match session.signed.standing(certificate.serial()) {
            Some(standing) if standing.has_ended() => Err("what was shown for it counts no longer"),
            Some(standing) => Ok(standing),
            None => Err("too many were signed after it"),
        }
    }

    /// Serves a connection until its end. `from` is told of in the log. Dropped, the connection is cut.
    pub async fn serve<S>(&self, stream: S, from: String)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        self.serve_in(&self.0.room, stream, from).await;
    }

    /// The same for those who said who they are before: strangers take no place of theirs.
    pub(super) async fn serve_known<S>(&self, stream: S, from: String)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        self.serve_in(&self.0.room_for_known, stream, from).await;
    }

    async fn serve_in<S>(&self, room: &Arc<Semaphore>, stream: S, from: String)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Ok(_room) = Arc::clone(room).try_acquire_owned() else {
            tracing::warn!(from, "there are {MOST} connections of SSH already: one more is not answered");
            return;
        };
        tokio::select! {
            () = self.guide(stream, &from) => {}
            () = self.0.stop.cancelled() => {}
        }
    }

    async fn guide<S>(&self, stream: S, from: &str)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let admitted = Arc::new(OnceLock::new());
        let (login, logged_in) = tokio::sync::oneshot::channel();
        let guest = Guest::new(self.clone(), Arc::clone(&admitted), login, from.to_owned());
        let used = guest.used();
        // The connection ends with the pump.
        let (stream, mut pump) = pumped(stream);
        let opening = server::run_stream(Arc::clone(&self.0.server), stream, guest);
        let mut running = match timeout(LOGIN, opening).await {
            Ok(Ok(running)) => running,
            Ok(Err(error)) => return tracing::debug!(from, %error, "a connection of SSH did not begin"),
            Err(_) => return tracing::debug!(from, "a connection of SSH sent nothing"),
        };
        let handle = running.handle();
        tokio::select! {
            ended = &mut running => {
                return tracing::debug!(from, ?ended, "a connection of SSH ended before anybody logged in");
            }
            came = timeout(LOGIN, logged_in) => match came {
                Ok(Ok(())) => {}
                _ => return tracing::debug!(from, "nobody logged in by a connection of SSH"),
            }
        }
        // Set before the word was given.
        let Some(Admitted { session, standing }) = admitted.get() else { return };
        self.note(session, from).await;
        let over = loop {
            tokio::select! {
                ended = &mut running => {
                    tracing::info!(from, name = session.name, ?ended, "a connection of SSH has ended");
                    // What was said last may be on its way.
                    let _ = timeout(LEAVE, &mut pump).await;
                    return;
                }
                over = session.over(standing) => break over,
                () = tokio::time::sleep(RENEW) => if used.any() { self.renew(session) },
            }
        };
        tracing::info!(from, name = session.name, reason = %over, "a connection of SSH is ended");
        // Each shell hears of it by what is written there; this is for a connection without any.
        let told = async {
            let _ = handle.disconnect(Disconnect::ByApplication, over.to_string(), String::new()).await;
            let _ = running.await;
            let _ = pump.await;
        };
        let _ = timeout(LEAVE, told).await;
    }

    pub(super) fn renew(&self, session: &Session) {
        session.renew(self.0.shared.ledger.clock().now(), self.0.shared.gomotes.idle);
    }

    async fn note(&self, session: &Session, from: &str) {
        tracing::info!(
            from,
            name = session.name,
            owner = session.owner,
            "somebody logs in to a held machine"
        );
        let deed = Deed {
            time: self.0.shared.ledger.clock().now(),
            actor: session.owner.clone(),
            action: "gomote ssh".to_owned(),
            target: session.name.clone(),
            detail: serde_json::json!({"from": from}).to_string(),
        };
        self.0.shared.ledger.note(deed).await;
    }

    /// Ends all connections that came through the pages' port, and lets recordings be written.
    pub(crate) async fn end(&self) {
        self.0.stop.cancel();
        self.0.tasks.close();
        if timeout(LEAVE, self.0.tasks.wait()).await.is_err() {
            tracing::warn!("not all connections of SSH have ended, or not all recordings are written");
        }
    }
}
