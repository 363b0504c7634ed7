//! The builds that the scheduler knows, kept small: a dispatch among a million of them costs what its cache misses cost.
//!
//! Names stand as numbers, what builds of one builder have in common stands once, and ids lead to numbers of slots.

use std::collections::HashMap;

use slab::Slab;
use store::{BuildId, Micros, WorkerId};

use super::ids::Ids;
use super::{Class, Request};

/// The number of a build while it is known here; given anew once it has left.
pub(super) type Slot = u32;

/// The order within the builds of one class, repo and user: priority, then by class newest commit first or longest waiting
/// first; at last the order of asking. The slot makes it unique.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    /// The priority, inverted.
    behind: i32,
    order: i64,
    sequence: u32,
    pub(super) slot: Slot,
}

const _: () = assert!(size_of::<Rank>() == 24, "an entry of a queue stays small");

#[cfg(test)]
impl Rank {
    pub(super) fn numbered(number: u16) -> Self {
        Self { behind: 0, order: i64::from(number), sequence: 0, slot: 0 }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In the ready set of each of its hosts.
    Ready,
    /// Waits for a slot of this limit.
    Limit(u32),
    /// Waits for the moment before which it must not start.
    Delayed,
    /// Waits for something to exist.
    Need,
    /// Can't run as things are configured.
    Blocked,
    /// Holds a machine.
    Running,
}

/// What the builds of a builder have in common.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Kind {
    pub(super) builder: String,
    pub(super) hosts: Vec<u32>,
    pub(super) limits: Vec<u32>,
    /// Slots that it takes of each limit and quota.
    pub(super) width: u32,
    /// The number of its hosts, limits and width together: builds alike in these wait for the same things.
    pub(super) shape: u32,
}

/// What few builds have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Rare {
    pub(super) avoid: Vec<WorkerId>,
    pub(super) not_before: Option<Micros>,
    pub(super) need: Option<String>,
    pub(super) blocked: Option<String>,
}

/// One cache line a build; what few builds have lies elsewhere.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
pub(super) struct Item {
    pub(super) build: BuildId,
    pub(super) commit_time: Micros,
    pub(super) requested: Micros,
    /// Since when it is at its place.
    pub(super) since: Micros,
    pub(super) place: Place,
    priority: i16,
    pub(super) class: u8,
    /// Whether it was promoted by age.
    pub(super) aged: bool,
    pub(super) sequence: u32,
    kind: u32,
    /// The number of its repo and user.
    pub(super) flow: u32,
}

const _: () = assert!(size_of::<Item>() == 64, "an item fills one cache line");

impl Item {
    pub(super) fn class(&self) -> Class {
        Class::of_number(self.class)
    }

    pub(super) fn priority(&self) -> i64 {
        i64::from(self.priority)
    }

    /// Its place in the queue of its class.
    pub(super) fn rank(&self, slot: Slot) -> Rank {
        let order = match self.class().is_landed() {
            true => self.commit_time.0.saturating_neg(),
            false => self.requested.0,
        };
        Rank { behind: -i32::from(self.priority), order, sequence: self.sequence, slot }
    }

    /// Its place among the promoted, the oldest first, if it is one.
    pub(super) fn aged_rank(&self, slot: Slot) -> Option<Rank> {
        let order = self.requested.0;
        self.aged.then_some(Rank { behind: 0, order, sequence: self.sequence, slot })
    }
}

#[derive(Debug, Default)]
pub(super) struct Items {
    slots: Slab<Item>,
    ids: Ids,
    /// Grows with each change of a builder's hosts or limits, hence never by much.
    kinds: Vec<Kind>,
    /// Their shapes are 0 here.
    kind_numbers: HashMap<Kind, u32>,
    shapes: HashMap<(Vec<u32>, Vec<u32>, u32), u32>,
    rare: HashMap<Slot, Rare>,
    sequence: u32,
}

