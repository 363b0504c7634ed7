//! `NNNN.idx`, beside each segment: for each of its records where it is, a checksum, and a chain of hashes over all records
//! of the log up to it.
//!
//! All of it is in rows of 48 bytes, numbers little-endian:
//!
//! | bytes | the first row | each other one, a record |
//! |---|---|---|
//! | 0..6 | `BWMIDX` | 0..8: where the record begins in the segment |
//! | 6..8 | version, 1 | |
//! | 8..12 | the segment's number | length, header included |
//! | 12..16 | CRC-32C of bytes 0..12 and 16..48 | CRC-32C of the record, header included |
//! | 16..48 | the chain before the segment | the chain behind the record |
//!
//! The chain begins with zeros; behind a record it is the SHA-256 of the chain before it and of the record's bytes, header
//! included. It goes on from segment to segment, so that the last row vouches for all bytes of the log.
//!
//! A row is written when its record is safe, so that the last rows may be missing of a segment that grows.

use std::io;
use std::path::Path;

use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::log;
use crate::reclog::Records;

/// Bytes of a row.
pub const ROW: usize = 48;
const MAGIC: &[u8; 6] = b"BWMIDX";
const VERSION: u16 = 1;

/// The hash of all records up to a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Chain(pub [u8; 32]);

impl Chain {
    /// Behind one more record, header included.
    #[must_use]
    pub fn then(&self, record: &[u8]) -> Self {
        Self(Sha256::new().chain_update(self.0).chain_update(record).finalize().into())
    }
}

/// What a row says of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Where it begins in the segment.
    pub offset: u64,
    /// Its length, header included.
    pub length: u32,
    /// CRC-32C of its bytes, header included.
    pub crc: u32,
    /// The chain behind it.
    pub chain: Chain,
}

impl Entry {
    /// Of a record, header included. None is longer than 4 GiB, by the limit on records.
    #[must_use]
    pub fn of(offset: u64, record: &[u8], before: &Chain) -> Self {
        let length = u32::try_from(record.len()).unwrap_or(u32::MAX);
        Self { offset, length, crc: crc32c::crc32c(record), chain: before.then(record) }
    }

    /// Where the next record begins.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.offset.saturating_add(self.length as u64)
    }

    /// The row.
    #[must_use]
    pub fn row(&self) -> [u8; ROW] {
        let mut row = [0; ROW];
        row[..8].copy_from_slice(&self.offset.to_le_bytes());
        row[8..12].copy_from_slice(&self.length.to_le_bytes());
        row[12..16].copy_from_slice(&self.crc.to_le_bytes());
        row[16..].copy_from_slice(&self.chain.0);
        row
    }

    fn read(row: &[u8; ROW]) -> Self {
        let (offset, rest) = split(row);
        let (length, rest) = split(rest);
        let (crc, chain) = split(rest);
        Self {
            offset: u64::from_le_bytes(offset),
            length: u32::from_le_bytes(length),
            crc: u32::from_le_bytes(crc),
            chain: Chain(split(chain).0),
        }
    }
}

/// The first of bytes that are enough of them, by the layout of a row.
fn split<const N: usize>(bytes: &[u8]) -> ([u8; N], &[u8]) {
    let mut first = [0; N];
    let (taken, rest) = bytes.split_at(N);
    first.copy_from_slice(taken);
    (first, rest)
}

/// The first row.
#[must_use]
pub fn head(number: u32, before: &Chain) -> [u8; ROW] {
    let mut row = [0; ROW];
    row[..6].copy_from_slice(MAGIC);
    row[6..8].copy_from_slice(&VERSION.to_le_bytes());
    row[8..12].copy_from_slice(&number.to_le_bytes());
    row[16..].copy_from_slice(&before.0);
    let crc = head_crc(&row);
    row[12..16].copy_from_slice(&crc.to_le_bytes());
    row
}

fn head_crc(row: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&row[..12]), &row[16..ROW])
}

/// Why a file is no index of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum IdxError {
    /// Shorter than its first row.
    #[error("it is shorter than its first row")]
    Short,
    /// Of another kind.
    #[error("it does not begin with BWMIDX: it is something else")]
    Magic,
    /// Of a later version of this program.
    #[error("it has version {0}; this program knows 1")]
    Version(u16),
    /// Its first row was changed.
    #[error("its first row does not have its own checksum")]
    Head,
    /// Of another segment.
    #[error("it is of segment {0:04}")]
    Number(u32),
}

