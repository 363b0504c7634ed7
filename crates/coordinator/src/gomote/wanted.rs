//! Builds whose machines are held as they are, if they fail.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use buildenv::Config;
use store::wanted_holds::{self, WantedRow};
use store::{BuildId, StoreError, builds};
use transport::Viewer;

use super::rights::{Rights, rights};
use super::room::{Has, NoRoom};
use crate::attempt::Shared;
use crate::orders;

/// So many builds may be waited for to fail, for all together.
const MOST: usize = 1000;

/// For whom the machine of which build is held.
#[derive(Debug, Default)]
pub(super) struct Wanted(Mutex<Wishes>);

#[derive(Debug, Default)]
struct Wishes {
    /// As in the database.
    builds: HashMap<BuildId, Wish>,
    /// Whose machines are on their way from builds that are over: no name is taken for them yet.
    coming: HashMap<BuildId, String>,
}

/// What somebody wants.
#[derive(Debug, Default)]
pub(super) struct Theirs {
    /// The builds, each with its repo, the oldest first.
    pub builds: Vec<(BuildId, String)>,
    /// So many machines are on their way to them.
    pub coming: usize,
}

/// Who wants a build, and the repo that it is of.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wish {
    owner: String,
    repo: String,
}

/// The machine of a build that is over, on its way to whoever wanted it: counted with what they have until this is dropped.
#[derive(Debug)]
pub(crate) struct Coming {
    wanted: Arc<Wanted>,
    build: BuildId,
    /// Whose it is.
    pub owner: String,
    /// What they may do by now.
    pub rights: Rights,
}

impl Drop for Coming {
    fn drop(&mut self) {
        self.wanted.wishes().coming.remove(&self.build);
    }
}

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
    fn wishes(&self) -> MutexGuard<'_, Wishes> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What somebody wants, looked at at once: a machine that sets out meanwhile is in one of the two.
    pub fn of(&self, owner: &str) -> Theirs {
        let wishes = self.wishes();
        let theirs = wishes.builds.iter().filter(|(_, wish)| wish.owner == owner);
        let mut builds: Vec<_> = theirs.map(|(id, wish)| (*id, wish.repo.clone())).collect();
        builds.sort();
        let coming = wishes.coming.values().filter(|to| *to == owner).count();
        Theirs { builds, coming }
    }

    /// Takes the wish for a build that is over; its machine is on its way then.
    pub fn take(self: &Arc<Self>, build: BuildId) -> Option<Coming> {
        let mut wishes = self.wishes();
        let owner = wishes.builds.remove(&build)?.owner;
        wishes.coming.insert(build, owner.clone());
        drop(wishes);
        Some(Coming { wanted: Arc::clone(self), build, owner, rights: Rights::Unknown })
    }

    /// Notes who wants a build, in the place of whoever did before, who is returned. `has` is what they have already.
    fn put(&self, build: BuildId, wish: Wish, has: Has, most: usize) -> Result<Option<Wish>, NoRoom> {
        let builds = &mut self.wishes().builds;
        let before = builds.get(&build);
        if before.is_none_or(|before| before.owner != wish.owner) {
            has.below(most)?;
        }
        if before.is_none() && builds.len() >= MOST {
            return Err(NoRoom::ForAll { most: MOST });
        }
        Ok(builds.insert(build, wish))
    }

    /// Notes who wants a build, as they did before a new start.
    pub fn note(&self, build: BuildId, owner: &str, repo: &str) {
        let wish = Wish { owner: owner.to_owned(), repo: repo.to_owned() };
        self.wishes().builds.insert(build, wish);
    }

    /// Has it as it was before `put`, unless it has changed since.
    fn undo(&self, build: BuildId, who: &str, before: Option<Wish>) {
        let builds = &mut self.wishes().builds;
        if builds.get(&build).is_some_and(|now| now.owner == who) {
            match before {
                Some(before) => builds.insert(build, before),
                None => builds.remove(&build),
            };
        }
    }
}

/// Has the machine of a build held for somebody, if the build fails, as far as they may have one more. Returns whose wish gave way.
pub(crate) async fn want(
    shared: &Shared,
    (build, repo): (BuildId, &str),
    config: &Config,
    viewer: &Viewer,
) -> Result<Option<String>, NotWanted> {
    let (gomotes, who) = (&shared.gomotes, &*viewer.who);
    let before = {
        // Held until it is noted, so that of two who ask at once the second is counted with the first.
        let names = gomotes.names();
        let wish = Wish { owner: who.to_owned(), repo: repo.to_owned() };
        let has = gomotes.has(&names, config, viewer);
        gomotes.wanted.put(build, wish, has, config.environment().max_gomotes)?
    };
    if let Err(error) = write(shared, build, who).await {
        gomotes.wanted.undo(build, who, before);
        return Err(error.into());
    }
    match wanted_by(shared, build) {
        // It has ended meanwhile, and its row was removed before it was there.
        None => forget(shared, build).await?,
        // Somebody was later, and may have been written down before.
        Some(later) if later != who => write(shared, build, &later).await?,
        Some(_) => {}
    }
    Ok(before.map(|wish| wish.owner).filter(|before| before != who))
}

