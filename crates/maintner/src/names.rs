//! Short texts that occur many times, each kept once: logins, people, labels, refs, zones.

use std::sync::Arc;

use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::column::Column;
use crate::index::{Index, Seed};
use crate::mapped::Part;
use crate::section::{Sections, Unfit};

/// A text of [`Names`]; equal texts of one table are equal names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable)]
#[repr(transparent)]
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

/// Texts one behind the other, of this process or of a mapped file. Of what is mapped none is appended to.
#[derive(Debug, Clone)]
enum Block {
    Own(Vec<u8>),
    Mapped(Part),
}

impl Block {
    #[inline]
    fn all(&self) -> &[u8] {
        match self {
            Self::Own(all) => all,
            Self::Mapped(part) => part,
        }
    }

    fn room(&self) -> usize {
        match self {
            Self::Own(all) => BLOCK.saturating_sub(all.len()),
            Self::Mapped(_) => 0,
        }
    }
}

/// A table of texts. Copies share it, as those of a [`Column`].
#[derive(Debug, Clone)]
pub struct Names {
    seed: Seed,
    blocks: Arc<Vec<Arc<Block>>>,
    places: Column<Place>,
    index: Index,
}

#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Place {
    block: u32,
    start: u32,
    length: u32,
}

impl Default for Names {
    fn default() -> Self {
        let mut names = Self {
            seed: Seed::default(),
            blocks: Arc::default(),
            places: Column::default(),
            index: Index::default(),
        };
        names.add(b"");
        names
    }
}

impl Names {
    /// The name of a text, which is added if it is new.
    pub fn add(&mut self, text: &[u8]) -> Name {
        let hash = self.seed.bytes(text);
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
        self.find(self.seed.bytes(text), text).map(Name)
    }

    #[inline]
    fn find(&self, hash: u64, text: &[u8]) -> Option<u32> {
        self.index.find(hash, |number| self.at(*self.places.get(number)) == text)
    }

    fn store(&mut self, text: &[u8]) -> Place {
        let blocks = Arc::make_mut(&mut self.blocks);
        if blocks.last().is_none_or(|last| last.room() < text.len() || matches!(**last, Block::Mapped(_))) {
            blocks.push(Arc::new(Block::Own(Vec::with_capacity(BLOCK.max(text.len())))));
        }
        let block = blocks.len() - 1;
        let mut start = 0;
        if let Block::Own(last) = Arc::make_mut(&mut blocks[block]) {
            start = last.len();
            last.extend_from_slice(text);
        }
        // A record, and so a text in it, is shorter than 2^32 by the limit of the log; so are blocks and their number.
        let number = |size: usize| u32::try_from(size).expect("texts of a log are shorter than 4 GiB");
        Place { block: number(block), start: number(start), length: number(text.len()) }
    }

    fn at(&self, place: Place) -> &[u8] {
        let start = place.start as usize;
        &self.blocks[place.block as usize].all()[start..start + place.length as usize]
    }

    /// Is sections of a checkpoint whose tables have this seed.
    pub(crate) fn section(&mut self, seed: Seed, sections: &mut dyn Sections) -> Result<(), Unfit> {
        self.seed = seed;
        self.places.section(sections)?;
        self.index.section(sections)?;
        let lengths: Vec<u64> = self.blocks.iter().map(|block| block.all().len() as u64).collect();
        let lengths = sections.section(size_of::<u64>(), &mut [lengths.as_bytes()].into_iter())?;
        let blocks = sections.section(1, &mut self.blocks.iter().map(|block| block.all()))?;
        if let (Some(lengths), Some(mut bytes)) = (lengths, blocks) {
            let mut blocks = Vec::new();
            for length in <[u64]>::ref_from_bytes(&lengths).unwrap_or_default() {
                let part = bytes.take(usize::try_from(*length).unwrap_or(usize::MAX));
                if part.len() as u64 != *length {
                    return Err(Unfit::Spoilt("names"));
                }
                blocks.push(Arc::new(Block::Mapped(part)));
            }
            self.blocks = Arc::new(blocks);
        }
        Ok(())
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