/// An index, read where it lies.
#[derive(Debug, Clone, Copy)]
pub struct Idx<'a> {
    /// The chain before the segment.
    pub before: Chain,
    rows: &'a [[u8; ROW]],
    /// Bytes behind the last whole row.
    pub torn: usize,
}

impl<'a> Idx<'a> {
    /// The index of a segment. Rows of zeros at its end, which a file system leaves behind that went down, are none.
    ///
    /// # Errors
    /// What is none, or another's.
    pub fn read(bytes: &'a [u8], number: u32) -> Result<Self, IdxError> {
        let (rows, torn) = bytes.as_chunks::<ROW>();
        let (first, mut rows) = rows.split_first().ok_or(IdxError::Short)?;
        let (magic, rest) = split::<6>(first);
        let (version, rest) = split(rest);
        let (of, rest) = split(rest);
        let (crc, before) = split(rest);
        if &magic != MAGIC {
            return Err(IdxError::Magic);
        }
        let version = u16::from_le_bytes(version);
        if version != VERSION {
            return Err(IdxError::Version(version));
        }
        if head_crc(first) != u32::from_le_bytes(crc) {
            return Err(IdxError::Head);
        }
        let of = u32::from_le_bytes(of);
        if of != number {
            return Err(IdxError::Number(of));
        }
        while let Some((_, others)) = rows.split_last().filter(|(last, _)| last.iter().all(|byte| *byte == 0))
        {
            rows = others;
        }
        Ok(Self { before: Chain(split(before).0), rows, torn: torn.len() })
    }

    /// How many records it vouches for.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether it vouches for none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// What it says of a record, counted from 0.
    #[must_use]
    pub fn entry(&self, record: usize) -> Option<Entry> {
        self.rows.get(record).map(Entry::read)
    }

    /// What it says of the last record.
    #[must_use]
    pub fn last(&self) -> Option<Entry> {
        self.rows.last().map(Entry::read)
    }

    /// Without the records that end beyond a length of the segment.
    #[must_use]
    pub fn within(self, length: u64) -> Self {
        let count = self.rows.partition_point(|row| Entry::read(row).end() <= length);
        Self { rows: &self.rows[..count], torn: 0, ..self }
    }

    /// Whether a row says of its record what it should, or is one that was not written as a whole: it has zeros that no row has,
    /// or the chain of the record, or, where the record follows others that hold, its checksum.
    #[must_use]
    pub(crate) fn may_be(&self, record: usize, should: &Entry, follows: bool) -> bool {
        let Some(row) = self.rows.get(record) else { return false };
        let (is, should_row) = (Entry::read(row), should.row());
        let parts = row
            .chunks(8)
            .zip(should_row.chunks(8))
            .all(|(is, should)| is == should || is.iter().all(|byte| *byte == 0));
        parts || is.chain == should.chain || (follows && is.crc == should.crc)
    }

    /// Where the record begins by the rows before it, and where all end for the number of all.
    #[must_use]
    pub fn begin(&self, record: usize) -> u64 {
        record.checked_sub(1).and_then(|before| self.entry(before)).map_or(0, |entry| entry.end())
    }

    /// Whether one record of a segment is as its row says, by place and checksum.
    #[must_use]
    pub fn is(&self, segment: &[u8], record: usize) -> bool {
        let Some(entry) = self.entry(record) else { return false };
        let from = usize::try_from(entry.offset).unwrap_or(usize::MAX);
        let bytes = segment.get(from..).and_then(|rest| rest.get(..entry.length as usize));
        entry.offset == self.begin(record) && bytes.is_some_and(|bytes| crc32c::crc32c(bytes) == entry.crc)
    }

