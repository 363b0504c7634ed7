//! From a key to the number of an element of a [`Column`](crate::column::Column), which holds the key.
//!
//! An open table of flat slots, in shards that copies share. The table knows no keys: who asks brings their hash and compares.
//! (hashbrown's `HashTable` would do, but for two things: a copy of it copies all, and its memory can't be a mapped file.)

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use foldhash::SharedSeed;
use foldhash::quality::SeedableRandomState;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::ahead;
use crate::column::NONE;
use crate::mapped::Part;
use crate::section::{Sections, Unfit};

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
    /// A power of two of them, or none.
    slots: Slots,
    used: usize,
}

/// Slots of this process or of a mapped file.
#[derive(Debug)]
enum Slots {
    Own(Vec<Slot>),
    Mapped(Part),
}

/// How large a shard is, in a checkpoint.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Size {
    slots: u32,
    used: u32,
}

/// Half of the hash, and the number; [`NONE`] where the slot is free.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Slot {
    hash: u32,
    number: u32,
}

const FREE: Slot = Slot { hash: 0, number: NONE };

impl Slots {
    #[inline]
    fn all(&self) -> &[Slot] {
        match self {
            Self::Own(all) => all,
            // Cut so that they fit.
            Self::Mapped(part) => <[Slot]>::ref_from_bytes(part).unwrap_or_default(),
        }
    }

    /// To be changed: what was mapped is copied.
    fn own(&mut self) -> &mut [Slot] {
        if let Self::Mapped(_) = self {
            *self = self.clone();
        }
        match self {
            Self::Own(all) => all,
            Self::Mapped(_) => unreachable!("a copy is in memory"),
        }
    }
}

impl Clone for Slots {
    fn clone(&self) -> Self {
        Self::Own(self.all().to_vec())
    }
}

impl Default for Slots {
    fn default() -> Self {
        Self::Own(Vec::new())
    }
}

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

    /// Asks for the memory where a hash is going to be looked for.
    #[inline]
    pub fn soon(&self, hash: u64) {
        let hash = low(hash);
        let slots = self.shards[shard(hash, self.shards.len())].slots.all();
        if let Some(mask) = slots.len().checked_sub(1) {
            ahead::ask(&slots[hash as usize & mask..]);
        }
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

    /// Is two sections of a checkpoint: how large the shards are, and their slots.
    pub(crate) fn section(&mut self, sections: &mut dyn Sections) -> Result<(), Unfit> {
        let number = |size: usize| u32::try_from(size).map_err(|_| Unfit::Spoilt("a table"));
        let mut sizes = Vec::with_capacity(self.shards.len());
        for shard in self.shards.iter() {
            sizes.push(Size { slots: number(shard.slots.all().len())?, used: number(shard.used)? });
        }
        let Some(sizes) = sections.section(size_of::<Size>(), &mut [sizes.as_bytes()].into_iter())? else {
            sections.section(
                size_of::<Slot>(),
                &mut self.shards.iter().map(|shard| shard.slots.all().as_bytes()),
            )?;
            return Ok(());
        };
        let Some(mut slots) = sections.section(size_of::<Slot>(), &mut std::iter::empty())? else {
            return Err(Unfit::Spoilt("a table"));
        };
        let mut index = Self { shards: Arc::default(), used: 0 };
        let mut shards = Vec::new();
        for size in <[Size]>::ref_from_bytes(&sizes).unwrap_or_default() {
            let part = slots.take(size.slots as usize * size_of::<Slot>());
            let whole = part.len() == size.slots as usize * size_of::<Slot>();
            let fits = size.slots == 0 || size.slots.is_power_of_two();
            if !whole || !fits || u64::from(size.used) * 4 > u64::from(size.slots) * 3 {
                return Err(Unfit::Spoilt("a table"));
            }
            index.used += size.used as usize;
            shards.push(Arc::new(Shard { slots: Slots::Mapped(part), used: size.used as usize }));
        }
        if !shards.len().is_power_of_two() || !slots.is_empty() {
            return Err(Unfit::Spoilt("a table"));
        }
        index.shards = Arc::new(shards);
        *self = index;
        Ok(())
    }

    fn split(&mut self) {
        let shards = self.shards.len() * 2;
        let halves = self.shards.iter().flat_map(|whole| {
            // Each half begins as large as the whole needs to be now: none grows soon after.
            let whole = whole.slots.all();
            let mut halves = [Shard::of(whole.len()), Shard::of(whole.len())];
            for slot in whole.iter().filter(|slot| slot.number != NONE) {
                halves[shard(slot.hash, shards) % 2].insert(*slot);
            }
            halves.map(Arc::new)
        });
        self.shards = Arc::new(halves.collect());
    }
}

impl Shard {
    fn of(size: usize) -> Self {
        Self { slots: Slots::Own(vec![FREE; size]), used: 0 }
    }

