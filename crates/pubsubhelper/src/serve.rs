//! The service as a whole.

use store::{Db, StoreError};
use tokio_util::sync::CancellationToken;

use crate::smtp::{self, MailPort};
use crate::{Config, Hub};

/// What the service is given.
pub struct Handles {
    /// Where events are kept. It has one hub at a time.
    pub db: Db,
    /// Where mail comes in, if it does.
    pub mail: Option<MailPort>,
}

/// Opens a hub and runs it until `shutdown`; whoever needs its pages too uses [`Hub`] and [`run`] themselves.
///
/// # Errors
/// The database's.
pub async fn serve(config: Config, handles: Handles, shutdown: CancellationToken) -> Result<(), StoreError> {
    let hub = Hub::open(config, handles.db).await?;
    run(&hub, handles.mail, shutdown).await;
    Ok(())
}

/// Stores and shows events, and receives mail, until `shutdown`. Mail that is being looked at then is still stored.
pub async fn run(hub: &Hub, mail: Option<MailPort>, shutdown: CancellationToken) {
    let last = CancellationToken::new();
    let receives = async {
        match mail {
            Some(port) => smtp::serve(hub, port, shutdown).await,
            None => shutdown.cancelled().await,
        }
        last.cancel();
    };
    tokio::join!(hub.run(last.clone()), receives);
}