async fn write(shared: &Shared, build: BuildId, owner: &str) -> Result<(), StoreError> {
    let now = shared.ledger.clock().now();
    let seal = shared.orders.key.seal(&orders::Wish { build, owner });
    let row = WantedRow { build, owner: owner.to_owned(), seal: Some(seal) };
    let mut tx = shared.ledger.begin().await?;
    wanted_holds::put(&mut tx, &row, now).await?;
    tx.commit().await
}

/// Who has the machine of a build that is over, and what they may do by now. Nobody is waited for any more then.
pub(crate) async fn take_wanted(shared: &Shared, build: BuildId) -> Option<Coming> {
    let mut coming = shared.gomotes.wanted.take(build)?;
    if let Err(error) = forget(shared, build).await {
        tracing::warn!(%build, %error, "that nobody waits for a build's machine any more is written down at the next start");
    }
    match rights(shared, &coming.owner).await {
        Ok(rights) => coming.rights = rights,
        // Nothing is lost by it: what is held is reached by those alone who may.
        Err(error) => {
            tracing::warn!(%build, %error, "it is not known what whoever wanted a machine may do by now")
        }
    }
    Some(coming)
}

/// Who wants the machine of a build.
pub(crate) fn wanted_by(shared: &Shared, build: BuildId) -> Option<String> {
    shared.gomotes.wanted.wishes().builds.get(&build).map(|wish| wish.owner.clone())
}

/// Lets go of a build that somebody wanted. Whether they still did.
pub(crate) async fn unwant(shared: &Shared, build: BuildId, owner: &str) -> Result<bool, StoreError> {
    let is_theirs = |wish: &Wish| wish.owner == owner;
    if !shared.gomotes.wanted.wishes().builds.get(&build).is_some_and(is_theirs) {
        return Ok(false);
    }
    // First: what is not written down would come back with the next start.
    let mut tx = shared.ledger.begin().await?;
    wanted_holds::remove_of(&mut tx, build, owner).await?;
    tx.commit().await?;
    let builds = &mut shared.gomotes.wanted.wishes().builds;
    Ok(builds.get(&build).is_some_and(is_theirs) && builds.remove(&build).is_some())
}

/// Reads back what was asked for before a new start. Of builds that have ended meanwhile nothing is left to hold.
pub(crate) async fn read_wanted(shared: &Shared) -> Result<(), StoreError> {
    let mut reader = shared.ledger.db().read().await?;
    let (mut over, mut again) = (Vec::new(), Vec::new());
    for WantedRow { build, owner, seal } in wanted_holds::all(&mut reader).await? {
        if !shared.orders.key.holds(&orders::Wish { build, owner: &owner }, seal.as_deref()) {
            tracing::error!(%build, owner, "nobody waits for its machine: {}", orders::UNSEALED);
            over.push(build);
            continue;
        }
        match builds::get(&mut reader, build).await? {
            Some(row) if row.state != "done" => {
                shared.gomotes.wanted.note(build, &owner, &row.repo);
                // With the key of today, so that the one before may be forgotten.
                if seal != Some(shared.orders.key.seal(&orders::Wish { build, owner: &owner })) {
                    again.push((build, owner));
                }
            }
            _ => over.push(build),
        }
    }
    drop(reader);
    for build in over {
        forget(shared, build).await?;
    }
    for (build, owner) in again {
        if let Err(error) = write(shared, build, &owner).await {
            tracing::warn!(%build, %error, "a wish is sealed with the key of today at the next start");
        }
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

    fn wish(owner: &str) -> Wish {
        Wish { owner: owner.to_owned(), repo: "one".to_owned() }
    }

    /// Puts one of somebody who holds nothing.
    fn put(wanted: &Wanted, n: usize, who: &str) -> Result<Option<Wish>, NoRoom> {
        let has = Has { wanted: wanted.of(who).builds.len(), ..Has::default() };
        wanted.put(id(n), wish(who), has, 3)
    }

    #[test]
    fn one_uses_up_their_own_and_all_together_no_more_than_there_is() {
        let wanted = Wanted::default();
        let of = |who: &str| wanted.of(who).builds.into_iter().map(|(id, _)| id).collect::<Vec<_>>();
        for n in 0..3 {
            assert_eq!(put(&wanted, n, "ann").unwrap(), None);
        }
        assert!(matches!(put(&wanted, 3, "ann"), Err(NoRoom::ForOne { .. })));
        assert_eq!(put(&wanted, 0, "ann"), Ok(Some(wish("ann"))), "it is hers");
        for n in 3..MOST {
            assert_eq!(put(&wanted, n, &format!("p{n}")).unwrap(), None, "{n}");
        }
        assert_eq!(put(&wanted, MOST, "bob"), Err(NoRoom::ForAll { most: MOST }));
        // In the place of another there is room.
        assert_eq!(put(&wanted, 0, "bob"), Ok(Some(wish("ann"))));
        wanted.undo(id(0), "bob", Some(wish("ann")));
        wanted.undo(id(1), "bob", None);
        assert_eq!(of("ann"), [id(0), id(1), id(2)]);
        wanted.undo(id(2), "ann", None);
        assert_eq!(of("ann"), [id(0), id(1)]);
    }
}
