//! The framing of a log's records: `REC@` OFFSET `+` LENGTH `=` and the record's bytes, nothing between.
//!
//! Both numbers are hexadecimal, the offset counts from the start of the file. There is no checksum; what is changed inside a
//! record is found by the chain beside the segment (design §5), what is cut or moved is found here.
//!
//! Source: spec/maintner.md §2.1, with its vectors.

use thiserror::Error;

use crate::ahead;

/// A header's longest form, `=` included.
pub const LONGEST_HEADER: usize = 40;

/// One record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Where its header begins in the file.
    pub offset: u64,
    /// Where its bytes begin in the file.
    pub start: u64,
    /// Its bytes.
    pub payload: &'a [u8],
}

impl Record<'_> {
    /// Where the next record begins.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.start + self.payload.len() as u64
    }
}

/// Why a file is no log, from an offset on. All before it is good.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("record at offset {offset} ({offset:#x}): {what}")]
pub struct Broken {
    /// Where the record begins that can't be read.
    pub offset: u64,
    /// What is wrong with it.
    pub what: Fault,
}

/// What is wrong with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Fault {
    /// The file ends within the header.
    #[error("the file ends within its header")]
    HeaderCut,
    /// No `=` within [`LONGEST_HEADER`] bytes.
    #[error("its header is longer than 40 bytes")]
    HeaderLong,
    /// Not `REC@OFFSET+LENGTH=`.
    #[error("its header is not REC@OFFSET+LENGTH=")]
    HeaderMalformed,
    /// The header's offset is another than the record's.
    #[error("its header says that it is at offset {said} ({said:#x})")]
    Moved {
        /// The header's offset.
        said: u64,
    },
    /// The file ends within the record.
    #[error("it has {want} bytes and the file ends after {have} of them")]
    Truncated {
        /// Bytes by the header.
        want: u64,
        /// Bytes in the file.
        have: u64,
    },
}

/// The header of a record of `length` bytes at `offset`.
#[must_use]
pub fn header(offset: u64, length: usize) -> String {
    format!("REC@{offset:x}+{length:x}=")
}

/// The records of bytes that begin at an offset of a file.
#[derive(Debug, Clone)]
pub struct Records<'a> {
    rest: &'a [u8],
    offset: u64,
}

impl<'a> Records<'a> {
    /// Over `bytes`, the first of which is at `offset` of its file.
    #[must_use]
    pub const fn new(bytes: &'a [u8], offset: u64) -> Self {
        Self { rest: bytes, offset }
    }

    fn record(&mut self) -> Result<Record<'a>, Fault> {
        let within = &self.rest[..self.rest.len().min(LONGEST_HEADER)];
        let end = match memchr::memchr(b'=', within) {
            Some(end) => end,
            None if self.rest.len() < LONGEST_HEADER => return Err(Fault::HeaderCut),
            // The original looks for the end in the first 4096 bytes, and says that the file ends if it does before.
            None => return Err(Fault::HeaderLong),
        };
        let (said, length) = numbers(&within[..end]).ok_or(Fault::HeaderMalformed)?;
        if said != self.offset {
            return Err(Fault::Moved { said });
        }
        let after = &self.rest[end + 1..];
        let have = after.len() as u64;
        let Some((payload, rest)) = usize::try_from(length).ok().and_then(|n| after.split_at_checked(n))
        else {
            return Err(Fault::Truncated { want: length, have });
        };
        let record = Record { offset: said, start: said + end as u64 + 1, payload };
        self.rest = rest;
        self.offset = record.end();
        // What is done with this record takes as long as the next one takes to come.
        for line in rest.chunks(ahead::LINE).take(6) {
            ahead::ask(line);
        }
        Ok(record)
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, Broken>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let offset = self.offset;
        let record = self.record().map_err(|what| Broken { offset, what });
        if record.is_err() {
            self.rest = &[];
        }
        Some(record)
    }
}

