//! Builds whose machines are held as they are, if they fail.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use store::{BuildId, StoreError, builds, wanted_holds};
use transport::Viewer;

use super::room::{Has, NoRoom};
use crate::attempt::Shared;

/// So many builds may be waited for to fail, for all together.
const MOST: usize = 1000;

/// For whom the machine of which build is held, as in the database.
#[derive(Debug, Default)]
pub(super) struct Wanted(Mutex<HashMap<BuildId, String>>);

/// Why the machine of a build is not held if it fails.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotWanted {
    /// There is no room for that.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    /// The database's.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Wanted {
    fn builds(&self) -> MutexGuard<'_, HashMap<BuildId, String>> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The builds that somebody wants, the oldest first.
    pub fn of(&self, owner: &str) -> Vec<BuildId> {
        let mut all: Vec<_> =
            self.builds().iter().filter(|(_, of)| *of == owner).map(|(id, _)| *id).collect();
        all.sort();
        all
    }

    /// Notes who wants a build, in the place of whoever did before, who is returned. `has` is what they have already.
    fn put(&self, build: BuildId, who: &str, has: Has, most: usize) -> Result<Option<String>, NoRoom> {
        let mut builds = self.builds();
        let before = builds.get(&build);
        if before.is_none_or(|before| before != who) {
            has.below(most)?;
        }
        if before.is_none() && builds.len() >= MOST {
            return Err(NoRoom::ForAll { most: MOST });
        }
        Ok(builds.insert(build, who.to_owned()))
    }

    /// Has it as it was before `put`, unless it has changed since.
    fn undo(&self, build: BuildId, who: &str, before: Option<String>) {
        let mut builds = self.builds();
        if builds.get(&build).is_some_and(|now| now == who) {
            match before {
                Some(before) => builds.insert(build, before),
                None => builds.remove(&build),
            };
        }
    }
}

/// Has the machine of a build held for somebody, if the build fails. Nobody may have more than `most` machines and such builds.
pub(crate) async fn want(
    shared: &Shared,
    build: BuildId,
    viewer: &Viewer,
    most: usize,
) -> Result<(), NotWanted> {
    let (gomotes, who) = (&shared.gomotes, &*viewer.who);
    let before = {
        // Held until it is noted, so that of two who ask at once the second is counted with the first.
        let names = gomotes.names();
        gomotes.wanted.put(build, who, gomotes.has(&names, viewer), most)?
    };
    let written = async {
        let now = shared.ledger.clock().now();
        let mut tx = shared.ledger.begin().await?;
        wanted_holds::put(&mut tx, build, who, now).await?;
        tx.commit().await
    };
    if let Err(error) = written.await {
        gomotes.wanted.undo(build, who, before);
        return Err(error.into());
    }
    // It has ended meanwhile, and its row was removed before it was there.
    if !gomotes.wanted.builds().contains_key(&build) {
        forget(shared, build).await?;
    }
    Ok(())
}

/// Who has the machine of a build that is over. Nobody is waited for any more then.
pub(crate) async fn take_wanted(shared: &Shared, build: BuildId) -> Option<String> {
    let owner = shared.gomotes.wanted.builds().remove(&build)?;
    if let Err(error) = forget(shared, build).await {
        tracing::warn!(%build, %error, "that nobody waits for a build's machine any more is written down at the next start");
    }
    Some(owner)
}

/// Who wants the machine of a build.
pub(crate) fn wanted_by(shared: &Shared, build: BuildId) -> Option<String> {
    shared.gomotes.wanted.builds().get(&build).cloned()
}

/// Lets go of a build that somebody wanted. Whether they still did.
pub(crate) async fn unwant(shared: &Shared, build: BuildId, owner: &str) -> Result<bool, StoreError> {
    let is_theirs = || shared.gomotes.wanted.builds().get(&build).is_some_and(|of| of == owner);
    if !is_theirs() {
        return Ok(false);
    }
    // First: what is not written down would come back with the next start.
    forget(shared, build).await?;
    let mut builds = shared.gomotes.wanted.builds();
    Ok(builds.get(&build).is_some_and(|of| of == owner) && builds.remove(&build).is_some())
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

#[cfg(test)]
mod tests {
    use store::Micros;

    use super::*;

    fn id(n: usize) -> BuildId {
        BuildId::new(Micros(n as i64 * 1000), &mut |to: &mut [u8]| to.fill(1))
    }

    /// What somebody has who holds nothing.
    fn has(wanted: &Wanted, who: &str) -> Has {
        Has { machines: 0, named: Vec::new(), wanted: wanted.of(who) }
    }

    #[test]
    fn one_uses_up_their_own_and_all_together_no_more_than_there_is() {
        let wanted = Wanted::default();
        for n in 0..3 {
            assert_eq!(wanted.put(id(n), "ann", has(&wanted, "ann"), 3).unwrap(), None);
        }
        assert!(matches!(wanted.put(id(3), "ann", has(&wanted, "ann"), 3), Err(NoRoom::ForOne { .. })));
        assert!(matches!(wanted.put(id(0), "ann", has(&wanted, "ann"), 3), Ok(Some(_))), "it is hers");
        for n in 3..MOST {
            let who = format!("p{n}");
            assert_eq!(wanted.put(id(n), &who, has(&wanted, &who), 3).unwrap(), None, "{n}");
        }
        assert_eq!(wanted.put(id(MOST), "bob", has(&wanted, "bob"), 3), Err(NoRoom::ForAll { most: MOST }));
        // In the place of another there is room.
        assert_eq!(wanted.put(id(0), "bob", has(&wanted, "bob"), 3), Ok(Some("ann".to_owned())));
        wanted.undo(id(0), "bob", Some("ann".to_owned()));
        wanted.undo(id(1), "bob", None);
        assert_eq!(wanted.of("ann"), [id(0), id(1), id(2)]);
        wanted.undo(id(2), "ann", None);
        assert_eq!(wanted.of("ann"), [id(0), id(1)]);
    }
}
