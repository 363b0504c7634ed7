//! Which object is a snapshot.

use store::{StoreError, snapshots};

use super::Shared;
use crate::ledger::{is_waitable, pause};

/// Returns the object that a row names for a snapshot. As a transition does, it waits for a database that is away.
pub(super) async fn object(shared: &Shared, key: &str) -> Result<Option<String>, StoreError> {
    let mut tries = 0;
    loop {
        let read = async { snapshots::get(&mut shared.ledger.db().read().await?, key).await };
        match read.await {
            Err(error) if is_waitable(&error) => {
                tracing::warn!(key, %error, "the database can't be asked for a snapshot; trying again");
                tokio::time::sleep(pause(tries)).await;
                tries += 1;
            }
            read => return read,
        }
    }
}