/// Offset and length of a header without its `=`.
fn numbers(header: &[u8]) -> Option<(u64, u64)> {
    let numbers = header.strip_prefix(b"REC@")?;
    let plus = memchr::memchr(b'+', numbers)?;
    Some((number(&numbers[..plus])?, number(&numbers[plus + 1..])?))
}

/// A number of 63 bits. Leading zeros and capitals are the original's to accept; its minus sign is not taken (§11).
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    let mut value = 0u64;
    for &digit in digits {
        let digit = char::from(digit).to_digit(16)?;
        value = value.checked_mul(16)?.checked_add(u64::from(digit))?;
    }
    i64::try_from(value).ok()?;
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(bytes: &[u8]) -> (usize, Option<Fault>) {
        let mut good = 0;
        for record in Records::new(bytes, 0) {
            match record {
                Ok(_) => good += 1,
                Err(broken) => return (good, Some(broken.what)),
            }
        }
        (good, None)
    }

    /// The vectors of the spec, which were run through the original's reader.
    #[test]
    fn the_vectors_are_read_as_by_the_original() {
        let exactly = format!("REC@{}+0=", "0".repeat(33));
        assert_eq!(exactly.len(), 40);
        let longer = format!("REC@{}+0=", "0".repeat(35));
        for (bytes, good, fault) in [
            ("", 0, None),
            ("REC@0+0=", 1, None),
            ("REC@0", 0, Some(Fault::HeaderCut)),
            ("REC@0000+0a=0123456789", 1, None),
            ("REC@0+A=0123456789", 1, None),
            ("REC@0+-5=", 0, Some(Fault::HeaderMalformed)),
            ("REC@0+5=abc", 0, Some(Fault::Truncated { want: 5, have: 3 })),
            ("REC@1+0=", 0, Some(Fault::Moved { said: 1 })),
            ("XEC@0+0=", 0, Some(Fault::HeaderMalformed)),
            ("REC@0+0+0=", 0, Some(Fault::HeaderMalformed)),
            ("REC@+0=", 0, Some(Fault::HeaderMalformed)),
            ("REC@0+=", 0, Some(Fault::HeaderMalformed)),
            ("REC@0+ffffffffffffffff=", 0, Some(Fault::HeaderMalformed)),
            (&exactly, 1, None),
            (&longer, 0, Some(Fault::HeaderLong)),
            (&"x".repeat(5000), 0, Some(Fault::HeaderLong)),
            ("REC@0+1=aREC@9+0=", 2, None),
            ("REC@0+1=aREC@8+0=", 1, Some(Fault::Moved { said: 8 })),
        ] {
            assert_eq!(read(bytes.as_bytes()), (good, fault), "{bytes}");
        }
    }

    #[test]
    fn reading_begins_at_a_record_in_the_middle() {
        let mut records = Records::new(b"REC@47+2=ab", 0x47);
        let record = records.next().unwrap().unwrap();
        assert_eq!((record.offset, record.start, record.payload), (0x47, 0x50, &b"ab"[..]));
        assert!(records.next().is_none());
    }

    fn log(payloads: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for payload in payloads {
            bytes.extend(header(bytes.len() as u64, payload.len()).into_bytes());
            bytes.extend(payload);
        }
        bytes
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..20)) {
            let bytes = log(&payloads);
            let read: Vec<_> = Records::new(&bytes, 0).map(|record| record.unwrap().payload.to_vec()).collect();
            prop_assert_eq!(read, payloads);
        }

        #[test]
        fn cut_anywhere_all_whole_records_are_read_and_the_rest_is_told(
            payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 1..8), at in any::<prop::sample::Index>(),
        ) {
            let bytes = log(&payloads);
            let cut = at.index(bytes.len());
            let ends: Vec<u64> = Records::new(&bytes, 0).map(|record| record.unwrap().end()).collect();
            let whole = ends.iter().filter(|&&end| end <= cut as u64).count();
            let (good, fault) = read(&bytes[..cut]);
            prop_assert_eq!(good, whole);
            prop_assert_eq!(fault.is_none(), cut == 0 || ends.contains(&(cut as u64)));
        }

        #[test]
        fn any_bytes_end(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
        }
    }
}
