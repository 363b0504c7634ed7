//! The service as a whole.

use store::Db;
use tokio_util::sync::CancellationToken;

use crate::smtp::{self, MailPort};
use crate::{Config, Hub, OpenError, Replaced};

/// What the service is given.
pub struct Handles {
    /// Where events are kept. It has one hub at a time.
    pub db: Db,
    /// Where mail comes in, if it does.
    pub mail: Option<MailPort>,
}

/// Why the service is none, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// It can't begin.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It ended before its time.
    #[error(transparent)]
    Replaced(#[from] Replaced),
}

/// Opens a hub and runs it until `shutdown`; whoever needs its pages too uses [`Hub`] and [`run`] themselves.
///
/// # Errors
/// See [`ServeError`].
pub async fn serve(config: Config, handles: Handles, shutdown: CancellationToken) -> Result<(), ServeError> {
    let hub = Hub::open(config, handles.db).await?;
    Ok(run(&hub, handles.mail, shutdown).await?)
}

/// Stores and shows events, and receives mail, until `shutdown`. Mail that is being looked at then is still stored.
///
/// # Errors
/// Another hub was opened on the database, which ended all of this.
pub async fn run(hub: &Hub, mail: Option<MailPort>, shutdown: CancellationToken) -> Result<(), Replaced> {
    let (receiving, last) = (shutdown.child_token(), CancellationToken::new());
    let receives = async {
        match mail {
            Some(port) => smtp::serve(hub, port, receiving.clone()).await,
            None => receiving.cancelled().await,
        }
        last.cancel();
    };
    let stores = async {
        let ended = hub.run(last.clone()).await;
        receiving.cancel();
        ended
    };
    tokio::join!(stores, receives).0
}
