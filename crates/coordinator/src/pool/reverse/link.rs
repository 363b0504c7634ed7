//! The ways to a machine that dialled in.

use std::io;
use std::sync::Arc;

use buildlet_client::{Connect, Connection};
use futures::future::BoxFuture;
use revdial::{v1, v2};
use tokio_util::sync::CancellationToken;

use super::Inner;
use super::table::Key;

/// What a machine opened. Cheap to clone.
#[derive(Clone)]
pub(super) struct Link {
    dialer: Dialer,
    closed: CancellationToken,
}

#[derive(Clone)]
enum Dialer {
    V1(v1::Dialer),
    V2(Arc<v2::Dialer<Box<dyn Connection>>>),
}

impl Link {
    pub fn v1(dialer: v1::Dialer) -> Link {
        Link { dialer: Dialer::V1(dialer), closed: CancellationToken::new() }
    }

    pub fn v2(dialer: v2::Dialer<Box<dyn Connection>>) -> Link {
        Link { dialer: Dialer::V2(Arc::new(dialer)), closed: CancellationToken::new() }
    }

    /// Ends the connection.
    pub fn close(&self) {
        self.closed.cancel();
    }

    pub async fn closed(&self) {
        self.closed.cancelled().await;
    }

    async fn dial(&self) -> io::Result<Box<dyn Connection>> {
        match &self.dialer {
            Dialer::V1(dialer) => Ok(Box::new(dialer.dial()?)),
            Dialer::V2(dialer) => dialer.dial().await.map_err(io::Error::other),
        }
    }
}

/// Dials over one connection and no other.
pub(super) struct Direct(pub Link);

impl Connect for Direct {
    fn connect(&self) -> BoxFuture<'static, io::Result<Box<dyn Connection>>> {
        let link = self.0.clone();
        Box::pin(async move { link.dial().await })
    }
}

/// Dials a machine over whatever it has open, and waits for it while it is away. Whoever dials limits the time.
pub(super) struct Backwards {
    pub inner: Arc<Inner>,
    pub key: Key,
}

impl Connect for Backwards {
    fn name(&self) -> String {
        format!("{} of host {}", self.key.name, self.key.host)
    }

    fn connect(&self) -> BoxFuture<'static, io::Result<Box<dyn Connection>>> {
        let (inner, key) = (Arc::clone(&self.inner), self.key.clone());
        Box::pin(async move {
            let mut changes = inner.changes.subscribe();
            loop {
                changes.borrow_and_update();
                let link = inner.table().link(&key);
                match link {
                    None => {
                        let message = format!("{} of host {} is not connected", key.name, key.host);
                        return Err(io::Error::new(io::ErrorKind::NotConnected, message));
                    }
                    Some(Some(link)) => return link.dial().await,
                    // The sender lives as long as the table.
                    Some(None) => changes.changed().await.map_err(io::Error::other)?,
                }
            }
        })
    }
}