    #[inline]
    fn find(&self, hash: u32, same: impl Fn(u32) -> bool) -> Option<u32> {
        let slots = self.slots.all();
        let mask = slots.len().checked_sub(1)?;
        let mut at = hash as usize & mask;
        // A shard is never full, so there is a free slot to end at; in a file that was spoilt, there is an end nevertheless.
        for _ in 0..=mask {
            let slot = slots[at];
            if slot.number == NONE {
                return None;
            }
            if slot.hash == hash && same(slot.number) {
                return Some(slot.number);
            }
            at = (at + 1) & mask;
        }
        None
    }

    fn insert(&mut self, slot: Slot) {
        // At most three quarters are used.
        if (self.used + 1) * 4 > self.slots.all().len() * 3 {
            self.grow();
        }
        place(self.slots.own(), slot);
        self.used += 1;
    }

    fn grow(&mut self) {
        let mut larger = vec![FREE; (self.slots.all().len() * 2).max(SMALLEST)];
        for slot in self.slots.all().iter().filter(|slot| slot.number != NONE) {
            place(&mut larger, *slot);
        }
        self.slots = Slots::Own(larger);
    }
}

/// Puts a number into the first free slot for its hash. One is free.
fn place(slots: &mut [Slot], slot: Slot) {
    let mask = slots.len() - 1;
    let mut at = slot.hash as usize & mask;
    // Of a file that was spoilt none may be free: then one goes that is wrong anyway.
    for _ in 0..mask {
        if slots[at].number == NONE {
            break;
        }
        at = (at + 1) & mask;
    }
    slots[at] = slot;
}

/// What hashes begin with. Whoever writes into a log can't choose keys that fall into one slot; a checkpoint has the seed of
/// its tables.
#[derive(Debug, Clone, Copy)]
pub struct Seed {
    from: u64,
    shared: &'static SharedSeed,
}

/// The seeds of this process by what they were made from, one and that of each checkpoint: they stay.
static SEEDS: Mutex<BTreeMap<u64, &'static SharedSeed>> = Mutex::new(BTreeMap::new());

/// Of this process, for tables that are made anew.
static OWN: LazyLock<Seed> =
    LazyLock::new(|| Seed::of(std::collections::hash_map::RandomState::new().build_hasher().finish()));

impl Default for Seed {
    fn default() -> Self {
        *OWN
    }
}

impl Seed {
    /// The seed that is made from this number.
    #[must_use]
    pub fn of(from: u64) -> Self {
        let mut seeds = SEEDS.lock().unwrap_or_else(PoisonError::into_inner);
        let shared = seeds.entry(from).or_insert_with(|| Box::leak(Box::new(SharedSeed::from_u64(from))));
        Self { from, shared }
    }

    /// What it was made from.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.from
    }

    /// The hash of bytes.
    #[inline]
    #[must_use]
    pub fn bytes(self, bytes: &[u8]) -> u64 {
        let mut hasher = SeedableRandomState::with_seed(self.from, self.shared).build_hasher();
        hasher.write(bytes);
        hasher.finish()
    }

    /// The hash of a pair of numbers.
    #[inline]
    #[must_use]
    pub fn pair(self, first: u32, second: u32) -> u64 {
        self.wide(u64::from(first), u64::from(second))
    }

    /// The hash of an id within what has a number.
    #[inline]
    #[must_use]
    pub fn within(self, owner: u32, id: i64) -> u64 {
        self.wide(u64::from(owner), id.cast_unsigned())
    }

    /// The hash of an id.
    #[inline]
    #[must_use]
    pub fn id(self, id: i64) -> u64 {
        self.wide(0, id.cast_unsigned())
    }

    #[inline]
    fn wide(self, first: u64, second: u64) -> u64 {
        let mut hasher = SeedableRandomState::with_seed(self.from, self.shared).build_hasher();
        hasher.write_u64(first);
        hasher.write_u64(second);
        hasher.finish()
    }
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
            (0..1000u64).map(|number| Seed::default().wide(number, 0xc0ac_29b7_c97c_50dd)).collect();
        assert!(hashes.len() > 990, "{}", hashes.len());
    }

    #[test]
    fn many_keys_are_found_after_many_splits() {
        let mut index = Index::default();
        let count = 40 * u32::try_from(FULL).unwrap();
        for number in 0..count {
            index.insert(Seed::default().pair(1, number), number);
        }
        assert_eq!(index.shards.len(), 64, "forty times what one has, in a power of two");
        assert!((0..count).all(
            |number| index.find(Seed::default().pair(1, number), |found| found == number) == Some(number)
        ));
        assert_eq!(index.find(Seed::default().pair(2, 0), |_| false), None);
    }

    proptest! {
        #[test]
        fn it_is_a_map_and_its_copy_stays(keys in proptest::collection::vec(any::<u16>(), 0..600)) {
            let (mut index, mut map, mut column) = (Index::default(), BTreeMap::new(), Vec::new());
            let mut copy = None;
            for (nth, key) in keys.iter().enumerate() {
                let hash = Seed::default().bytes(&key.to_le_bytes());
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
                    let hash = Seed::default().bytes(&key.to_le_bytes());
                    prop_assert_eq!(index.find(hash, |number| column[number as usize] == *key), map.get(key).copied());
                }
            }
        }
    }
}
