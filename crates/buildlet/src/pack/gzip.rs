//! A block as a gzip member of its own (RFC 1952).
//!
//! Members one after another are one archive to whoever reads gzip. The extra field says how long a member is, so that who knows of
//! it finds the next one without unpacking this one.

use std::io;

use flate2::{Compress, Compression, Crc, Decompress, FlushCompress, FlushDecompress, Status};

use super::blocks::BLOCK;

/// The head up to what is known only afterwards.
const HEAD: [u8; 16] = [
    0x1f, 0x8b, 8, // gzip, deflate
    4, // with an extra field
    0, 0, 0, 0, 0, 255, // no time, no system
    8, 0, b'B', b'W', 4, 0, // the field: eight bytes, named BW, with four of content
];
/// The head with the member's length.
pub(crate) const WHOLE_HEAD: usize = HEAD.len() + 4;
/// CRC-32 and length of what is unpacked.
const TAIL: usize = 8;
/// A longer member is none of ours.
const LONGEST: usize = 2 * BLOCK;

/// How much is spent on making it small: a level of gzip's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Level(u32);

impl Level {
    /// Reads `1` to `9`.
    pub(crate) fn of(text: &str) -> Option<Self> {
        text.parse().ok().filter(|level| (1..=9).contains(level)).map(Self)
    }
}

impl Default for Level {
    /// The fastest that stays within a tenth of the size of the original's archives.
    fn default() -> Self {
        Self(3)
    }
}

/// Packs block after block.
pub(crate) struct Packer {
    deflate: Compress,
}

impl Packer {
    pub(crate) fn new(Level(level): Level) -> Self {
        Self { deflate: Compress::new(Compression::new(level), false) }
    }

    /// Returns the whole member.
    pub(crate) fn pack(&mut self, block: &[u8]) -> io::Result<Vec<u8>> {
        // What can't be made smaller is stored: five bytes for each 16 KiB at most.
        let mut member = Vec::with_capacity(block.len() + block.len() / 1024 + 256);
        member.extend_from_slice(&HEAD);
        member.extend_from_slice(&[0; 4]);
        self.deflate.reset();
        while self.more(block, &mut member)? != Status::StreamEnd {
            member.reserve(64 << 10);
        }
        let mut crc = Crc::new();
        crc.update(block);
        member.extend_from_slice(&crc.sum().to_le_bytes());
        member.extend_from_slice(&crc.amount().to_le_bytes());
        let length = u32::try_from(member.len()).map_err(io::Error::other)?;
        if let Some(field) = member.get_mut(HEAD.len()..WHOLE_HEAD) {
            field.copy_from_slice(&length.to_le_bytes());
        }
        Ok(member)
    }

    fn more(&mut self, block: &[u8], member: &mut Vec<u8>) -> io::Result<Status> {
        let taken = usize::try_from(self.deflate.total_in()).unwrap_or(usize::MAX);
        let left = block.get(taken..).unwrap_or_default();
        self.deflate.compress_vec(left, member, FlushCompress::Finish).map_err(io::Error::other)
    }
}

/// How long a member is, if it is one that says so.
pub(crate) fn length(head: &[u8; WHOLE_HEAD]) -> Option<usize> {
    let length: [u8; 4] = *head.strip_prefix(&HEAD)?.first_chunk()?;
    let length = usize::try_from(u32::from_le_bytes(length)).ok()?;
    (WHOLE_HEAD + TAIL..=LONGEST).contains(&length).then_some(length)
}

/// Unpacks a member by what follows its head.
pub(crate) fn unpack(inflate: &mut Decompress, after_head: &[u8]) -> io::Result<Vec<u8>> {
    let damaged = || io::Error::new(io::ErrorKind::InvalidData, "a member of the gzip archive is damaged");
    let (packed, tail) = after_head.split_last_chunk::<TAIL>().ok_or_else(damaged)?;
    let [a, b, c, d, e, f, g, h] = *tail;
    let (sum, length) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
    let length = usize::try_from(length).ok().filter(|length| *length <= LONGEST).ok_or_else(damaged)?;
    // One more, so that what is longer than it says is seen.
    let mut block = Vec::with_capacity(length + 1);
    inflate.reset(false);
    let ended =
        inflate.decompress_vec(packed, &mut block, FlushDecompress::Finish).map_err(|_bad| damaged())?;
    let mut crc = Crc::new();
    crc.update(&block);
    let whole = ended == Status::StreamEnd && inflate.total_in() == packed.len() as u64;
    if whole && block.len() == length && crc.sum() == sum { Ok(block) } else { Err(damaged()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_comes_back_and_a_changed_one_does_not() {
        let mut inflate = Decompress::new(false);
        for block in
            [Vec::new(), b"one".to_vec(), vec![7; BLOCK], (0..BLOCK).map(|n| ((n * n) >> 7) as u8).collect()]
        {
            let member = Packer::new(Level::default()).pack(&block).unwrap();
            let (head, rest) = member.split_first_chunk().unwrap();
            assert_eq!(length(head), Some(member.len()));
            assert!(unpack(&mut inflate, rest).unwrap() == block);
            for at in [0, rest.len() / 2, rest.len() - 8, rest.len() - 1] {
                let mut changed = rest.to_vec();
                changed[at] ^= 0x55;
                assert!(unpack(&mut inflate, &changed).is_err(), "{at} of {}", rest.len());
            }
            assert!(
                unpack(&mut inflate, &rest[..rest.len() - 1]).is_err()
                    && unpack(&mut inflate, b"short").is_err()
            );
        }
    }

    #[test]
    fn only_a_head_of_ours_with_a_length_that_can_be_counts() {
        let member = Packer::new(Level::default()).pack(b"block").unwrap();
        let head: [u8; WHOLE_HEAD] = *member.first_chunk().unwrap();
        for at in 0..HEAD.len() {
            let mut other = head;
            other[at] ^= 1;
            assert_eq!(length(&other), None, "{at}");
        }
        for bad in [0_u32, 27, (LONGEST + 1) as u32, u32::MAX] {
            let mut other = head;
            other[HEAD.len()..].copy_from_slice(&bad.to_le_bytes());
            assert_eq!(length(&other), None, "{bad}");
        }
    }
}
