//! What a file is said to be, and what it is told to become.

use std::fs::Metadata;

use crate::sys::fs::{Timespec, Timestamps};

use super::fields::{Fields, Malformed, Packet};
use super::system;

const SIZE: u32 = 1;
const OWNER: u32 = 2;
const PERMISSIONS: u32 = 4;
const TIMES: u32 = 8;
const EXTENDED: u32 = 1 << 31;
/// More pairs of what nobody knows are not read over.
const MOST_EXTENDED: u32 = 64;

/// What a client says of a file; what it does not say stays.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Attributes {
    pub(super) size: Option<u64>,
    pub(super) owner: Option<(u32, u32)>,
    pub(super) permissions: Option<u32>,
    /// When it was read and when it was written, in seconds since 1970.
    pub(super) times: Option<(u32, u32)>,
}

impl Attributes {
    pub(super) fn read(fields: &mut Fields<'_>) -> Result<Self, Malformed> {
        let flags = fields.u32()?;
        let mut read = Self::default();
        if flags & SIZE != 0 {
            read.size = Some(fields.u64()?);
        }
        if flags & OWNER != 0 {
            read.owner = Some((fields.u32()?, fields.u32()?));
        }
        if flags & PERMISSIONS != 0 {
            read.permissions = Some(fields.u32()? & 0o7777);
        }
        if flags & TIMES != 0 {
            read.times = Some((fields.u32()?, fields.u32()?));
        }
        if flags & EXTENDED != 0 {
            let pairs = fields.u32()?;
            if pairs > MOST_EXTENDED {
                return Err(Malformed);
            }
            for _ in 0..2 * pairs {
                fields.bytes()?;
            }
        }
        Ok(read)
    }

    /// The times, as the system takes them.
    pub(super) fn timestamps(&self) -> Option<Timestamps> {
        let time = |seconds: u32| Timespec { tv_sec: seconds.into(), tv_nsec: 0 };
        self.times
            .map(|(read, written)| Timestamps { last_access: time(read), last_modification: time(written) })
    }
}

/// What there is to be said of a file.
pub(super) struct Facts {
    pub(super) mode: u32,
    pub(super) size: u64,
    pub(super) names: u64,
    pub(super) user: u32,
    pub(super) group: u32,
    /// When it was read and when it was written, in seconds since 1970.
    pub(super) read: i64,
    pub(super) written: i64,
}

/// Writes what a file is.
pub(super) fn write(packet: Packet, file: &Metadata) -> Packet {
    // Times before 1970 and after 2106 have no place in this version.
    let time = |seconds: i64| u32::try_from(seconds.clamp(0, u32::MAX.into())).unwrap_or(0);
    let file = system::facts(file);
    packet
        .u32(SIZE | OWNER | PERMISSIONS | TIMES)
        .u64(file.size)
        .u32(file.user)
        .u32(file.group)
        .u32(file.mode)
        .u32(time(file.read))
        .u32(time(file.written))
}

/// A line about a file, as `ls -l` has it, for people.
pub(super) fn line(name: &str, file: &Metadata) -> String {
    let file = system::facts(file);
    let written = crate::original::rfc3339(file.written);
    let written = written.get(..16).unwrap_or_default().replace('T', " ");
    format!(
        "{} {:>4} {:<8} {:<8} {:>10} {written} {name}",
        letters(file.mode),
        file.names,
        file.user,
        file.group,
        file.size,
    )
}

fn letters(mode: u32) -> String {
    let kind = match mode & 0o170_000 {
        0o040_000 => 'd',
        0o120_000 => 'l',
        0o020_000 => 'c',
        0o060_000 => 'b',
        0o010_000 => 'p',
        0o140_000 => 's',
        _ => '-',
    };
    let permissions = "rwxrwxrwx".chars().enumerate();
    let letters = permissions.map(|(at, letter)| if mode & (0o400 >> at) != 0 { letter } else { '-' });
    std::iter::once(kind).chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::letters;

    #[test]
    fn modes_look_as_people_know_them() {
        assert_eq!(letters(0o100_640), "-rw-r-----");
        assert_eq!(letters(0o040_755), "drwxr-xr-x");
        assert_eq!(letters(0o120_777), "lrwxrwxrwx");
    }
}
