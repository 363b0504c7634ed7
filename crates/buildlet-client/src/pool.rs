//! A few idle connections, because a new one costs more than a short command.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::task::JoinHandle;

use crate::address::Address;
use crate::error::Error;

/// A request's body.
pub(crate) type Body = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

const MAX_IDLE: usize = 4;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// One connection and the task that drives it, which ends with it.
pub(crate) struct Conn {
    pub(crate) sender: SendRequest<Body>,
    driver: JoinHandle<()>,
}

impl Drop for Conn {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Connections to one agent.
pub(crate) struct Pool {
    pub(crate) address: Address,
    idle: Mutex<Vec<Conn>>,
}

/// Whether a connection may have gone stale while it was idle.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    Fresh,
    Reused,
}

impl Pool {
    pub(crate) fn new(address: Address) -> Arc<Self> {
        Arc::new(Self { address, idle: Mutex::new(Vec::new()) })
    }

    /// Takes an idle connection that still looks alive.
    pub(crate) fn idle(&self) -> Option<Conn> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(conn) = idle.pop() {
            if conn.sender.is_ready() {
                return Some(conn);
            }
        }
        None
    }

    /// Opens a connection.
    pub(crate) async fn open(&self) -> Result<Conn, Error> {
        let unreachable = |source: Box<dyn std::error::Error + Send + Sync>| Error::Unreachable {
            address: self.address.to_string(),
            doing: "connecting",
            source,
        };
        let limit = match self.address {
            // By whatever it takes to reach a machine that dials back: whoever asks has limits of their own.
            Address::Custom(_) => CONNECT_TIMEOUT * 3,
            Address::Unix(_) | Address::Tcp(_) => CONNECT_TIMEOUT,
        };
        let stream = tokio::time::timeout(limit, self.address.connect())
            .await
            .map_err(|_elapsed| Error::Timeout { what: "connecting" })?
            .map_err(|e| unreachable(Box::new(e)))?;
        let (sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|e| unreachable(Box::new(e)))?;
        let driver = tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "connection to a buildlet ended");
            }
        });
        Ok(Conn { sender, driver })
    }

    /// Gives a connection back after its response was read to the end.
    pub(crate) fn give_back(&self, conn: Conn) {
        if conn.sender.is_closed() {
            return;
        }
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < MAX_IDLE {
            idle.push(conn);
        }
    }
}
