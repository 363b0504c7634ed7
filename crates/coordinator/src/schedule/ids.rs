//! From a build's id to its slot, made for a million builds that come nearly in the order of their ids: an id begins with
//! the moment it was made at.
//!
//! A build that is queued is put at the end, which stays in the processor's caches; in a hash table it would land anywhere.
//! One that leaves is only counted: its entry stays until most of those beside it have left, and is told by what its slot
//! holds now. docs/performance.md has the figures.

use std::collections::VecDeque;

use store::BuildId;

use super::items::Slot;

/// The most entries of a leaf.
const LARGEST: usize = if cfg!(test) { 8 } else { 512 };

/// Finds builds by their ids. An entry counts only while its slot holds its build: `held` says whether it does.
#[derive(Debug, Default)]
pub(super) struct Ids {
    /// None is empty.
    leaves: VecDeque<Leaf>,
}

#[derive(Debug)]
struct Leaf {
    /// No entry of this leaf comes before it, and each entry of the leaf before does. Of the first leaf it says nothing.
    least: Key,
    /// How many of the entries count.
    present: usize,
    /// In the order of the ids, each of which is here once.
    entries: Vec<Entry>,
}

/// A build's id, in their order. Bytes, since with a number of 128 bits an entry would have twelve of 32 bytes empty.
type Key = [u8; 16];

#[derive(Debug, Clone, Copy)]
struct Entry {
    id: Key,
    slot: Slot,
}

impl Leaf {
    fn search(&self, id: Key) -> Result<usize, usize> {
        match self.entries.last() {
            Some(last) if last.id < id => Err(self.entries.len()),
            _ => self.entries.binary_search_by(|entry| entry.id.cmp(&id)),
        }
    }
}

impl Ids {
    fn leaf_of(&self, id: Key) -> usize {
        self.leaves.partition_point(|leaf| leaf.least <= id).saturating_sub(1)
    }

    /// The slot that was last noted for the build; it may hold another one by now.
    pub(super) fn find(&self, build: BuildId) -> Option<Slot> {
        let id = build.to_bytes();
        let leaf = self.leaves.get(self.leaf_of(id))?;
        leaf.search(id).ok().map(|at| leaf.entries[at].slot)
    }

    /// Notes the slot of a build that is in none yet.
    pub(super) fn insert(&mut self, build: BuildId, slot: Slot, held: impl Fn(Key, Slot) -> bool) {
        let id = build.to_bytes();
        let (at, entry) = (self.leaf_of(id), Entry { id, slot });
        let last = at + 1 >= self.leaves.len();
        let place = self.leaves.get(at).map(|leaf| leaf.search(id));
        let (Some(leaf), Some(place)) =
            (self.leaves.get_mut(at).filter(|_| place != Some(Err(LARGEST)) || !last), place)
        else {
            self.leaves.push_back(Leaf { least: id, present: 1, entries: vec![entry] });
            return;
        };
        match place {
            // It was here before.
            Ok(place) => leaf.entries[place] = entry,
            Err(place) => leaf.entries.insert(place, entry),
        }
        leaf.present += 1;
        if leaf.entries.len() > LARGEST {
            leaf.entries.retain(|entry| held(entry.id, entry.slot));
            let later = leaf.entries.split_off(leaf.entries.len().div_ceil(2));
            leaf.present = leaf.entries.len();
            if let Some(first) = later.first() {
                self.leaves.insert(at + 1, Leaf { least: first.id, present: later.len(), entries: later });
            }
        }
    }

    /// Notes that a build has left its slot.
    pub(super) fn remove(&mut self, build: BuildId, held: impl Fn(Key, Slot) -> bool) {
        let at = self.leaf_of(build.to_bytes());
        let Some(leaf) = self.leaves.get_mut(at) else { return };
        leaf.present -= 1;
        if leaf.present == 0 {
            self.leaves.remove(at);
        } else if leaf.present < leaf.entries.len() / 4 {
            leaf.entries.retain(|entry| held(entry.id, entry.slot));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;
    use store::Micros;

    use super::*;

    fn build(n: u16) -> BuildId {
        BuildId::new(Micros(i64::from(n / 7) * 1000), &mut |to| to.fill((n % 7) as u8))
    }

    proptest! {
        #[test]
        fn each_build_is_found_in_its_slot_and_none_that_left(
            deeds in proptest::collection::vec((0u16..90, any::<bool>(), any::<bool>()), 1..400)
        ) {
            let (mut ids, mut slots, mut newest) = (Ids::default(), slab::Slab::new(), 90);
            let mut known: HashMap<u16, Slot> = HashMap::new();
            for (n, new, often) in deeds {
                // Most that comes is the newest, as in a coordinator.
                let n = if new && often { newest += 1; newest } else { n };
                if let Some(slot) = known.remove(&n) {
                    slots.remove(slot as usize);
                    ids.remove(build(n), |id, slot| slots.get(slot as usize).is_some_and(|n| build(*n).to_bytes() == id));
                } else if new {
                    let slot = slots.insert(n) as Slot;
                    known.insert(n, slot);
                    ids.insert(build(n), slot, |id, slot| slots.get(slot as usize).is_some_and(|n| build(*n).to_bytes() == id));
                }
                for n in 0..newest + 1 {
                    let found = ids.find(build(n)).filter(|slot| slots.get(*slot as usize) == Some(&n));
                    prop_assert_eq!(found, known.get(&n).copied());
                }
                let present: usize = ids.leaves.iter().map(|leaf| leaf.present).sum();
                prop_assert_eq!(present, known.len());
                let sound = |leaf: &Leaf| leaf.present > 0 && leaf.entries.len() <= LARGEST && leaf.present >= leaf.entries.len() / 4;
                prop_assert!(ids.leaves.iter().all(sound));
            }
        }
    }
}
