//! What belongs to one issue, linked within the column of all of its kind: no list of its own for each of 70,000 issues.

use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::column::{Column, NONE, Plain};

use super::Number;

/// An element that knows the next one of its chain.
pub(super) trait Chained: Plain {
    fn next(&self) -> Number;
    fn set_next(&mut self, next: Number);
}

macro_rules! chained {
    ($($element:ty),*) => {$(
        impl Chained for $element {
            fn next(&self) -> Number {
                self.next
            }

            fn set_next(&mut self, next: Number) {
                self.next = next;
            }
        }
    )*};
}
pub(super) use chained;

/// A chain's ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub struct Chain {
    first: Number,
    last: Number,
}

impl Default for Chain {
    fn default() -> Self {
        Self { first: NONE, last: NONE }
    }
}

impl Chain {
    /// Appends an element that is in the column and in no chain.
    pub(super) fn append<T: Chained>(&mut self, column: &mut Column<T>, number: Number) {
        if self.first == NONE {
            self.first = number;
        } else {
            column.get_mut(self.last).set_next(number);
        }
        self.last = number;
    }

    /// Puts an element that is in the column and in no chain before all others.
    pub(super) fn prepend<T: Chained>(&mut self, column: &mut Column<T>, number: Number) {
        if self.last == NONE {
            self.last = number;
        }
        column.get_mut(number).set_next(self.first);
        self.first = number;
    }

    /// Its first element, [`NONE`] if it is empty.
    pub(super) const fn first(self) -> Number {
        self.first
    }

    /// Its last element, [`NONE`] if it is empty.
    pub(super) const fn last(self) -> Number {
        self.last
    }

    /// Takes out the first element of which `wanted` is true, and says which.
    pub(super) fn take<T: Chained>(
        &mut self,
        column: &mut Column<T>,
        wanted: impl Fn(&T) -> bool,
    ) -> Option<Number> {
        let (mut before, mut at) = (NONE, self.first);
        // A chain that comes back to itself, as only a spoilt file has it, ends.
        for _ in 0..column.len() {
            if at == NONE {
                break;
            }
            let element = column.get(at);
            let next = element.next();
            if wanted(element) {
                if before == NONE {
                    self.first = next;
                } else {
                    column.get_mut(before).set_next(next);
                }
                if self.last == at {
                    self.last = before;
                }
                return Some(at);
            }
            (before, at) = (at, next);
        }
        None
    }

    /// Its elements, in the order in which they were appended.
    pub(super) fn walk<T: Chained>(self, column: &Column<T>) -> impl Iterator<Item = &T> {
        let mut at = self.first;
        // As above.
        let elements = std::iter::from_fn(move || {
            if at == NONE {
                return None;
            }
            let element = column.get(at);
            at = element.next();
            Some(element)
        });
        elements.take(column.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
    #[repr(C)]
    struct Bead {
        value: u32,
        next: Number,
    }
    chained!(Bead);

    #[test]
    fn elements_are_appended_and_taken_at_both_ends_and_within() {
        let (mut column, mut chain) = (Column::default(), Chain::default());
        for value in 0..4 {
            let number = column.push(Bead { value, next: NONE });
            chain.append(&mut column, number);
        }
        let values = |chain: Chain, column: &Column<Bead>| {
            chain.walk(column).map(|bead| bead.value).collect::<Vec<_>>()
        };
        assert_eq!(values(chain, &column), [0, 1, 2, 3]);
        assert_eq!(chain.take(&mut column, |bead| bead.value == 2), Some(2));
        assert_eq!(chain.take(&mut column, |bead| bead.value == 0), Some(0));
        assert_eq!(chain.take(&mut column, |bead| bead.value == 3), Some(3));
        assert_eq!(chain.take(&mut column, |bead| bead.value == 3), None);
        assert_eq!(values(chain, &column), [1]);
        assert_eq!(chain.take(&mut column, |_| true), Some(1));
        assert_eq!(chain, Chain::default());
    }
}
