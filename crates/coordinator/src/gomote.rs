//! Machines that people hold: gomote.
//!
//! Whoever asks for one stands in the scheduler's queue like any build, and gets a machine of the builder's host, clean. It is
//! theirs until they give it back or leave it alone for [`IDLE`]; then it is wiped and serves builds again. What is held
//! is in the database, so that a new start of the coordinator takes nothing from anybody.

mod files;
mod hold;
mod names;
mod room;
mod run;
mod service;
mod session;
mod wanted;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use buildenv::Config;
use store::BuildId;
use transport::Viewer;

pub(crate) use files::Files;
pub(crate) use hold::{Granted, Hold, Machine, keep, note_end};
pub(crate) use room::NoRoom;
pub(crate) use run::{RENEW, place};
pub(crate) use service::{Desk, may, routes};
pub(crate) use session::{Over, Session};
pub(crate) use wanted::{NotWanted, read_wanted, take_wanted, unwant, want, wanted_by};

use crate::api::visible;
pub(crate) use names::Holder;
use names::{Missing, Names};
use room::Has;
use wanted::Wanted;

/// How long a machine is held that its owner does not use.
pub const IDLE: Duration = Duration::from_secs(30 * 60);

/// Who holds what.
pub(crate) struct Gomotes {
    names: Mutex<Names>,
    /// Builds whose machines are held as they are, if they fail.
    wanted: Wanted,
    /// How long a machine is held that its owner does not use.
    pub idle: Duration,
}

/// Whether somebody's orders reach the machines of a repo's builders, on which is also what the repo needs; of the server's, if the
/// name is empty.
pub(crate) fn reaches(config: &Config, viewer: &Viewer, repo: &str) -> bool {
    match repo {
        // A machine is more than some repositories.
        "" => viewer.may_order_all(),
        repo => viewer.may_order(repo) && visible::with_needs(config, viewer, repo),
    }
}

impl Gomotes {
    pub fn new(idle: Duration) -> Gomotes {
        Gomotes { names: Mutex::default(), wanted: Wanted::default(), idle }
    }

    fn names(&self) -> MutexGuard<'_, Names> {
        // Nothing panics while it is held.
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What somebody has, and as much of its names as they may be told.
    fn has(&self, names: &Names, config: &Config, viewer: &Viewer) -> Has {
        let mut has = Has::default();
        for (build, repo) in self.wanted.of(&viewer.who) {
            has.wanted += 1;
            if visible::with_needs(config, viewer, &repo) {
                has.builds.push(build);
            }
        }
        for (name, repo, held) in names.of(&viewer.who) {
            has.machines += 1;
            if held && reaches(config, viewer, repo) {
                has.named.push(name.to_owned());
            }
        }
        has
    }

    /// The same as [`Gomotes::reserve`], if somebody has fewer than they may.
    fn reserve_for(
        &self,
        config: &Config,
        viewer: &Viewer,
        (repo, builder): (&str, &str),
        id: BuildId,
    ) -> Result<String, NoRoom> {
        let mut names = self.names();
        self.has(&names, config, viewer).below(config.environment().max_gomotes)?;
        Ok(names.reserve(Holder { owner: &viewer.who, repo }, builder, id))
    }

    /// The lowest name that is free, taken for somebody who begins to wait, or whose build has failed.
    pub fn reserve(&self, holder: Holder<'_>, builder: &str, id: BuildId) -> String {
        self.names().reserve(holder, builder, id)
    }

    /// Takes the name of a machine that was held before.
    pub fn keep_name(&self, hold: &Hold) {
        self.names().keep(&hold.name, Holder { owner: &hold.owner, repo: &hold.repo }, hold.id);
    }

    pub fn forget(&self, id: BuildId) {
        self.names().forget(id);
    }

    pub fn release(&self, name: &str, id: BuildId) {
        self.names().release(name, id);
    }

    fn open(&self, session: &Arc<Session>) {
        self.names().open(session);
    }

    /// The machine that is held by a name.
    pub fn find(&self, name: &str) -> Result<Arc<Session>, Missing> {
        self.names().find(name, |_| true)
    }

    /// The same for somebody, who may be told of none beyond their repositories.
    fn find_for(&self, config: &Config, viewer: &Viewer, name: &str) -> Result<Arc<Session>, Missing> {
        self.names().find(name, |repo| reaches(config, viewer, repo))
    }

    /// What somebody holds.
    fn of(&self, config: &Config, viewer: &Viewer) -> Vec<Arc<Session>> {
        let mut held = self.all();
        held.retain(|session| session.owner == *viewer.who && reaches(config, viewer, &session.repo));
        held
    }

    /// All that is held, by name.
    pub fn all(&self) -> Vec<Arc<Session>> {
        self.names().held()
    }
}
