//! Builds in their order, made for a million of them: a tree of two levels whose leaves are large and sorted only when they
//! are read.
//!
//! What lands anywhere in the order, as most of what is queued does, is put at the end of a leaf. The ends of all leaves stay
//! in the processor's caches, which the nodes of a tree of small nodes do not; docs/performance.md has the figures.

use std::collections::VecDeque;

use super::items::Rank;

/// The most entries of a leaf; it is halved then.
const LARGEST: usize = if cfg!(test) { 8 } else { 512 };
/// A leaf that shrinks below a quarter of its room gives half of it back, if it is larger than this.
const SMALL: usize = 64;

/// An ordered set.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// None is empty.
    leaves: VecDeque<Leaf>,
    len: usize,
}

#[derive(Debug)]
struct Leaf {
    /// No entry of this leaf comes before it, and each entry of the leaf before does. Of the first leaf it says nothing.
    least: Rank,
    entries: Vec<Rank>,
    /// Whether the entries are in order, the last one first, so that the first one is taken from the end.
    sorted: bool,
}

impl Leaf {
    fn sort(&mut self) {
        if !self.sorted {
            self.entries.sort_unstable_by(|one, other| other.cmp(one));
            self.sorted = true;
        }
    }

    /// Where the entry is, or would be, in a leaf that is sorted.
    fn search(&self, rank: &Rank) -> Result<usize, usize> {
        self.entries.binary_search_by(|entry| rank.cmp(entry))
    }

    fn position(&self, rank: &Rank) -> Option<usize> {
        if self.sorted { self.search(rank).ok() } else { self.entries.iter().position(|entry| entry == rank) }
    }

