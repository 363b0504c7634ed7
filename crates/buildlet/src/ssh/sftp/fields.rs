//! The fields of a packet.

use std::borrow::Cow;
use std::path::Path;

use super::system;

/// A packet that ends too early, or holds what no packet may.
#[derive(Debug)]
pub(super) struct Malformed;

/// What is left of a packet.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.take(N)?.try_into().map_err(|_short| Malformed)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    pub(super) fn u32(&mut self) -> Result<u32, Malformed> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    pub(super) fn u64(&mut self) -> Result<u64, Malformed> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.u32()?;
        self.take(usize::try_from(length).map_err(|_long| Malformed)?)
    }

    /// A path; the empty one is where we are.
    pub(super) fn path(&mut self) -> Result<Cow<'a, Path>, Malformed> {
        let bytes = self.text()?;
        system::path(if bytes.is_empty() { b"." } else { bytes }).ok_or(Malformed)
    }

    /// What a link leads to.
    pub(super) fn target(&mut self) -> Result<Cow<'a, Path>, Malformed> {
        let bytes = self.text()?;
        system::target(if bytes.is_empty() { b"." } else { bytes }).ok_or(Malformed)
    }

    fn text(&mut self) -> Result<&'a [u8], Malformed> {
        let bytes = self.bytes()?;
        if bytes.contains(&0) { Err(Malformed) } else { Ok(bytes) }
    }

    pub(super) fn handle(&mut self) -> Result<u32, Malformed> {
        Ok(u32::from_be_bytes(self.bytes()?.try_into().map_err(|_strange| Malformed)?))
    }
}

/// A packet that is being written.
pub(super) struct Packet(Vec<u8>);

impl Packet {
    pub(super) fn new(kind: u8) -> Self {
        Self(vec![0, 0, 0, 0, kind])
    }

    pub(super) fn u32(mut self, value: u32) -> Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub(super) fn u64(mut self, value: u64) -> Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub(super) fn bytes(mut self, bytes: &[u8]) -> Self {
        // What we write fits a packet, so its length fits.
        self.0.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
        self.0.extend_from_slice(bytes);
        self
    }

    /// The whole of it, with its length in front.
    pub(super) fn end(mut self) -> Vec<u8> {
        let length = u32::try_from(self.0.len() - 4).unwrap_or(u32::MAX);
        self.0[..4].copy_from_slice(&length.to_be_bytes());
        self.0
    }
}
