//! Tells the scheduler of quotas.

use std::collections::BTreeSet;

use super::Core;
use crate::resolve;
use crate::schedule::{Event, Of};

impl Core {
    /// Tells the scheduler of the quotas of a configuration; who has none of their own any more gets that of all.
    pub(super) fn tell_quotas(&mut self, config: &buildenv::Config) {
        let quotas = resolve::quotas(config);
        let own = |event: &Event| match event {
            Event::Quota { of, name: Some(name), .. } => Some((*of, name.clone())),
            _ => None,
        };
        let now: BTreeSet<(Of, String)> = quotas.iter().filter_map(own).collect();
        let of_all = |of: Of| if of == Of::Repo { config.quotas().repo } else { config.quotas().user };
        let before = std::mem::replace(&mut self.quotas, now);
        let gone = before.difference(&self.quotas);
        let gone: Vec<Event> = gone
            .map(|(of, name)| Event::Quota { of: *of, name: Some(name.clone()), max: of_all(*of) })
            .collect();
        // Still told of at the next change, since the scheduler takes it for their own.
        self.quotas.extend(before);
        for event in quotas.into_iter().chain(gone) {
            self.apply(event);
        }
    }
}