impl Items {
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Adds a build that is not known yet.
    pub(super) fn insert(
        &mut self,
        now: Micros,
        request: &Request,
        kind: Kind,
        flow: u32,
        rare: Rare,
    ) -> Slot {
        self.sequence = self.sequence.wrapping_add(1);
        let number = match self.kind_numbers.get(&kind) {
            Some(number) => *number,
            None => {
                let number = self.kinds.len() as u32;
                let shape = (kind.hosts.clone(), kind.limits.clone(), kind.width);
                let next = self.shapes.len() as u32;
                let shape = *self.shapes.entry(shape).or_insert(next);
                self.kinds.push(Kind { shape, ..kind.clone() });
                self.kind_numbers.insert(kind, number);
                number
            }
        };
        let priority = request.priority.clamp(i64::from(-i16::MAX), i64::from(i16::MAX)) as i16;
        let item = Item {
            build: request.build,
            commit_time: request.commit_time,
            requested: request.requested,
            since: now,
            place: Place::Ready,
            priority,
            class: request.class as u8,
            aged: false,
            sequence: self.sequence,
            kind: number,
            flow,
        };
        let slot = self.slots.insert(item) as Slot;
        self.ids.insert(request.build, slot, |id, slot| holds(&self.slots, id, slot));
        if rare != Rare::default() {
            self.rare.insert(slot, rare);
        }
        slot
    }

    pub(super) fn slot(&self, build: BuildId) -> Option<Slot> {
        self.ids.find(build).filter(|slot| self.get(*slot).is_some_and(|item| item.build == build))
    }

    pub(super) fn get(&self, slot: Slot) -> Option<&Item> {
        self.slots.get(slot as usize)
    }

    pub(super) fn get_mut(&mut self, slot: Slot) -> Option<&mut Item> {
        self.slots.get_mut(slot as usize)
    }

    /// What few builds have, where this one has any of it.
    pub(super) fn rare(&self, slot: Slot) -> Option<&Rare> {
        if self.rare.is_empty() { None } else { self.rare.get(&slot) }
    }

    pub(super) fn remove(&mut self, slot: Slot) -> Option<(Item, Option<Rare>)> {
        let item = self.slots.try_remove(slot as usize)?;
        self.ids.remove(item.build, |id, slot| holds(&self.slots, id, slot));
        Some((item, self.rare.remove(&slot)))
    }

    pub(super) fn kind(&self, item: &Item) -> &Kind {
        &self.kinds[item.kind as usize]
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Slot, &Item)> + '_ {
        self.slots.iter().map(|(slot, item)| (slot as Slot, item))
    }
}

/// Whether the build of this id is the one in the slot.
fn holds(slots: &Slab<Item>, id: [u8; 16], slot: Slot) -> bool {
    slots.get(slot as usize).is_some_and(|item| item.build.to_bytes() == id)
}

/// Values that have a name and a number. A name once met stays.
#[derive(Debug)]
pub(super) struct Named<T> {
    numbers: HashMap<String, u32>,
    entries: Vec<(String, T)>,
}

impl<T> Default for Named<T> {
    fn default() -> Self {
        Named { numbers: HashMap::new(), entries: Vec::new() }
    }
}

impl<T: Default> Named<T> {
    /// The number of the name, which is given one if it has none.
    pub(super) fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = self.entries.len() as u32;
        self.numbers.insert(name.to_owned(), number);
        self.entries.push((name.to_owned(), T::default()));
        number
    }

    pub(super) fn name(&self, number: u32) -> &str {
        &self.entries[number as usize].0
    }

    pub(super) fn name_of(&self, number: u32) -> Option<&str> {
        self.entries.get(number as usize).map(|(name, _)| name.as_str())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &T)> + '_ {
        self.entries.iter().enumerate().map(|(number, (_, value))| (number as u32, value))
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    #[cfg(test)]
    pub(super) fn named(&self, name: &str) -> Option<&T> {
        Some(&self[*self.numbers.get(name)?])
    }
}

/// A number comes from [`Named::number`] of the same value, so there is an entry.
impl<T> std::ops::Index<u32> for Named<T> {
    type Output = T;

    fn index(&self, number: u32) -> &T {
        &self.entries[number as usize].1
    }
}

impl<T> std::ops::IndexMut<u32> for Named<T> {
    fn index_mut(&mut self, number: u32) -> &mut T {
        &mut self.entries[number as usize].1
    }
}
