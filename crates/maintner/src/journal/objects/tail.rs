//! `tail/SEQ`: a head of 64 bytes, numbers little-endian, and whole records.
//!
//! | bytes | |
//! |---|---|
//! | 0..6 | `BWTAIL` |
//! | 6..8 | version, 1 |
//! | 8..12 | the segment's number; 2^32-1 for a claim |
//! | 12..16 | CRC-32C of bytes 0..12 and of all from 16 on |
//! | 16..24 | where the records begin in the segment |
//! | 24..32 | SEQ of its leader's claim |
//! | 32..64 | of a claim, who leads, filled up with zeros |

/// Bytes of the head.
const HEAD: usize = 64;
const MAGIC: &[u8] = b"BWTAIL\x01\x00";
const CLAIM: u32 = u32::MAX;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Tail {
    /// Somebody leads from here on.
    Claim { holder: String },
    /// Records that were committed together.
    Group { number: u32, offset: u64, fence: u64, bytes: Vec<u8> },
}

impl Tail {
    /// The object of a number.
    pub fn encode(&self, sequence: u64) -> Vec<u8> {
        let (number, offset, fence, bytes) = match self {
            Self::Claim { .. } => (CLAIM, 0, sequence, &[][..]),
            Self::Group { number, offset, fence, bytes } => (*number, *offset, *fence, &bytes[..]),
        };
        let mut object = Vec::with_capacity(HEAD + bytes.len());
        object.extend(MAGIC);
        object.extend(number.to_le_bytes());
        object.extend([0; 4]);
        object.extend(offset.to_le_bytes());
        object.extend(fence.to_le_bytes());
        if let Self::Claim { holder } = self {
            object.extend(holder.bytes().take(HEAD - object.len()));
        }
        object.resize(HEAD, 0);
        object.extend(bytes);
        let crc = crc(&object);
        object[12..16].copy_from_slice(&crc.to_le_bytes());
        object
    }

    /// What an object says, or what is wrong with it.
    pub fn decode(object: &[u8]) -> Result<Self, &'static str> {
        let (head, bytes) = object.split_at_checked(HEAD).ok_or("it is shorter than its head")?;
        if !head.starts_with(MAGIC) {
            return Err("it does not begin with BWTAIL and version 1");
        }
        let four = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let eight = |at: usize| u64::from(four(at)) | u64::from(four(at + 4)) << 32;
        if four(12) != crc(object) {
            return Err("its checksum differs: its bytes are not those that were written");
        }
        if four(8) == CLAIM {
            let holder = String::from_utf8_lossy(&head[32..]).trim_end_matches('\0').to_owned();
            return Ok(Self::Claim { holder });
        }
        Ok(Self::Group { number: four(8), offset: eight(16), fence: eight(24), bytes: bytes.to_vec() })
    }
}

/// Of an object that has its head.
fn crc(object: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&object[..12]), &object[16..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded_and_nothing_else() {
        let group = Tail::Group { number: 3, offset: 1 << 33, fence: 9, bytes: b"REC@0+0=".to_vec() };
        let claim = Tail::Claim { holder: "process 12".into() };
        for tail in [&group, &claim] {
            let object = tail.encode(10);
            assert_eq!(Tail::decode(&object).as_ref(), Ok(tail));
            for at in 0..object.len() {
                let mut changed = object.clone();
                changed[at] ^= 8;
                assert!(Tail::decode(&changed).is_err() && Tail::decode(&object[..at]).is_err(), "byte {at}");
            }
        }
        let long = Tail::Claim { holder: "x".repeat(100) }.encode(0);
        assert_eq!(Tail::decode(&long), Ok(Tail::Claim { holder: "x".repeat(32) }));
    }
}
