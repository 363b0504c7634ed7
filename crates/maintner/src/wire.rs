//! A cursor over the fields of a protobuf message, which borrows and allocates nothing.
//!
//! It accepts what the original's decoder accepts: fields in any order, unknown numbers and known numbers of another wire
//! type are passed over, packed and unpacked lists alike, scalars of which the last counts. Strings are bytes here: old
//! logs hold some that are not UTF-8.
//!
//! Source: the encoding document of Protocol Buffers; spec/maintner.md §1.1.

use thiserror::Error;

/// Groups (an old wire type) may lie this deep in one another; the original's limit is the same.
const DEEPEST_GROUP: usize = 10_000;

/// Why bytes are no protobuf message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum WireError {
    /// The bytes end in the middle of a field.
    #[error("a field is cut off")]
    Cut,
    /// A varint of more than 64 bits.
    #[error("a number is longer than 64 bits")]
    Overflow,
    /// Field number 0, or one above 2^29-1.
    #[error("a field has a number that is not allowed")]
    Number,
    /// Wire types 6 and 7, or the end of a group that did not begin.
    #[error("a field has a wire type that is not allowed")]
    Type,
}

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// Wire type 0.
    Varint(u64),
    /// Wire type 1; nothing in the log has it.
    Fixed64(u64),
    /// Wire type 2: a string, bytes, a message or a packed list.
    Bytes(&'a [u8]),
    /// Wire types 3 and 4: passed over whole.
    Group,
    /// Wire type 5; nothing in the log has it.
    Fixed32(u32),
}

/// The fields of one message, in the order of its bytes. After an error it ends.
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// Over the bytes of one message, without its length.
    #[must_use]
    pub const fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// The next field's number and value.
    ///
    /// # Errors
    /// Those of [`WireError`]; the cursor is at its end then.
    #[inline]
    pub fn read(&mut self) -> Result<Option<(u32, Value<'a>)>, WireError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let read = self.field();
        if read.is_err() {
            self.rest = &[];
        }
        read.map(Some)
    }

    #[inline]
    fn field(&mut self) -> Result<(u32, Value<'a>), WireError> {
        let (number, kind) = self.tag()?;
        let value = match kind {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| WireError::Cut)?;
                Value::Bytes(self.take(length)?)
            }
            3 => {
                self.group(number)?;
                Value::Group
            }
            5 => Value::Fixed32(u32::from_le_bytes(self.array()?)),
            _ => return Err(WireError::Type),
        };
        Ok((number, value))
    }

    #[inline]
    fn tag(&mut self) -> Result<(u32, u64), WireError> {
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).map_err(|_| WireError::Number)?;
        if number == 0 || number >= 1 << 29 {
            return Err(WireError::Number);
        }
        Ok((number, tag & 7))
    }

    /// Passes over a group whose start was read. Those inside are counted, not called: the depth is the sender's choice.
    fn group(&mut self, number: u32) -> Result<(), WireError> {
        let mut open = vec![number];
        while let Some(innermost) = open.last() {
            let (number, kind) = self.tag()?;
            match kind {
                0 => drop(self.varint()?),
                1 => drop(self.take(8)?),
                2 => {
                    let length = usize::try_from(self.varint()?).map_err(|_| WireError::Cut)?;
                    self.take(length)?;
                }
                3 if open.len() < DEEPEST_GROUP => open.push(number),
                4 if number == *innermost => drop(open.pop()),
                5 => drop(self.take(4)?),
                _ => return Err(WireError::Type),
            }
        }
        Ok(())
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, WireError> {
        // Most are of one byte: tags below 16, small lengths.
        if let Some((&byte, rest)) = self.rest.split_first()
            && byte < 0x80
        {
            self.rest = rest;
            return Ok(u64::from(byte));
        }
        self.long_varint()
    }

    fn long_varint(&mut self) -> Result<u64, WireError> {
        let mut value = 0u64;
        for (nth, &byte) in self.rest.iter().enumerate().take(10) {
            // Of the tenth byte there is room for one bit.
            if nth == 9 && byte > 1 {
                return Err(WireError::Overflow);
            }
            value |= u64::from(byte & 0x7f) << (7 * nth);
            if byte < 0x80 {
                self.rest = &self.rest[nth + 1..];
                return Ok(value);
            }
        }
        Err(if self.rest.len() < 10 { WireError::Cut } else { WireError::Overflow })
    }

    #[inline]
    fn take(&mut self, length: usize) -> Result<&'a [u8], WireError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(WireError::Cut)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }
}

