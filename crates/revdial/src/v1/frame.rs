//! Frames: seven bytes of head, and what they announce.

/// The length of a frame's head.
pub const HEAD: usize = 7;

/// What a frame says of its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It begins. Only the dialer says so.
    New,
    /// Whoever sends it writes no more, and reads no more.
    Close,
    /// Bytes of it.
    Data,
    /// Not known; it is passed over.
    Other(u8),
}

/// A frame's head: kind (1 byte), stream (4 bytes, big end first), length of what follows (2 bytes, big end first).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// What it says.
    pub kind: Kind,
    /// Of which stream.
    pub stream: u32,
    /// How many bytes follow.
    pub length: u16,
}

impl Head {
    /// Returns its bytes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; HEAD] {
        let kind = match self.kind {
            Kind::New => b'N',
            Kind::Close => b'C',
            Kind::Data => b'W',
            Kind::Other(byte) => byte,
        };
        let ([a, b, c, d], [e, f]) = (self.stream.to_be_bytes(), self.length.to_be_bytes());
        [kind, a, b, c, d, e, f]
    }

    /// Reads its bytes; there are none that are wrong.
    #[must_use]
    pub fn from_bytes([kind, a, b, c, d, e, f]: [u8; HEAD]) -> Head {
        let kind = match kind {
            b'N' => Kind::New,
            b'C' => Kind::Close,
            b'W' => Kind::Data,
            byte => Kind::Other(byte),
        };
        Head { kind, stream: u32::from_be_bytes([a, b, c, d]), length: u16::from_be_bytes([e, f]) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_has_the_bytes_of_the_original() {
        let head = Head { kind: Kind::New, stream: 1, length: 0 };
        assert_eq!(head.to_bytes(), *b"N\x00\x00\x00\x01\x00\x00");
        let head = Head { kind: Kind::Data, stream: 0x0203_0405, length: 0x0a0b };
        assert_eq!(head.to_bytes(), *b"W\x02\x03\x04\x05\x0a\x0b");
        for first in 0..=u8::MAX {
            let bytes = [first, 1, 2, 3, 4, 5, 6];
            assert_eq!(Head::from_bytes(bytes).to_bytes(), bytes);
        }
    }
}
