//! Machines that people hold, as far as the core has to do with them.

use std::sync::Arc;

use store::{BuildId, Micros, WorkerId};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::Core;
use crate::clock::new_id;
use crate::gomote::{self, Coming, Granted, Hold};
use crate::resolve;
use crate::schedule::{Class, Event, Request};

/// What the scheduler is asked for somebody who wants a machine. No limit of builds counts it.
pub(super) fn hold_request(hold: &Hold, now: Micros) -> Request {
    let request = request(hold.id, hold.builder.clone(), hold.hosts.clone(), now);
    Request { repo: hold.repo.clone(), user: hold.owner.clone(), ..request }
}

fn request(build: BuildId, builder: String, hosts: Vec<String>, now: Micros) -> Request {
    Request {
        build,
        builder,
        hosts,
        class: Class::Interactive,
        priority: 0,
        commit_time: now,
        requested: now,
        limits: Vec::new(),
        avoid: Vec::new(),
        not_before: None,
        need: None,
        blocked: None,
        repo: String::new(),
        user: String::new(),
        width: 1,
    }
}

impl Core {
    /// Lets go of whoever waited for a machine and does not listen any more. Looked at by itself, since a word of theirs might find
    /// no room among all that this task is told.
    pub(super) fn end_waits(&mut self) {
        let gone = self.holds.iter().filter(|(_, (_, granted))| granted.is_closed());
        for build in gone.map(|(build, _)| *build).collect::<Vec<_>>() {
            if let Some((hold, _)) = self.holds.remove(&build) {
                self.shared.gomotes.release(&hold.name, hold.id);
                self.apply(Event::Withdrawn { build });
            }
        }
    }

    /// Gives a machine to somebody who holds it.
    pub(super) fn hold(
        &mut self,
        hold: Hold,
        granted: Option<oneshot::Sender<Granted>>,
        worker: WorkerId,
        host: String,
    ) {
        let (machine, gone) = self.give(hold.id, worker, host, format!("held as {}", hold.name));
        self.drivers.spawn(gomote::keep(Arc::clone(&self.shared), hold, granted, machine, gone));
    }

    /// Has a machine busy with something that is no build; also returns what tells that it is gone.
    pub(super) fn give(
        &mut self,
        id: BuildId,
        worker: WorkerId,
        host: String,
        reason: String,
    ) -> (gomote::Machine, CancellationToken) {
        let gone = CancellationToken::new();
        let known = self.workers.get(&worker);
        if known.is_none_or(|known| known.machine.is_none()) {
            gone.cancel();
        }
        let patience = known.and_then(|known| known.pool.patience());
        let machine = gomote::Machine { worker, host, buildlet: self.buildlet(worker), patience };
        self.set_state(worker, "busy", Some(reason));
        self.held.insert(id, (worker, gone.clone()));
        (machine, gone)
    }

    /// Gives the machine of a build that failed to somebody who wants to look at it, if they may still.
    pub(super) fn hold_as_it_is(
        &mut self,
        (repo, builder): (String, String),
        coming: Coming,
        worker: WorkerId,
        host: String,
    ) {
        let config = Arc::clone(&self.config.borrow());
        let found = resolve::builder(&config, &repo, &builder).ok();
        // As when they asked: of a builder that is not configured nobody can tell who may have its machines.
        let Some(found) = found.filter(|found| coming.rights.reach(&config, found)) else {
            let owner = &coming.owner;
            tracing::warn!(owner, repo, builder, %worker, "a machine is not held: its builder is gone, or its owner may not have it any more");
            return self.clean(builder, worker, host);
        };
        let id = self.new_hold();
        // Whose the builder is, and not of what the build was.
        let repo = found.scope.as_ref().map(ToString::to_string).unwrap_or_default();
        let (owner, builder) = (coming.owner.clone(), found.full_name());
        let name = self.shared.gomotes.arrive(coming, (&repo, &builder), id);
        let hold = Hold { id, name, owner, repo, builder, hosts: vec![host.clone()], before: None };
        let request = hold_request(&hold, self.now());
        self.apply(Event::Resumed { request, worker, host: host.clone() });
        self.hold(hold, None, worker, host);
    }

    /// Cleans the machine of a build that failed, which is held by nobody.
    fn clean(&mut self, builder: String, worker: WorkerId, host: String) {
        let id = self.new_hold();
        let request = request(id, builder, vec![host.clone()], self.now());
        self.apply(Event::Resumed { request, worker, host: host.clone() });
        let (machine, gone) = self.give(id, worker, host, "is cleaned".to_owned());
        self.drivers.spawn(gomote::clean(Arc::clone(&self.shared), id, machine, gone));
    }

    fn new_hold(&self) -> BuildId {
        new_id!(BuildId, **self.shared.ledger.clock())
    }
}
