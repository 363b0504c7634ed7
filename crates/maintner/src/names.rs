//! Short texts that occur many times, each kept once: logins, people, labels, refs, zones.

use std::sync::Arc;

use crate::column::Column;
use crate::index::{Index, hash_bytes};

/// A text of [`Names`]; equal texts of one table are equal names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Name(u32);

impl Name {
    /// The empty text, which every table has.
    pub const EMPTY: Self = Self(0);

    /// The number of the name in its table; they count from 0.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }
}

/// Bytes of a block.
const BLOCK: usize = 1 << 16;

/// A table of texts. Copies share it, as those of a [`Column`].
#[derive(Debug, Clone)]
pub struct Names {
    blocks: Arc<Vec<Arc<Vec<u8>>>>,
    places: Column<Place>,
    index: Index,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    block: u32,
    start: u32,
    length: u32,
}

impl Default for Names {
    fn default() -> Self {
        let mut names = Self { blocks: Arc::default(), places: Column::default(), index: Index::default() };
        names.add(b"");
        names
    }
}

impl Names {
    /// The name of a text, which is added if it is new.
    pub fn add(&mut self, text: &[u8]) -> Name {
        let hash = hash_bytes(text);
        if let Some(number) = self.find(hash, text) {
            return Name(number);
        }
        let place = self.store(text);
        let number = self.places.push(place);
        self.index.insert(hash, number);
        Name(number)
    }

    /// The name of a text, if it is there.
    #[must_use]
    pub fn known(&self, text: &[u8]) -> Option<Name> {
        self.find(hash_bytes(text), text).map(Name)
    }

    #[inline]
    fn find(&self, hash: u64, text: &[u8]) -> Option<u32> {
        self.index.find(hash, |number| self.at(*self.places.get(number)) == text)
    }

    fn store(&mut self, text: &[u8]) -> Place {
        let blocks = Arc::make_mut(&mut self.blocks);
        let room = blocks.last().map_or(0, |last| BLOCK.saturating_sub(last.len()));
        if blocks.is_empty() || room < text.len() {
            blocks.push(Arc::new(Vec::with_capacity(BLOCK.max(text.len()))));
        }
        let block = blocks.len() - 1;
        let last = Arc::make_mut(&mut blocks[block]);
        let start = last.len();
        last.extend_from_slice(text);
        // A record, and so a text in it, is shorter than 2^32 by the limit of the log; so are blocks and their number.
        let number = |size: usize| u32::try_from(size).expect("texts of a log are shorter than 4 GiB");
        Place { block: number(block), start: number(start), length: number(text.len()) }
    }

    fn at(&self, place: Place) -> &[u8] {
        let start = place.start as usize;
        &self.blocks[place.block as usize][start..start + place.length as usize]
    }

    /// The text of a name of this table.
    #[inline]
    #[must_use]
    pub fn text(&self, name: Name) -> &[u8] {
        self.at(*self.places.get(name.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_are_one_name() {
        let mut names = Names::default();
        let long = vec![b'x'; BLOCK + 1];
        let (ann, bob, large) = (names.add(b"Ann"), names.add(b"Bob"), names.add(&long));
        let copy = names.clone();
        let later = names.add(b"later");
        assert_eq!((names.add(b"Ann"), names.add(b""), names.add(&long)), (ann, Name::EMPTY, large));
        assert_ne!(ann, bob);
        assert_eq!(
            (names.text(bob), names.text(large), names.text(later)),
            (&b"Bob"[..], &long[..], &b"later"[..])
        );
        assert_eq!((names.known(b"later"), copy.known(b"later")), (Some(later), None));
    }
}
