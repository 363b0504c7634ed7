//! Machines that builds under way spread their tests over, as far as the core has to do with them.

use std::sync::Arc;

use store::{BuildId, WorkerId};

use super::Core;
use crate::schedule::Event;
use crate::spread::{self, Ask};

impl Core {
    /// A build under way wants another machine.
    pub(super) fn ask_for_help(&mut self, ask: Ask) {
        if ask.crew.is_over() {
            return;
        }
        let request = ask.request();
        self.helps.insert(ask.id, ask);
        self.apply(Event::Queued(request));
    }

    /// Waits no longer for machines that would find nothing to do.
    pub(super) fn end_helps(&mut self) {
        let over = self.helps.values().filter(|ask| ask.crew.is_over());
        for id in over.map(|ask| ask.id).collect::<Vec<BuildId>>() {
            self.helps.remove(&id);
            self.apply(Event::Withdrawn { build: id });
        }
    }

    /// Gives a machine to a build under way.
    pub(super) fn help(&mut self, ask: Ask, worker: WorkerId, host: String) {
        let (machine, gone) = self.give(ask.id, worker, host, format!("helps build {}", ask.build));
        let name = self.workers.get(&worker).map_or_else(|| worker.to_string(), |known| known.called(worker));
        self.drivers.spawn(spread::drive(Arc::clone(&self.shared), ask, machine, name, gone));
    }
}
