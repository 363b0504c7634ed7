//! Machines that people hold: gomote.
//!
//! Whoever asks for one stands in the scheduler's queue like any build, and gets a machine of the builder's host, clean. It is
//! theirs until they give it back or leave it alone for [`IDLE`]; then it is wiped and serves builds again. What is held
//! is in the database, so that a new start of the coordinator takes nothing from anybody.

mod files;
mod hold;
mod names;
mod rights;
mod room;
mod run;
mod service;
mod session;
mod waiting;
mod wanted;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use buildenv::Config;
use store::BuildId;
use transport::Viewer;

pub(crate) use files::Files;
pub(crate) use hold::{Granted, Hold, Machine, clean, keep, note_end, seal_again};
pub(crate) use room::NoRoom;
pub(crate) use run::{RENEW, place};
pub(crate) use service::{Desk, may, routes};
pub(crate) use session::{Over, Session};
pub(crate) use wanted::{Coming, NotWanted, read_wanted, take_wanted, unwant, want, wanted_by};

use crate::api::visible;
use names::{Holder, Missing, Names};
use room::Has;
use wanted::{Theirs, Wanted};

/// How long a machine is held that its owner does not use.
pub const IDLE: Duration = Duration::from_secs(30 * 60);

/// Who holds what.
pub(crate) struct Gomotes {
    names: Mutex<Names>,
    /// Builds whose machines are held as they are, if they fail.
    wanted: Arc<Wanted>,
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
        Gomotes { names: Mutex::default(), wanted: Arc::default(), idle }
    }

    fn names(&self) -> MutexGuard<'_, Names> {
        // Nothing panics while it is held.
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What somebody has, and as much of its names as they may be told.
    fn has(&self, names: &Names, config: &Config, viewer: &Viewer) -> Has {
        let Theirs { builds, coming } = self.wanted.of(&viewer.who);
        let mut has = Has { machines: coming, ..Has::default() };
        for (build, repo) in builds {
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

    /// The lowest name that is free, taken for somebody who begins to wait, if they have fewer machines than they may.
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

    /// The lowest name that is free, taken for somebody whose build has failed: that machine has come.
    pub fn arrive(&self, coming: Coming, (repo, builder): (&str, &str), id: BuildId) -> String {
        let mut names = self.names();
        let name = names.reserve(Holder { owner: &coming.owner, repo }, builder, id);
        // While the names are held, so that it is counted once.
        drop(coming);
        name
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

#[cfg(test)]
mod tests {
    use buildenv::Source;
    use store::Micros;
    use transport::Role;

    use super::*;

    #[test]
    fn the_machine_of_a_failed_build_is_counted_on_its_way_to_its_name() {
        let gomotes = Gomotes::new(IDLE);
        let source = Source::server("server.toml", "");
        let config = buildenv::load(&[source], &|path| Err(std::io::Error::other(path)), None).unwrap();
        let ann = Viewer::known("ann", Role::Developer);
        let id = |n: u8| BuildId::new(Micros(0), &mut |to: &mut [u8]| to.fill(n));
        let has = || {
            let has = gomotes.has(&gomotes.names(), &config, &ann);
            (has.machines, has.wanted)
        };
        for n in 0..2 {
            gomotes.wanted.note(id(n), "ann", "one");
        }
        assert_eq!(has(), (0, 2));
        let [first, second] = [0, 1].map(|n| gomotes.wanted.take(id(n)).unwrap());
        assert_eq!(has(), (2, 0));
        assert_eq!(gomotes.arrive(first, ("", "b"), id(2)), "ann-b-0");
        assert_eq!(has(), (2, 0));
        // It did not fail, or could not be held.
        drop(second);
        assert_eq!(has(), (1, 0));
        gomotes.release("ann-b-0", id(2));
        assert_eq!(has(), (0, 0));
    }
}