    /// Holds one record of a segment against its row, as [`is`](Self::is) does, and says what is wrong.
    ///
    /// # Errors
    /// What is wrong with either.
    pub fn holds(&self, segment: &[u8], record: usize) -> Result<(), Damage> {
        if self.is(segment, record) {
            return Ok(());
        }
        let Some(entry) = self.entry(record) else { return Err(Damage::Unknown) };
        let begin = self.begin(record);
        let rest = segment.get(usize::try_from(begin).unwrap_or(usize::MAX)..).unwrap_or_default();
        // Which of the two was changed? What is a record and has the checksum or the chain that was written down is good.
        let before = match record.checked_sub(1) {
            Some(before) => self.entry(before).map_or(self.before, |entry| entry.chain),
            None => self.before,
        };
        if let Some(Ok(found)) = Records::new(rest, begin).next() {
            let whole = &rest[..rest.len().min(usize::try_from(found.end() - begin).unwrap_or(usize::MAX))];
            if crc32c::crc32c(whole) == entry.crc || before.then(whole) == entry.chain {
                return Err(Damage::Row);
            }
        }
        if rest.len() < entry.length as usize {
            return Err(Damage::Cut { have: rest.len() as u64, want: entry.length });
        }
        Err(Damage::Changed)
    }
}

/// The indexes in a folder from a number on that have records, where no file of their segments is: a row is written when the
/// file and its name are safe. Each with how many records and bytes it had.
pub(crate) fn lost(folder: &Path, from: u32) -> io::Result<Vec<(u32, usize, u64)>> {
    let mut lost = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let number =
            path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".idx"));
        let Some(number) = number.and_then(|number| number.parse().ok()).filter(|number| *number >= from)
        else {
            continue;
        };
        let rows = match std::fs::read(&path) {
            Err(why) if why.kind() == io::ErrorKind::NotFound => continue,
            rows => rows?,
        };
        if let Ok(idx) = Idx::read(&rows, number).map(|idx| (idx.len(), idx.begin(idx.len())))
            && idx.0 > 0
        {
            lost.push((number, idx.0, idx.1));
        }
    }
    // A file that is given another name meanwhile may be missed once.
    for _ in 0..3 {
        if lost.is_empty() {
            break;
        }
        for path in log::segments_and_days(folder)? {
            if let Some((number, _)) = log::named(&path) {
                lost.retain(|lost| u64::from(lost.0) != number);
            }
        }
    }
    lost.sort_unstable();
    Ok(lost)
}

/// What is wrong with a record that an index vouches for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Damage {
    /// The segment ends before or within it.
    #[error("it has {want} bytes and the file ends after {have} of them")]
    Cut {
        /// Bytes that are there.
        have: u64,
        /// Bytes that it had.
        want: u32,
    },
    /// The segment's file is not there.
    #[error("the file is missing, and the .idx beside it has {records} records of it")]
    Missing {
        /// By the index.
        records: usize,
    },
    /// Other bytes than were written.
    #[error("its bytes are not those that were written: its checksum differs")]
    Changed,
    /// The record is good, its row is not.
    #[error("it is good, but what the .idx beside it says of it was changed")]
    Row,
    /// It is good by itself, and does not follow those before it.
    #[error("the records up to it are not those that were written: the chain of hashes differs")]
    Chain,
    /// The segment was sealed, and has a record that the index does not know.
    #[error("the .idx beside it ends before it")]
    Unknown,
}

/// A record that is not as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("record {record} at offset {offset} ({offset:#x}): {what}")]
pub struct Damaged {
    /// Which one, counted from 0.
    pub record: usize,
    /// Where it begins.
    pub offset: u64,
    /// What is wrong.
    pub what: Damage,
}

/// Holds all records that an index vouches for against it, and gives the chain behind them.
///
/// # Errors
/// The first that is not as it was written.
pub fn hold(segment: &[u8], idx: &Idx<'_>, before: Chain) -> Result<Chain, Damaged> {
    let damaged = |record, what| Damaged { record, offset: idx.begin(record), what };
    if idx.before != before {
        return Err(damaged(0, Damage::Chain));
    }
    let mut chain = before;
    for record in 0..idx.len() {
        idx.holds(segment, record).map_err(|what| damaged(record, what))?;
        let (from, to) = (idx.begin(record), idx.begin(record + 1));
        // It holds, so that both are within the segment.
        let bytes = usize::try_from(from).ok().zip(usize::try_from(to).ok());
        let bytes = bytes.and_then(|(from, to)| segment.get(from..to)).unwrap_or_default();
        chain = chain.then(bytes);
        if idx.entry(record).is_none_or(|entry| entry.chain != chain) {
            return Err(damaged(record, Damage::Chain));
        }
    }
    Ok(chain)
}
