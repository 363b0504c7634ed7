//! What an issue has by ids: comments, events, reviews.
//!
//! Nearly all of them come in the order of their ids, and few to an issue. So the last one of a list has the greatest id, by
//! which a new one is known, others are looked for along the list, and only what is in a long one is in a table.

use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::Number;
use super::chain::{Chain, Chained};
use crate::column::{Column, NONE};
use crate::index::{Index, Seed};

/// What a list may have before its elements are in the table.
const SHORT: u32 = 64;

/// An element of a list.
pub(super) trait Listed: Chained {
    /// Issue and id.
    fn key(&self) -> (Number, i64);
}

macro_rules! listed {
    ($($element:ty),*) => {$(
        impl Listed for $element {
            fn key(&self) -> (Number, i64) {
                (self.issue, self.id)
            }
        }
    )*};
}
pub(super) use listed;

/// A chain, the last element of which has the greatest id.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub struct List {
    chain: Chain,
    length: u32,
}

impl List {
    /// The element of that issue and id.
    #[inline]
    pub(super) fn find<T: Listed>(
        self,
        seed: Seed,
        column: &Column<T>,
        table: &Index,
        key: (Number, i64),
    ) -> Option<Number> {
        let last = self.chain.last();
        if last == NONE || column.get(last).key().1 < key.1 {
            return None;
        }
        if self.length > SHORT {
            return table.find(seed.within(key.0, key.1), |number| column.get(number).key() == key);
        }
        let mut at = self.chain.first();
        for _ in 0..self.length {
            if at == NONE {
                break;
            }
            let element = column.get(at);
            if element.key() == key {
                return Some(at);
            }
            at = element.next();
        }
        None
    }

    /// Adds an element that is not there.
    pub(super) fn add<T: Listed>(
        &mut self,
        seed: Seed,
        column: &mut Column<T>,
        table: &mut Index,
        element: T,
    ) -> Number {
        let last = self.chain.last();
        let greatest = last == NONE || column.get(last).key().1 < element.key().1;
        let number = column.push(element);
        if greatest {
            self.chain.append(column, number);
        } else {
            self.chain.prepend(column, number);
        }
        self.length = self.length.saturating_add(1);
        let mut tabled = |number: Number, element: &T| {
            let (issue, id) = element.key();
            table.insert(seed.within(issue, id), number);
        };
        if self.length > SHORT + 1 {
            tabled(number, column.get(number));
        } else if self.length > SHORT {
            let mut at = self.chain.first();
            for _ in 0..self.length {
                if at == NONE {
                    break;
                }
                let element = column.get(at);
                tabled(at, element);
                at = element.next();
            }
        }
        number
    }

    /// Its elements, in no order that means anything.
    pub(super) fn walk<T: Listed>(self, column: &Column<T>) -> impl Iterator<Item = &T> {
        self.chain.walk(column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
    #[repr(C)]
    struct Bead {
        id: i64,
        issue: Number,
        next: Number,
    }
    super::super::chain::chained!(Bead);
    listed!(Bead);

    /// Few, so that some come twice; and all others, of which the least and the greatest come often.
    fn id() -> impl Strategy<Value = i64> {
        let ends = prop::sample::select(vec![i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX - 1, i64::MAX]);
        prop_oneof![4 => -100i64..100, 1 => ends, 2 => any::<i64>()]
    }

    proptest! {
        #[test]
        fn what_was_added_is_found_in_whatever_order_it_came(ids in proptest::collection::vec(id(), 0..300)) {
            let (mut column, mut table, seed) = (Column::<Bead>::default(), Index::default(), Seed::default());
            let (mut lists, mut known) = ([List::default(); 2], BTreeSet::new());
            for (nth, id) in ids.into_iter().enumerate() {
                // Of the second one there are few.
                let issue = u32::from(nth % 7 == 0);
                let list = &mut lists[issue as usize];
                let found = list.find(seed, &column, &table, (issue, id));
                prop_assert_eq!(found.is_none(), known.insert((issue, id)));
                if let Some(found) = found {
                    prop_assert_eq!(column.get(found).key(), (issue, id));
                } else {
                    list.add(seed, &mut column, &mut table, Bead { id, issue, next: NONE });
                }
            }
            let walked: BTreeSet<_> = lists.iter().flat_map(|list| list.walk(&column)).map(Listed::key).collect();
            prop_assert_eq!(walked.len(), column.len());
            prop_assert!(walked.iter().all(|key| lists[key.0 as usize].find(seed, &column, &table, *key).is_some()));
            prop_assert_eq!(walked, known);
        }
    }
}