    /// Leaves the earlier half here and returns the later one.
    fn split(&mut self) -> Leaf {
        let middle = self.entries.len() / 2;
        if !self.sorted {
            self.entries.select_nth_unstable_by(middle, |one, other| other.cmp(one));
        }
        let least = self.entries[middle];
        let mut entries = Vec::with_capacity(LARGEST);
        entries.extend(self.entries.drain(..=middle));
        Leaf { least, entries, sorted: self.sorted }
    }
}

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The leaf whose range the entry is in.
    fn leaf_of(&self, rank: &Rank) -> usize {
        self.leaves.partition_point(|leaf| leaf.least <= *rank).saturating_sub(1)
    }

    /// Adds an entry that is not there yet.
    pub(super) fn insert(&mut self, rank: Rank) {
        self.len += 1;
        let at = self.leaf_of(&rank);
        let Some(leaf) = self.leaves.get_mut(at) else {
            self.leaves.push_back(Leaf { least: rank, entries: vec![rank], sorted: true });
            return;
        };
        if leaf.sorted && at == 0 {
            // This leaf is being read; a later one will be sorted when it is.
            let place = leaf.search(&rank).unwrap_or_else(|place| place);
            leaf.entries.insert(place, rank);
        } else {
            leaf.entries.push(rank);
            leaf.sorted = false;
        }
        if leaf.entries.len() >= LARGEST {
            let later = leaf.split();
            self.leaves.insert(at + 1, later);
        }
    }

    /// Takes an entry out. Returns whether it was there.
    pub(super) fn remove(&mut self, rank: &Rank) -> bool {
        let at = self.leaf_of(rank);
        let Some(leaf) = self.leaves.get_mut(at) else { return false };
        let Some(place) = leaf.position(rank) else { return false };
        if leaf.sorted {
            leaf.entries.remove(place);
        } else {
            leaf.entries.swap_remove(place);
        }
        self.len -= 1;
        if leaf.entries.is_empty() {
            self.leaves.remove(at);
        } else if leaf.entries.capacity() > SMALL && leaf.entries.len() < leaf.entries.capacity() / 4 {
            leaf.entries.shrink_to(leaf.entries.capacity() / 2);
        }
        true
    }

    /// The first entry after this one, or the first of all.
    pub(super) fn after(&mut self, rank: Option<&Rank>) -> Option<Rank> {
        let Some(rank) = rank else {
            let leaf = self.leaves.front_mut()?;
            leaf.sort();
            return leaf.entries.last().copied();
        };
        let at = self.leaf_of(rank);
        let leaf = self.leaves.get_mut(at)?;
        leaf.sort();
        // All that stand before the place are later.
        let place = leaf.search(rank).unwrap_or_else(|place| place);
        if let Some(next) = place.checked_sub(1) {
            return leaf.entries.get(next).copied();
        }
        let leaf = self.leaves.get_mut(at + 1)?;
        leaf.sort();
        leaf.entries.last().copied()
    }

    /// How many entries come before this one.
    pub(super) fn before(&self, rank: &Rank) -> usize {
        let at = self.leaf_of(rank);
        let whole: usize = self.leaves.iter().take(at).map(|leaf| leaf.entries.len()).sum();
        let part = self.leaves.get(at).map(|leaf| leaf.entries.iter().filter(|entry| *entry < rank).count());
        whole + part.unwrap_or_default()
    }

    /// All entries in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = Rank> + '_ {
        self.leaves.iter().flat_map(|leaf| {
            let mut entries = leaf.entries.clone();
            entries.sort_unstable();
            entries
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::ops::Bound::{Excluded, Unbounded};

    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone, Copy)]
    enum Deed {
        Insert(u16),
        Remove(u16),
        RemoveNth(usize),
        Pop,
        After(u16),
        Before(u16),
    }

    fn deed() -> impl Strategy<Value = Deed> {
        // Few numbers, so that many are met again.
        let number = || 0u16..400;
        prop_oneof![
            6 => number().prop_map(Deed::Insert),
            1 => number().prop_map(Deed::Remove),
            2 => (0usize..400).prop_map(Deed::RemoveNth),
            2 => Just(Deed::Pop),
            2 => number().prop_map(Deed::After),
            1 => number().prop_map(Deed::Before),
        ]
    }

    proptest! {
        #[test]
        fn it_is_an_ordered_set(deeds in proptest::collection::vec(deed(), 1..400)) {
            let mut queue = Queue::default();
            let mut known = BTreeSet::new();
            for deed in deeds {
                match deed {
                    Deed::Insert(number) => {
                        let rank = Rank::numbered(number);
                        if known.insert(rank) {
                            queue.insert(rank);
                        }
                    }
                    Deed::Remove(number) => {
                        let rank = Rank::numbered(number);
                        prop_assert_eq!(queue.remove(&rank), known.remove(&rank));
                    }
                    Deed::RemoveNth(nth) => {
                        if let Some(rank) = known.iter().nth(nth % known.len().max(1)).copied() {
                            known.remove(&rank);
                            prop_assert!(queue.remove(&rank));
                        }
                    }
                    Deed::Pop => {
                        let first = queue.after(None);
                        prop_assert_eq!(first, known.pop_first());
                        prop_assert!(first.is_none_or(|first| queue.remove(&first)));
                    }
                    Deed::After(number) => {
                        let rank = Rank::numbered(number);
                        let next = known.range((Excluded(rank), Unbounded)).next().copied();
                        prop_assert_eq!(queue.after(Some(&rank)), next);
                        prop_assert_eq!(queue.after(None), known.first().copied());
                    }
                    Deed::Before(number) => {
                        let rank = Rank::numbered(number);
                        prop_assert_eq!(queue.before(&rank), known.range(..rank).count());
                    }
                }
                prop_assert_eq!(queue.len(), known.len());
                prop_assert_eq!(queue.is_empty(), known.is_empty());
                prop_assert!(queue.leaves.iter().all(|leaf| !leaf.entries.is_empty() && leaf.entries.len() < LARGEST));
            }
            prop_assert!(queue.iter().eq(known.iter().copied()));
        }
    }
}
