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
    Request {
        build: hold.id,
        builder: hold.builder.clone(),
        hosts: hold.hosts.clone(),
        class: Class::Interactive,
        priority: 0,
        commit_time: now,
        requested: now,
        limits: Vec::new(),
        avoid: Vec::new(),
        not_before: None,
        need: None,
        blocked: None,
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
        let gone = CancellationToken::new();
        let known = self.workers.get(&worker);
        if known.is_none_or(|known| known.machine.is_none()) {
            gone.cancel();
        }
        let patience = known.and_then(|known| known.pool.patience());
        let machine = gomote::Machine { worker, host, buildlet: self.buildlet(worker), patience };
        self.set_state(worker, "busy", Some(format!("held as {}", hold.name)));
        self.held.insert(hold.id, (worker, gone.clone()));
        self.drivers.spawn(gomote::keep(Arc::clone(&self.shared), hold, granted, machine, gone));
    }

    /// Gives the machine of a build that failed to somebody who wants to look at it.
    pub(super) fn hold_as_it_is(
        &mut self,
        (repo, builder): (String, String),
        coming: Coming,
        worker: WorkerId,
        host: String,
    ) {
        let clock = Arc::clone(self.shared.ledger.clock());
        let id = new_id!(BuildId, *clock);
        let (builder, repo) = match resolve::builder(&self.config.borrow(), &repo, &builder) {
            // Whose the builder is, and not of what the build was.
            Ok(found) => {
                (found.full_name(), found.scope.as_ref().map(ToString::to_string).unwrap_or_default())
            }
            Err(_) => (builder, String::new()),
        };
        let owner = coming.owner.clone();
        let hold = Hold {
            id,
            name: self.shared.gomotes.arrive(coming, (&repo, &builder), id),
            owner,
            repo,
            builder,
            hosts: vec![host.clone()],
            before: None,
        };
        let request = hold_request(&hold, self.now());
        self.apply(Event::Resumed { request, worker, host: host.clone() });
        self.hold(hold, None, worker, host);
    }
}
