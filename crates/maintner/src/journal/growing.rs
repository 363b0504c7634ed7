//! The segment that grows, and what is to be written so that it does: no file is touched here.

use sha2::{Digest as _, Sha224};

use super::Segment;
use super::idx::{Chain, Entry};
use super::storage::StorageError;
use crate::reclog;

/// What writers let a segment grow to. Source: spec/maintner.md §2.3.
pub const SEGMENT: u64 = 16 << 20;

/// The last segment there can be: names have four digits, and the original takes a fifth for the begin of another number.
/// Source: spec/maintner.md §2.3, §11.
pub const LAST: u32 = 9999;

/// The segment that grows: where it ends, and the hashes up to there.
#[derive(Debug, Clone)]
pub struct Growing {
    pub number: u32,
    pub size: u64,
    pub sha224: Sha224,
    pub chain: Chain,
}

/// Bytes that are made safe together. They are of one segment.
#[derive(Debug, Clone, Default)]
pub struct Piece {
    /// The segment before, which is sealed first: these begin the next one.
    pub seal: Option<Segment>,
    /// Number of the segment.
    pub number: u32,
    /// Where the bytes begin in it.
    pub offset: u64,
    /// Whole records.
    pub bytes: Vec<u8>,
    /// Their rows of the index.
    pub rows: Vec<u8>,
    /// The chain before them.
    pub before: Chain,
    /// The segment with them, still growing.
    pub after: Segment,
}

impl Piece {
    /// Whether it is of a segment that has a name.
    ///
    /// # Errors
    /// That the log is full.
    pub fn named(&self) -> Result<(), StorageError> {
        if self.number > LAST { Err(StorageError::Full { segments: LAST + 1 }) } else { Ok(()) }
    }
}

impl Growing {
    /// A segment without a record.
    pub fn new(number: u32, chain: Chain) -> Self {
        Self { number, size: 0, sha224: Sha224::new(), chain }
    }

    /// As readers may see it.
    pub fn segment(&self, sealed: bool) -> Segment {
        let sha224 = self.sha224.clone().finalize().into();
        Segment { number: self.number, size: self.size, sha224, sealed }
    }

    /// Takes whole bytes that are in it already, of one record.
    pub fn take(&mut self, record: &[u8]) -> Entry {
        let entry = Entry::of(self.size, record, &self.chain);
        self.size = entry.end();
        self.sha224.update(record);
        self.chain = entry.chain;
        entry
    }

    /// What is to be written for these records, which are none of them longer than a record may be: a piece for each segment.
    ///
    /// A segment is sealed before a record whose bytes, without its header, would let it grow beyond the limit. One that has
    /// no record is never sealed: a record that is longer than the limit has it for itself.
    pub fn plan(&mut self, records: &[Vec<u8>], limit: u64) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let mut piece = self.piece(None);
        for payload in records {
            if self.size > 0 && self.size + payload.len() as u64 > limit {
                let sealed = self.segment(true);
                piece.after = Segment { sealed: false, ..sealed };
                *self = Self::new(self.number + 1, self.chain);
                let full = std::mem::replace(&mut piece, self.piece(Some(sealed)));
                pieces.extend((!full.bytes.is_empty()).then_some(full));
            }
            let from = piece.bytes.len();
            piece.bytes.extend(reclog::header(self.size, payload.len()).into_bytes());
            piece.bytes.extend(payload);
            let entry = self.take(&piece.bytes[from..]);
            piece.rows.extend(entry.row());
        }
        piece.after = self.segment(false);
        pieces.extend((!piece.bytes.is_empty()).then_some(piece));
        pieces
    }

    fn piece(&self, seal: Option<Segment>) -> Piece {
        Piece { seal, number: self.number, offset: self.size, before: self.chain, ..Piece::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: u64 = 1000;

    /// Sizes of the segments that records of these lengths make, the growing one last.
    fn sizes(lengths: &[usize]) -> Vec<u64> {
        let mut growing = Growing::new(0, Chain::default());
        let mut sizes = Vec::new();
        for length in lengths {
            for piece in growing.plan(&[vec![7; *length]], LIMIT) {
                if let Some(sealed) = piece.seal {
                    assert_eq!(sealed.number as usize, sizes.len());
                    sizes.push(sealed.size);
                }
                assert_eq!((piece.number as usize, piece.after.size), (sizes.len(), growing.size));
            }
        }
        sizes.push(growing.size);
        sizes
    }

    #[test]
    fn a_segment_is_sealed_by_the_rule_of_the_original() {
        // The header of the first is 10 bytes, of a later one 12.
        assert_eq!(header_lengths(), (10, 12));
        for (lengths, want) in [
            (&[][..], &[0][..]),
            // What is there and the new one's bytes, without its header, may be the limit and no more.
            (&[390, 600], &[1012]),
            (&[390, 601], &[400, 611]),
            // The header does not count: this one ends above the limit.
            (&[990, 0], &[1000 + 10]),
            (&[991, 0], &[1001, 8]),
            // Longer than the limit: alone, and no empty segment before it.
            (&[2000], &[2010]),
            (&[2000, 1, 1], &[2010, 18]),
            (&[5, 2000, 5], &[13, 2010, 13]),
            (&[2000, 2000], &[2010, 2010]),
        ] {
            assert_eq!(sizes(lengths), want, "{lengths:?}");
        }
    }

    #[test]
    fn there_is_no_segment_whose_number_has_five_digits() {
        let mut growing = Growing::new(LAST, Chain::default());
        let pieces = growing.plan(&[vec![7; 600], vec![7; 600]], LIMIT);
        assert_eq!(pieces.iter().map(|piece| piece.number).collect::<Vec<_>>(), [9999, 10_000]);
        assert!(pieces[0].named().is_ok());
        let why = pieces[1].named().unwrap_err().to_string();
        assert!(why.starts_with("the log has 10000 segments") && why.contains("begin another log"), "{why}");
    }

    fn header_lengths() -> (usize, usize) {
        (reclog::header(0, 600).len(), reclog::header(400, 600).len())
    }

    #[test]
    fn one_group_is_parted_where_a_segment_ends() {
        let records: Vec<Vec<u8>> = (0..10).map(|nth| vec![nth; 300]).collect();
        let (mut once, mut each) = (Growing::new(0, Chain::default()), Growing::new(0, Chain::default()));
        let together = once.plan(&records, LIMIT);
        let mut singly: Vec<Piece> = Vec::new();
        for record in &records {
            singly.extend(each.plan(std::slice::from_ref(record), LIMIT));
        }
        assert_eq!((once.number, once.size, once.chain), (each.number, each.size, each.chain));
        let bytes = |pieces: &[Piece], number| -> Vec<u8> {
            pieces
                .iter()
                .filter(|piece| piece.number == number)
                .flat_map(|piece| piece.bytes.clone())
                .collect()
        };
        assert_eq!(together.len(), 4);
        for piece in &together {
            assert_eq!(bytes(&together, piece.number), bytes(&singly, piece.number));
            assert_eq!(<[u8; 28]>::from(Sha224::digest(&piece.bytes)), piece.after.sha224);
        }
        assert_eq!(together[1].seal.map(|sealed| sealed.sha224), Some(together[0].after.sha224));
    }
}
