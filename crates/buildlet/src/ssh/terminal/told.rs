//! What the helper with a console is told by its standard input.

use std::io::{self, Read};

use crate::ssh::terminal::Size;

/// What is typed at once, in bytes, at most.
pub(super) const MOST: usize = 32 << 10;
/// What a console has that nobody knows the size of.
const COLUMNS: u16 = 80;
const ROWS: u16 = 25;
/// A console counts in signed numbers of this width.
const LARGEST: u32 = i16::MAX as u32;

/// The size of a console, in characters; none is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WindowSize {
    pub(super) columns: u16,
    pub(super) rows: u16,
}

impl From<Size> for WindowSize {
    fn from(size: Size) -> Self {
        let cut = |value: u32, unknown: u16| match value {
            0 => unknown,
            value => u16::try_from(value.min(LARGEST)).unwrap_or(unknown),
        };
        Self { columns: cut(size.columns, COLUMNS), rows: cut(size.rows, ROWS) }
    }
}

/// One message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// Keys.
    Typed(Vec<u8>),
    /// The size from now on.
    Size(WindowSize),
}

impl Told {
    /// Writes it: a letter, two bytes that are a length or the columns, and the keys or the rows.
    pub(super) fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Typed(keys) => {
                let length = u16::try_from(keys.len()).unwrap_or(u16::MAX);
                let keys = keys.iter().take(length.into()).copied();
                std::iter::once(b't').chain(length.to_be_bytes()).chain(keys).collect()
            }
            Self::Size(size) => {
                let (columns, rows) = (size.columns.to_be_bytes(), size.rows.to_be_bytes());
                std::iter::once(b's').chain(columns).chain(rows).collect()
            }
        }
    }

    /// Reads the next; an error, too, if there is none.
    pub(super) fn read(from: &mut impl Read) -> io::Result<Self> {
        let mut head = [0; 3];
        from.read_exact(&mut head)?;
        let [kind, number @ ..] = head;
        let number = u16::from_be_bytes(number);
        match kind {
            b't' => {
                let mut keys = vec![0; number.into()];
                from.read_exact(&mut keys)?;
                Ok(Self::Typed(keys))
            }
            b's' => {
                let mut rows = [0; 2];
                from.read_exact(&mut rows)?;
                Ok(Self::Size(WindowSize { columns: number, rows: u16::from_be_bytes(rows) }))
            }
            kind => Err(io::Error::new(io::ErrorKind::InvalidData, format!("{kind} is told to no terminal"))),
        }
    }
}
