//! Whose builds they are: repos, users, and the two together.

use hashbrown::HashMap;
use slab::Slab;

use super::Of;
use super::fair::NOBODY;
use super::items::Named;

/// A repo and a user that have builds here.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flow {
    /// The limit that is the repo's quota, which also is the repo's number, and the user's or [`NOBODY`].
    pub(super) who: [u32; 2],
    /// How many builds.
    builds: u32,
}

/// Repos and users by number. A name once met stays, as names of limits do; a pair goes with its last build.
#[derive(Debug, Default)]
pub(super) struct Flows {
    names: [Named<Option<u32>>; 2],
    flows: Slab<Flow>,
    numbers: HashMap<[u32; 2], u32>,
}

impl Flows {
    /// The number of the repo or user, `make` giving a new one its.
    pub(super) fn number(&mut self, of: Of, name: &str, make: impl FnOnce() -> u32) -> u32 {
        let names = &mut self.names[of as usize];
        let at = names.number(name);
        *names[at].get_or_insert_with(make)
    }

    /// The number of those known.
    pub(super) fn known(&self, of: Of) -> impl Iterator<Item = (&str, u32)> + '_ {
        let names = &self.names[of as usize];
        names.iter().filter_map(|(at, number)| Some((names.name(at), (*number)?)))
    }

    /// Counts a build of the two, and returns their number.
    pub(super) fn enter(&mut self, who: [u32; 2]) -> u32 {
        let flows = &mut self.flows;
        let number = *self.numbers.entry(who).or_insert_with(|| flows.insert(Flow { who, builds: 0 }) as u32);
        if let Some(flow) = self.flows.get_mut(number as usize) {
            flow.builds += 1;
        }
        number
    }

    /// A build of them left.
    pub(super) fn leave(&mut self, number: u32) {
        let Some(flow) = self.flows.get_mut(number as usize) else { return };
        flow.builds = flow.builds.saturating_sub(1);
        if flow.builds == 0 {
            let who = flow.who;
            self.flows.remove(number as usize);
            self.numbers.remove(&who);
        }
    }

    /// The numbers of repo and user.
    pub(super) fn who(&self, number: u32) -> [u32; 2] {
        self.flows.get(number as usize).map_or([NOBODY; 2], |flow| flow.who)
    }

    pub(super) fn len(&self) -> usize {
        self.flows.len()
    }
}
