//! A growing list in chunks that copies share: a copy costs one counter, and a change afterwards one chunk.
//!
//! So whoever has a copy sees one version of a corpus for as long as they like, and the writer never waits for them.

use std::sync::Arc;

/// Elements of a chunk.
const CHUNK: usize = 2048;

/// Numbers of elements are 32 bits; this one means none.
pub const NONE: u32 = u32::MAX;

/// A list whose copies share what neither changed since.
#[derive(Debug, Clone)]
pub struct Column<T> {
    chunks: Arc<Vec<Arc<Chunk<T>>>>,
    length: usize,
}

#[derive(Debug)]
struct Chunk<T>(Vec<T>);

impl<T: Copy> Clone for Chunk<T> {
    /// With room for what follows.
    fn clone(&self) -> Self {
        let mut all = Vec::with_capacity(CHUNK);
        all.extend_from_slice(&self.0);
        Self(all)
    }
}

impl<T> Default for Column<T> {
    fn default() -> Self {
        Self { chunks: Arc::default(), length: 0 }
    }
}

impl<T: Copy> Column<T> {
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
            chunks.push(Arc::new(Chunk(Vec::with_capacity(CHUNK))));
        }
        let last = chunks.last_mut().expect("one was pushed where there was none with room");
        Arc::make_mut(last).0.push(element);
        self.length += 1;
        number
    }

    /// The one of that number.
    #[inline]
    #[must_use]
    pub fn get(&self, number: u32) -> &T {
        &self.chunks[number as usize / CHUNK].0[number as usize % CHUNK]
    }

    /// The one of that number, to change it.
    #[inline]
    pub fn get_mut(&mut self, number: u32) -> &mut T {
        let chunks = Arc::make_mut(&mut self.chunks);
        &mut Arc::make_mut(&mut chunks[number as usize / CHUNK]).0[number as usize % CHUNK]
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flat_map(|chunk| &chunk.0)
    }

    /// All of them with their numbers.
    pub fn numbered(&self) -> impl Iterator<Item = (u32, &T)> {
        (0..).zip(self.iter())
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
