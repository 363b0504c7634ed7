//! From a key to the number of an element of a [`Column`](crate::column::Column), which holds the key.
//!
//! An open table of flat slots, in shards that copies share. The table knows no keys: who asks brings their hash and compares.
//! (hashbrown's `HashTable` would do, but for two things: a copy of it copies all, and its memory can't be a mapped file.)

use std::sync::Arc;

use crate::column::NONE;

/// Shards; a change after a copy costs one of them.
const SHARDS: usize = 256;
/// Slots of a shard when the first key arrives.
const SMALLEST: usize = 8;

/// A table of numbers by the hash of what they number.
#[derive(Debug, Clone)]
pub struct Index {
    shards: Arc<Vec<Arc<Shard>>>,
}

#[derive(Debug, Clone, Default)]
struct Shard {
    slots: Vec<Slot>,
    used: usize,
}

/// The low half of the hash, and the number; [`NONE`] where the slot is free.
#[derive(Debug, Clone, Copy)]
struct Slot {
    hash: u32,
    number: u32,
}

impl Default for Index {
    fn default() -> Self {
        Self { shards: Arc::new(vec![Arc::default(); SHARDS]) }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the low half of the hash is what is asked for")]
const fn low(hash: u64) -> u32 {
    hash as u32
}

const fn shard(hash: u64) -> usize {
    (hash >> 56) as usize
}

impl Index {
    /// The number under that hash of which `same` is true.
    #[inline]
    pub fn find(&self, hash: u64, same: impl Fn(u32) -> bool) -> Option<u32> {
        self.shards[shard(hash)].find(low(hash), same)
    }

    /// Adds a number under a hash. That its key is not there is the caller's to know.
    #[inline]
    pub fn insert(&mut self, hash: u64, number: u32) {
        let shards = Arc::make_mut(&mut self.shards);
        Arc::make_mut(&mut shards[shard(hash)]).insert(low(hash), number);
    }
}

impl Shard {
    #[inline]
    fn find(&self, hash: u32, same: impl Fn(u32) -> bool) -> Option<u32> {
        let mask = self.slots.len().checked_sub(1)?;
        let mut at = hash as usize & mask;
        // A shard is never full, so there is a free slot to end at.
        loop {
            let slot = self.slots[at];
            if slot.number == NONE {
                return None;
            }
            if slot.hash == hash && same(slot.number) {
                return Some(slot.number);
            }
            at = (at + 1) & mask;
        }
    }

    fn insert(&mut self, hash: u32, number: u32) {
        // At most three quarters are used.
        if (self.used + 1) * 4 > self.slots.len() * 3 {
            self.grow();
        }
        self.place(Slot { hash, number });
        self.used += 1;
    }

    fn place(&mut self, slot: Slot) {
        let mask = self.slots.len() - 1;
        let mut at = slot.hash as usize & mask;
        while self.slots[at].number != NONE {
            at = (at + 1) & mask;
        }
        self.slots[at] = slot;
    }

    fn grow(&mut self) {
        let free = Slot { hash: 0, number: NONE };
        let size = (self.slots.len() * 2).max(SMALLEST);
        let before = std::mem::replace(&mut self.slots, vec![free; size]);
        for slot in before.into_iter().filter(|slot| slot.number != NONE) {
            self.place(slot);
        }
    }
}

/// The hash of bytes. Not secret: who chooses keys can make them collide only within what one log holds, and pays for
/// each by a record of it.
#[inline]
#[must_use]
pub fn hash_bytes(bytes: &[u8]) -> u64 {
    use std::hash::{BuildHasher, Hasher};
    let mut hasher = foldhash::fast::FixedState::with_seed(0).build_hasher();
    hasher.write(bytes);
    hasher.finish()
}

/// The hash of a pair of numbers.
#[inline]
#[must_use]
pub fn hash_pair(first: u64, second: u64) -> u64 {
    use std::hash::{BuildHasher, Hasher};
    let mut hasher = foldhash::fast::FixedState::with_seed(1).build_hasher();
    hasher.write_u64(first);
    hasher.write_u64(second);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn equal_hashes_are_told_apart_by_the_key() {
        let mut index = Index::default();
        for number in 0..1000 {
            index.insert(42, number);
        }
        for number in 0..1000 {
            assert_eq!(index.find(42, |found| found == number), Some(number));
        }
        assert_eq!(index.find(42, |_| false), None);
        assert_eq!(index.find(43, |_| true), None);
    }

    proptest! {
        #[test]
        fn it_is_a_map_and_its_copy_stays(keys in proptest::collection::vec(any::<u16>(), 0..600)) {
            let (mut index, mut map, mut column) = (Index::default(), BTreeMap::new(), Vec::new());
            let mut copy = None;
            for (nth, key) in keys.iter().enumerate() {
                let hash = hash_bytes(&key.to_le_bytes());
                let found = index.find(hash, |number| column[number as usize] == *key);
                prop_assert_eq!(found, map.get(key).copied());
                if found.is_none() {
                    let number = u32::try_from(column.len()).unwrap();
                    column.push(*key);
                    index.insert(hash, number);
                    map.insert(*key, number);
                }
                if nth == keys.len() / 2 {
                    copy = Some((index.clone(), map.clone()));
                }
            }
            for (index, map) in copy.into_iter().chain([(index, map)]) {
                for key in &keys {
                    let hash = hash_bytes(&key.to_le_bytes());
                    prop_assert_eq!(index.find(hash, |number| column[number as usize] == *key), map.get(key).copied());
                }
            }
        }
    }
}
