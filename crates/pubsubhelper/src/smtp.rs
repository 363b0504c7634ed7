//! The port for mail.

mod accept;
mod connection;
mod seats;
pub(crate) mod session;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::Hub;
use crate::dns::Txt;
use connection::Connection;
use seats::Seats;

/// How long connections may take to end once they are told to.
const LEAVING: Duration = Duration::from_secs(5);
/// How long to wait after a connection could not be accepted, mostly for want of descriptors.
const AFTER_FAULT: Duration = Duration::from_millis(100);

/// What the receiver of mail is given.
pub struct MailPort {
    /// Where connections come in.
    pub listener: TcpListener,
    /// Where signers' keys are found.
    pub txt: Arc<dyn Txt>,
    /// What STARTTLS begins; without it, it is not offered.
    #[cfg(feature = "tls")]
    pub tls: Option<tokio_rustls::TlsAcceptor>,
}

/// Receives mail until `shutdown`.
pub(crate) async fn serve(hub: &Hub, port: MailPort, shutdown: CancellationToken) {
    let config = &hub.inner.config.smtp;
    let seats = Seats::new(config.sessions, config.sessions_per_address);
    let mut connections = JoinSet::new();
    let port = Arc::new(port);
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            accepted = port.listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => match seats.take(peer.ip()) {
                Some(seat) => {
                    let (hub, port, shutdown) = (hub.clone(), Arc::clone(&port), shutdown.clone());
                    connections.spawn(async move {
                        let _seat = seat;
                        converse(hub, &port, stream, peer, shutdown).await;
                    });
                }
                // As much as fits at once: nobody waits for those who are turned away.
                None => {
                    tracing::debug!(%peer, "there are too many connections for mail");
                    let _ = stream.try_write(b"421 4.3.2 Error: too many connections\r\n");
                }
            },
            Err(error) => {
                tracing::warn!(%error, "no connection for mail can be accepted");
                tokio::time::sleep(AFTER_FAULT).await;
            }
        }
    }
    let all = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(LEAVING, all).await.is_err() {
        connections.shutdown().await;
    }
}

async fn converse(
    hub: Hub,
    port: &MailPort,
    stream: TcpStream,
    peer: SocketAddr,
    shutdown: CancellationToken,
) {
    let limit = hub.inner.config.smtp.session;
    let connection = Connection::new(hub, port, Box::new(stream), shutdown);
    match tokio::time::timeout(limit, connection.run()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%peer, %error, "a connection for mail broke"),
        Err(_) => tracing::debug!(%peer, "a connection for mail lasted too long"),
    }
}
