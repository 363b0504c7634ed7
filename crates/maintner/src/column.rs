//! A growing list in chunks that copies share: a copy costs one counter, and a change afterwards one chunk.
//!
//! So whoever has a copy sees one version of a corpus for as long as they like, and the writer never waits for them.

use std::marker::PhantomData;
use std::sync::Arc;

use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::mapped::Part;
use crate::section::{Sections, Unfit};

/// Elements of a chunk.
const CHUNK: usize = 2048;

/// Numbers of elements are 32 bits; this one means none.
pub const NONE: u32 = u32::MAX;

/// What is only its bytes, of which any are allowed: it lies in a mapped file as it does in memory.
pub trait Plain: Copy + FromBytes + IntoBytes + Immutable {}

impl<T: Copy + FromBytes + IntoBytes + Immutable> Plain for T {}

/// A list whose copies share what neither changed since.
#[derive(Debug, Clone)]
pub struct Column<T> {
    chunks: Arc<Vec<Arc<Chunk<T>>>>,
    length: usize,
}

/// Elements of this process or of a mapped file.
#[derive(Debug)]
enum Chunk<T> {
    Own(Vec<T>),
    Mapped(Part, PhantomData<T>),
}

impl<T: Plain> Chunk<T> {
    #[inline]
    fn all(&self) -> &[T] {
        match self {
            Self::Own(all) => all,
            // Cut so that they fit.
            Self::Mapped(part, _) => <[T]>::ref_from_bytes(part).unwrap_or_default(),
        }
    }

    /// To be changed: what was mapped is copied.
    fn own(&mut self) -> &mut Vec<T> {
        if let Self::Mapped(..) = self {
            *self = self.clone();
        }
        match self {
            Self::Own(all) => all,
            Self::Mapped(..) => unreachable!("a copy is in memory"),
        }
    }
}

impl<T: Plain> Clone for Chunk<T> {
    /// With room for what follows.
    fn clone(&self) -> Self {
        let mut all = Vec::with_capacity(CHUNK);
        all.extend_from_slice(self.all());
        Self::Own(all)
    }
}

impl<T> Default for Column<T> {
    fn default() -> Self {
        Self { chunks: Arc::default(), length: 0 }
    }
}

impl<T: Plain> Column<T> {
    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.length
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The number that the next one will have.
    ///
    /// # Panics
    /// When there are 2^32-1: what a log of some hundred gigabytes would hold.
    #[must_use]
    pub fn next(&self) -> u32 {
        u32::try_from(self.length).ok().filter(|&next| next != NONE).expect("a column of 2^32-1 elements")
    }

    /// Appends one and says its number.
    pub fn push(&mut self, element: T) -> u32 {
        let number = self.next();
        let chunks = Arc::make_mut(&mut self.chunks);
        if self.length.is_multiple_of(CHUNK) {
            chunks.push(Arc::new(Chunk::Own(Vec::with_capacity(CHUNK))));
        }
        let last = chunks.last_mut().expect("one was pushed where there was none with room");
        Arc::make_mut(last).own().push(element);
        self.length += 1;
        number
    }

    /// The one of that number.
    #[inline]
    #[must_use]
    pub fn get(&self, number: u32) -> &T {
        &self.chunks[number as usize / CHUNK].all()[number as usize % CHUNK]
    }

    /// The one of that number, to change it.
    #[inline]
    pub fn get_mut(&mut self, number: u32) -> &mut T {
        let chunks = Arc::make_mut(&mut self.chunks);
        &mut Arc::make_mut(&mut chunks[number as usize / CHUNK]).own()[number as usize % CHUNK]
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flat_map(|chunk| chunk.all())
    }

    /// All of them with their numbers.
    pub fn numbered(&self) -> impl Iterator<Item = (u32, &T)> {
        (0..).zip(self.iter())
    }

    /// Is a section of a checkpoint.
    pub(crate) fn section(&mut self, sections: &mut dyn Sections) -> Result<(), Unfit> {
        let mut pieces = self.chunks.iter().map(|chunk| chunk.all().as_bytes());
        if let Some(part) = sections.section(size_of::<T>(), &mut pieces)? {
            *self = Self::mapped(part);
        }
        Ok(())
    }

    fn mapped(mut part: Part) -> Self {
        let length = part.len() / size_of::<T>();
        let mut chunks = Vec::with_capacity(length.div_ceil(CHUNK));
        while !part.is_empty() {
            chunks.push(Arc::new(Chunk::Mapped(part.take(CHUNK * size_of::<T>()), PhantomData)));
        }
        Self { chunks: Arc::new(chunks), length }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_stays_as_it_was() {
        let mut column = Column::default();
        for number in 0..5000u32 {
            assert_eq!(column.push(number), number);
        }
        let copy = column.clone();
        *column.get_mut(4100) = 7;
        column.push(9);
        assert_eq!((copy.len(), column.len()), (5000, 5001));
        assert_eq!((*copy.get(4100), *column.get(4100), *column.get(5000)), (4100, 7, 9));
        assert!(copy.iter().copied().eq(0..5000));
        assert!(Arc::ptr_eq(&copy.chunks[0], &column.chunks[0]), "what did not change is shared");
        assert!(!Arc::ptr_eq(&copy.chunks[2], &column.chunks[2]));
    }
}
