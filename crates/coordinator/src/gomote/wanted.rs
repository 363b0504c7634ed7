//! Builds whose machines are held as they are, if they fail.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use store::{BuildId, StoreError, builds, wanted_holds};

use crate::attempt::Shared;

/// So many builds may be waited for to fail.
const MOST: usize = 1000;

/// For whom the machine of which build is held, as in the database.
#[derive(Debug, Default)]
pub(super) struct Wanted(Mutex<HashMap<BuildId, String>>);

impl Wanted {
    fn builds(&self) -> MutexGuard<'_, HashMap<BuildId, String>> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Has the machine of a build held for somebody, if the build fails. Whether there was room for that.
pub(crate) async fn want(shared: &Shared, build: BuildId, who: &str) -> Result<bool, StoreError> {
    let has_room = {
        let builds = shared.gomotes.wanted.builds();
        builds.len() < MOST || builds.contains_key(&build)
    };
    if has_room {
        let now = shared.ledger.clock().now();
        let mut tx = shared.ledger.begin().await?;
        wanted_holds::put(&mut tx, build, who, now).await?;
        tx.commit().await?;
        shared.gomotes.wanted.builds().insert(build, who.to_owned());
    }
    Ok(has_room)
}

/// Who has the machine of a build that is over. Nobody is waited for any more then.
pub(crate) async fn take_wanted(shared: &Shared, build: BuildId) -> Option<String> {
    let owner = shared.gomotes.wanted.builds().remove(&build)?;
    if let Err(error) = forget(shared, build).await {
        tracing::warn!(%build, %error, "that nobody waits for a build's machine any more is written down at the next start");
    }
    Some(owner)
}

/// Reads back what was asked for before a new start. Of builds that have ended meanwhile nothing is left to hold.
pub(crate) async fn read_wanted(shared: &Shared) -> Result<(), StoreError> {
    let mut reader = shared.ledger.db().read().await?;
    let mut over = Vec::new();
    for (build, owner) in wanted_holds::all(&mut reader).await? {
        match builds::get(&mut reader, build).await? {
            Some(row) if row.state != "done" => {
                shared.gomotes.wanted.builds().insert(build, owner);
            }
            _ => over.push(build),
        }
    }
    drop(reader);
    for build in over {
        forget(shared, build).await?;
    }
    Ok(())
}

async fn forget(shared: &Shared, build: BuildId) -> Result<(), StoreError> {
    let mut tx = shared.ledger.begin().await?;
    wanted_holds::remove(&mut tx, build).await?;
    tx.commit().await
}
