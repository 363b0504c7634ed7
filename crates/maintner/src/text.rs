//! Texts that stay in the log.

use std::fmt;

use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Bits of a length.
const LENGTH: u32 = 26;

/// A text's place in the log: eight bytes for a body of any size. A [`Log`](crate::log::Log) gives its bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable)]
#[repr(transparent)]
pub struct Text(u64);

impl Text {
    /// A text longer than this has no place; nor has a record, see [`LONGEST_RECORD`](crate::log::LONGEST_RECORD).
    pub const LONGEST: usize = (1 << LENGTH) - 1;
    /// A text behind this position has no place: 256 GiB.
    pub const FARTHEST: u64 = 1 << (64 - LENGTH);
    /// The empty text.
    pub const EMPTY: Self = Self(0);
    /// No text at all, as another thing than an empty one: no record ends there.
    pub const NONE: Self = Self(u64::MAX);

    /// The text of that many bytes at a position of the log.
    ///
    /// # Panics
    /// Where either is above its limit; who reads a log has checked both for the whole record.
    #[must_use]
    pub fn new(position: u64, length: usize) -> Self {
        assert!(position < Self::FARTHEST && length <= Self::LONGEST, "{length} bytes at {position}");
        if length == 0 { Self::EMPTY } else { Self(position << LENGTH | length as u64) }
    }

    /// Its length in bytes.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "26 bits")]
    pub const fn len(self) -> usize {
        (self.0 & Self::LONGEST as u64) as usize
    }

    /// Whether it is empty.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Where it begins.
    #[must_use]
    pub const fn position(self) -> u64 {
        self.0 >> LENGTH
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::NONE {
            f.write_str("none")
        } else {
            write!(f, "{}+{}", self.position(), self.len())
        }
    }
}

/// Bytes of the log that are being read, with their position: says where a part of them is.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// The bytes.
    pub bytes: &'a [u8],
    /// Where the first of them is in the log.
    pub position: u64,
}

impl Source<'_> {
    /// The place of a part of the bytes.
    ///
    /// # Panics
    /// Where `part` is not a part of them.
    #[inline]
    #[must_use]
    pub fn text(&self, part: &[u8]) -> Text {
        if part.is_empty() {
            return Text::EMPTY;
        }
        let offset = part.as_ptr().addr().wrapping_sub(self.bytes.as_ptr().addr());
        assert!(
            offset <= self.bytes.len() && part.len() <= self.bytes.len() - offset,
            "a part of the record"
        );
        Text::new(self.position + offset as u64, part.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_kept_whole() {
        let text = Text::new(Text::FARTHEST - 1, Text::LONGEST - 1);
        assert_eq!((text.position(), text.len()), (Text::FARTHEST - 1, Text::LONGEST - 1));
        assert_ne!(text, Text::NONE);
        assert_eq!(Text::new(77, 0), Text::EMPTY);
    }

    #[test]
    fn a_part_says_where_it_is() {
        let source = Source { bytes: b"hello world", position: 100 };
        assert_eq!(source.text(&source.bytes[6..]), Text::new(106, 5));
        assert_eq!(source.text(b""), Text::EMPTY);
    }

    #[test]
    #[should_panic = "a part of the record"]
    fn what_is_no_part_has_no_place() {
        let (one, other) = (vec![1u8; 8], vec![1u8; 8]);
        let _ = Source { bytes: &one, position: 0 }.text(&other);
    }
}
