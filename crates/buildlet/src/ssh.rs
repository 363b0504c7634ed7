//! An SSH server of the agent's own, behind `/connect-ssh`: a shell, commands and files on a machine that has no sshd.
//!
//! Whoever may ask for a tunnel may run commands already, so it gives nobody more than they have: the sessions it serves are
//! commands as any other, in the work directory, and end with their connection. One connection lets in one key, and carries
//! nothing further: no port, no display and no agent is forwarded. Entry: [`Server::serve`].

mod channel;
mod command;
mod guest;
mod handler;
mod input;
mod severed;
pub(crate) mod sftp;
#[cfg_attr(unix, path = "ssh/shell/unix.rs")]
#[cfg_attr(windows, path = "ssh/shell/windows.rs")]
pub(crate) mod shell;
#[cfg_attr(unix, path = "ssh/signals/unix.rs")]
#[cfg_attr(windows, path = "ssh/signals/windows.rs")]
mod signals;
pub(crate) mod terminal;

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use russh::keys::PrivateKey;
use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::server::{Config, Handle, run_stream};
use russh::{Disconnect, MethodKind, MethodSet, SshId};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::agent::Agent;

use handler::Session;
use severed::Severed;

pub(crate) use guest::Guest;

/// Who has not proven their key by then is not waited for.
const HANDSHAKE: Duration = Duration::from_secs(30);
/// A client that says nothing is asked so often whether it is there, and given up after so many times.
const ALIVE: Duration = Duration::from_secs(60);
const ALIVE_TIMES: usize = 3;
/// Keys that a client may offer; its own agent may hold many.
const OFFERS: usize = 20;
/// What a client may send before it hears that more is wanted, in bytes.
const WINDOW: u32 = 1 << 20;
/// The largest packet, in bytes.
const PACKET: u32 = 32 << 10;
/// Pieces of output that wait to be sent, of a packet at most.
const EVENTS: usize = 16;
/// How long a client has to hear why it is sent away.
const FAREWELL: Duration = Duration::from_secs(1);

/// What serves tunnels.
pub(crate) struct Server {
    config: Arc<Config>,
    sessions: AtomicU64,
}

impl Server {
    /// With a host key of its own, which nobody else has seen: who comes through a tunnel knows where it ends.
    pub(crate) fn new() -> io::Result<Self> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(io::Error::other)?;
        let config = Config {
            server_id: SshId::Standard(concat!("SSH-2.0-bellwether_", env!("CARGO_PKG_VERSION")).into()),
            methods: MethodSet::from(&[MethodKind::PublicKey][..]),
            auth_rejection_time: Duration::from_secs(1),
            auth_rejection_time_initial: Some(Duration::ZERO),
            max_auth_attempts: OFFERS,
            keys: vec![PrivateKey::from(Ed25519Keypair::from_seed(&seed))],
            window_size: WINDOW,
            maximum_packet_size: PACKET,
            event_buffer_size: EVENTS,
            // Somebody who reads a log for an hour is still there; who is not answers no question.
            inactivity_timeout: None,
            keepalive_interval: Some(ALIVE),
            keepalive_max: ALIVE_TIMES,
            ..Config::default()
        };
        Ok(Self { config: Arc::new(config), sessions: AtomicU64::new(0) })
    }

    /// Serves one guest on what was dialled for them, until either leaves or `ousted` says why they have to.
    pub(crate) async fn serve(
        &self,
        agent: Arc<Agent>,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        guest: Guest,
        ousted: impl Future<Output = &'static str>,
    ) {
        let number = self.sessions.fetch_add(1, Ordering::Relaxed);
        let (user, key) = (guest.user().to_owned(), guest.fingerprint());
        tracing::info!(number, user, key, "somebody comes by ssh");
        let (stop, entered, tasks) = (CancellationToken::new(), CancellationToken::new(), TaskTracker::new());
        let name = format!("{}{}-{number}", agent.table.settings.sessions_prefix, agent.instance());
        let session = Session::new(agent, name, guest, stop.clone(), entered.clone(), tasks.clone());
        let cut = CancellationToken::new();
        let stream = Severed::new(stream, cut.clone());
        let end = carry(Arc::clone(&self.config), stream, session, &entered, cut, ousted).await;
        // Their commands end with them.
        stop.cancel();
        tasks.close();
        tasks.wait().await;
        tracing::info!(number, user, end, "they are gone");
    }
}

/// Runs the protocol to its end, and returns what that was.
async fn carry(
    config: Arc<Config>,
    stream: Severed<impl AsyncRead + AsyncWrite + Unpin + Send + 'static>,
    session: Session,
    entered: &CancellationToken,
    cut: CancellationToken,
    ousted: impl Future<Output = &'static str>,
) -> String {
    let said = |result: Result<(), russh::Error>| match result {
        Ok(()) => "left".to_owned(),
        Err(error) => error.to_string(),
    };
    let (mut ousted, mut late) = (pin!(ousted), pin!(late(entered)));
    let begun = tokio::select! {
        begun = run_stream(config, stream, session) => begun,
        reason = &mut ousted => return reason.to_owned(),
        () = &mut late => return "it did not speak SSH in time".to_owned(),
    };
    let mut running = match begun {
        Ok(running) => running,
        Err(error) => return error.to_string(),
    };
    let handle = running.handle();
    let reason = tokio::select! {
        result = &mut running => return said(result),
        reason = &mut ousted => reason,
        () = &mut late => "no key was proven in time",
    };
    let _in_time = timeout(FAREWELL, farewell(&handle, reason)).await;
    if timeout(FAREWELL, &mut running).await.is_err() {
        cut.cancel();
        let _ended = running.await;
    }
    reason.to_owned()
}

/// Returns once a guest has had their time to come in; never, if they did.
async fn late(entered: &CancellationToken) {
    if timeout(HANDSHAKE, entered.cancelled()).await.is_ok() {
        std::future::pending::<()>().await;
    }
}

async fn farewell(handle: &Handle, reason: &str) {
    // A session that has ended needs to be told nothing.
    let _gone = handle.disconnect(Disconnect::ByApplication, reason.to_owned(), String::new()).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_has_come_in_is_never_late() {
        let entered = CancellationToken::new();
        late(&entered).await;
        entered.cancel();
        timeout(100 * HANDSHAKE, late(&entered)).await.unwrap_err();
    }
}
