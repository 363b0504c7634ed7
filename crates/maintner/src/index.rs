//! From a key to the number of an element of a [`Column`](crate::column::Column), which holds the key.
//!
//! An open table of flat slots, in shards that copies share. The table knows no keys: who asks brings their hash and compares.
//! (hashbrown's `HashTable` would do, but for two things: a copy of it copies all, and its memory can't be a mapped file.)

use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::{Arc, LazyLock};

use foldhash::quality::RandomState;

use crate::column::NONE;

/// Keys that a shard has on average before all are split in two: so few large pieces of memory are asked for, and a change
/// after a copy costs one of them.
const FULL: usize = 5800;
/// Slots of a shard when the first key arrives.
const SMALLEST: usize = 64;

/// A table of numbers by the hash of what they number.
#[derive(Debug, Clone)]
pub struct Index {
    /// A power of two of them; the high bits of the hash say which.
    shards: Arc<Vec<Arc<Shard>>>,
    used: usize,
}

#[derive(Debug, Clone, Default)]
struct Shard {
    slots: Vec<Slot>,
    used: usize,
}

/// Half of the hash, and the number; [`NONE`] where the slot is free.
#[derive(Debug, Clone, Copy)]
struct Slot {
    hash: u32,
    number: u32,
}

const FREE: Slot = Slot { hash: 0, number: NONE };

impl Default for Index {
    fn default() -> Self {
        Self { shards: Arc::new(vec![Arc::default()]), used: 0 }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the low half of the hash is what is asked for")]
const fn low(hash: u64) -> u32 {
    hash as u32
}

/// Which of `shards` a hash belongs to.
#[inline]
const fn shard(hash: u32, shards: usize) -> usize {
    // Of one shard all bits would be shifted out, which a number of 32 bits can't do.
    ((hash as u64) >> (32 - shards.trailing_zeros())) as usize
}

impl Index {
    /// The number under that hash of which `same` is true.
    #[inline]
    pub fn find(&self, hash: u64, same: impl Fn(u32) -> bool) -> Option<u32> {
        let hash = low(hash);
        self.shards[shard(hash, self.shards.len())].find(hash, same)
    }

    /// Adds a number under a hash. That its key is not there is the caller's to know.
    #[inline]
    pub fn insert(&mut self, hash: u64, number: u32) {
        let hash = low(hash);
        if self.used >= self.shards.len() * FULL {
            self.split();
        }
        self.used += 1;
        let shards = Arc::make_mut(&mut self.shards);
        let at = shard(hash, shards.len());
        Arc::make_mut(&mut shards[at]).insert(Slot { hash, number });
    }

    fn split(&mut self) {
        let shards = self.shards.len() * 2;
        let halves = self.shards.iter().flat_map(|whole| {
            // Each half begins as large as the whole needs to be now: none grows soon after.
            let mut halves = [Shard::of(whole.slots.len()), Shard::of(whole.slots.len())];
            for slot in whole.slots.iter().filter(|slot| slot.number != NONE) {
                halves[shard(slot.hash, shards) % 2].insert(*slot);
            }
            halves.map(Arc::new)
        });
        self.shards = Arc::new(halves.collect());
    }
}

impl Shard {
    fn of(size: usize) -> Self {
        Self { slots: vec![FREE; size], used: 0 }
    }

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

    fn insert(&mut self, slot: Slot) {
        // At most three quarters are used.
        if (self.used + 1) * 4 > self.slots.len() * 3 {
            self.grow();
        }
        self.place(slot);
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
        let larger = Self::of((self.slots.len() * 2).max(SMALLEST));
        let before = std::mem::replace(&mut self.slots, larger.slots);
        for slot in before.into_iter().filter(|slot| slot.number != NONE) {
            self.place(slot);
        }
    }
}

/// Of this process: whoever writes into a log can't choose keys that fall into one slot.
static SEED: LazyLock<RandomState> = LazyLock::new(RandomState::default);

/// The hash of bytes.
#[inline]
#[must_use]
pub fn hash_bytes(bytes: &[u8]) -> u64 {
    let mut hasher = SEED.build_hasher();
    hasher.write(bytes);
    hasher.finish()
}

/// The hash of a pair of numbers.
#[inline]
#[must_use]
pub fn hash_pair(first: u64, second: u64) -> u64 {
    let mut hasher = SEED.build_hasher();
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

    /// With a seed that is known these were one: foldhash multiplies by nothing for them.
    #[test]
    fn keys_that_were_chosen_to_fall_together_do_not() {
        let hashes: std::collections::BTreeSet<u64> =
            (0..1000u64).map(|number| hash_pair(number, 0xc0ac_29b7_c97c_50dd)).collect();
        assert!(hashes.len() > 990, "{}", hashes.len());
    }

    #[test]
    fn many_keys_are_found_after_many_splits() {
        let mut index = Index::default();
        let count = 40 * u32::try_from(FULL).unwrap();
        for number in 0..count {
            index.insert(hash_pair(1, u64::from(number)), number);
        }
        assert_eq!(index.shards.len(), 64, "forty times what one has, in a power of two");
        assert!((0..count).all(
            |number| index.find(hash_pair(1, u64::from(number)), |found| found == number) == Some(number)
        ));
        assert_eq!(index.find(hash_pair(2, 0), |_| false), None);
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