/// The numbers of a packed list, which is the value of one field of wire type 2.
///
/// # Errors
/// A number that is cut off or too long; those before it were visited.
pub fn packed(list: &[u8], mut visit: impl FnMut(u64)) -> Result<(), WireError> {
    let mut fields = Fields::new(list);
    while !fields.rest.is_empty() {
        visit(fields.varint()?);
    }
    Ok(())
}

/// `int64` as protobuf has it: the bits of the varint.
#[inline]
#[must_use]
pub const fn int64(value: u64) -> i64 {
    value.cast_signed()
}

/// `int32` as protobuf has it: the low half of the varint.
#[inline]
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "the format says that what does not fit is cut")]
pub const fn int32(value: u64) -> i32 {
    value as i32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(bytes: &[u8]) -> Result<Vec<(u32, Value<'_>)>, WireError> {
        let mut fields = Fields::new(bytes);
        let mut found = Vec::new();
        while let Some(field) = fields.read()? {
            found.push(field);
        }
        Ok(found)
    }

    #[test]
    fn each_wire_type_is_read() {
        assert_eq!(all(&[]), Ok(vec![]));
        assert_eq!(all(&[0x08, 0xac, 0x02]), Ok(vec![(1, Value::Varint(300))]));
        assert_eq!(all(&[0x12, 2, b'a', b'b']), Ok(vec![(2, Value::Bytes(b"ab"))]));
        assert_eq!(all(&[0x0d, 1, 0, 0, 0]), Ok(vec![(1, Value::Fixed32(1))]));
        assert_eq!(all(&[0x09, 1, 0, 0, 0, 0, 0, 0, 0]), Ok(vec![(1, Value::Fixed64(1))]));
        assert_eq!(
            all(&[0x0b, 0x13, 0x08, 1, 0x14, 0x0c, 0x08, 2]),
            Ok(vec![(1, Value::Group), (1, Value::Varint(2))])
        );
        assert_eq!(all(&[0xd2, 0x01, 0]), Ok(vec![(26, Value::Bytes(b""))]));
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for (bytes, why) in [
            (&[0x08][..], WireError::Cut),
            (&[0x12, 3, 1], WireError::Cut),
            (&[0x0d, 1], WireError::Cut),
            (&[0x00, 1], WireError::Number),
            (&[0x0e], WireError::Type),
            (&[0x0c], WireError::Type),
            (&[0x0b, 0x14], WireError::Type),
            (&[0x0b], WireError::Cut),
            (&[0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2], WireError::Overflow),
            (&[255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255], WireError::Overflow),
        ] {
            assert_eq!(all(bytes), Err(why), "{bytes:?}");
        }
    }

    #[test]
    fn numbers_are_cut_and_signed_as_the_format_has_it() {
        assert_eq!(int64(u64::MAX), -1);
        assert_eq!(int32(u64::MAX), -1);
        assert_eq!(int32(1 << 32 | 7), 7);
        let mut numbers = Vec::new();
        assert_eq!(packed(&[5, 0xac, 2], |number| numbers.push(number)), Ok(()));
        assert_eq!(numbers, [5, 300]);
        assert_eq!(packed(&[5, 0x80], |_| ()), Err(WireError::Cut));
    }

    proptest! {
        #[test]
        fn any_bytes_end(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = all(&bytes);
        }
    }
}
