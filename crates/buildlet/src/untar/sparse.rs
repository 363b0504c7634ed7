//! Files with holes as pax has them: GNU tar's versions 0.0, 0.1 and 1.0. Its older way is the tar crate's own matter.

use std::fs::File;
use std::io::{self, Read};

use crate::sys::FileExt as _;

/// More pieces than any file has that somebody made.
const MOST_PIECES: usize = 200_000;
/// What the map of version 1.0 is filled up to, in bytes.
const RECORD: usize = 512;

/// What the headers say of a file with holes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Sparse {
    /// Its name, if the member's own is made up.
    pub(super) name: Option<String>,
    /// Its size with the holes, in bytes.
    pub(super) size: u64,
    /// Where its pieces lie and how long they are; without it the content begins with that.
    map: Option<Vec<(u64, u64)>>,
}

/// What is wrong with it.
fn bad(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn number(text: &str) -> io::Result<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = if digits { text.parse().ok() } else { None };
    number.ok_or_else(|| bad("a number of its map of holes is none"))
}

impl Sparse {
    /// Reads it from a member's pax records, of which others than `GNU.sparse` say nothing of holes.
    pub(super) fn of<'a>(records: impl Iterator<Item = (&'a str, &'a str)>) -> io::Result<Option<Self>> {
        let mut sparse = Self::default();
        let mut version_1 = false;
        let (mut size, mut offset) = (None, None);
        let mut pieces: Option<Vec<(u64, u64)>> = None;
        for (key, value) in records {
            match key.strip_prefix("GNU.sparse.") {
                Some("name") => sparse.name = Some(value.to_owned()),
                Some("size" | "realsize") => size = Some(number(value)?),
                Some("major") => version_1 = number(value)? == 1,
                Some("offset") => offset = Some(number(value)?),
                Some("numbytes") => {
                    let at = offset.take().ok_or_else(|| bad("a piece of it is nowhere"))?;
                    pieces.get_or_insert_default().push((at, number(value)?));
                }
                Some("map") => {
                    let numbers: Vec<u64> = match value {
                        "" => Vec::new(),
                        value => value.split(',').map(number).collect::<io::Result<_>>()?,
                    };
                    let (pairs, rest) = numbers.as_chunks::<2>();
                    if !rest.is_empty() {
                        return Err(bad("its map of holes is cut off"));
                    }
                    pieces = Some(pairs.iter().map(|[at, length]| (*at, *length)).collect());
                }
                // How many pieces there are is seen.
                _ => {}
            }
        }
        let Some(size) = size else { return Ok(None) };
        if pieces.is_none() && !version_1 {
            return Ok(None);
        }
        sparse.size = size;
        sparse.map = if version_1 { None } else { pieces };
        Ok(Some(sparse))
    }

    /// Writes the pieces of a member whose content has `stored` bytes; the file is empty before.
    pub(super) fn write(
        &self,
        content: &mut impl Read,
        mut stored: u64,
        file: &File,
        buffer: &mut [u8],
    ) -> io::Result<()> {
        let read;
        let map = match &self.map {
            Some(map) => map,
            None => {
                let (map, taken) = map_of(content)?;
                stored = stored.checked_sub(taken).ok_or_else(|| bad("its map of holes is cut off"))?;
                read = map;
                &read
            }
        };
        if map.len() > MOST_PIECES {
            return Err(bad("it has more pieces than are taken"));
        }
        let mut end = 0_u64;
        for (at, length) in map {
            let next = at.checked_add(*length).filter(|next| *at >= end && *next <= self.size);
            end = next.ok_or_else(|| bad("its pieces lie over one another or behind its end"))?;
            stored = stored.checked_sub(*length).ok_or_else(|| bad("it has fewer bytes than its pieces"))?;
        }
        if stored > 0 {
            return Err(bad("it has more bytes than its pieces"));
        }
        file.set_len(self.size)?;
        for (at, length) in map {
            let (mut at, mut left) = (*at, *length);
            while left > 0 {
                let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
                let part = buffer.get_mut(..most).unwrap_or_default();
                content.read_exact(part)?;
                file.write_all_at(part, at)?;
                at += part.len() as u64;
                left -= part.len() as u64;
            }
        }
        Ok(())
    }
}

/// The map that a content begins with, and how many bytes it took.
fn map_of(content: &mut impl Read) -> io::Result<(Vec<(u64, u64)>, u64)> {
    let mut records = Records { content, record: [0; RECORD], at: RECORD, taken: 0 };
    let count = usize::try_from(records.number()?).unwrap_or(usize::MAX);
    if count > MOST_PIECES {
        return Err(bad("it has more pieces than are taken"));
    }
    let mut map = Vec::new();
    for _ in 0..count {
        map.push((records.number()?, records.number()?));
    }
    Ok((map, records.taken))
}

struct Records<'a, R> {
    content: &'a mut R,
    record: [u8; RECORD],
    at: usize,
    taken: u64,
}

impl<R: Read> Records<'_, R> {
    /// A number on a line of its own.
    fn number(&mut self) -> io::Result<u64> {
        let mut text = String::new();
        loop {
            if self.at == RECORD {
                self.content.read_exact(&mut self.record)?;
                self.taken += RECORD as u64;
                self.at = 0;
            }
            let byte = self.record.get(self.at).copied().unwrap_or_default();
            self.at += 1;
            match byte {
                b'\n' => return number(&text),
                // More digits than the greatest number has.
                _ if text.len() >= 20 => return Err(bad("a number of its map of holes is none")),
                byte => text.push(char::from(byte)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(records: &[(&str, &str)], content: &[u8]) -> io::Result<Vec<u8>> {
        let sparse = Sparse::of(records.iter().copied())?.ok_or_else(|| bad("not sparse"))?;
        let file = tempfile::tempfile()?;
        sparse.write(&mut { content }, content.len() as u64, &file, &mut [0; 7])?;
        let mut whole = vec![1; usize::try_from(sparse.size).unwrap()];
        file.read_exact_at(&mut whole, 0)?;
        assert_eq!(file.metadata()?.len(), sparse.size);
        Ok(whole)
    }

    #[test]
    fn each_version_puts_its_pieces_where_they_were() {
        let want = b"\0\0ab\0cdefghij\0\0";
        let map = [("GNU.sparse.map", "2,2,5,8,15,0"), ("GNU.sparse.size", "15")];
        assert_eq!(written(&map, b"abcdefghij").unwrap(), want);
        let (size, offset, bytes) = ("GNU.sparse.size", "GNU.sparse.offset", "GNU.sparse.numbytes");
        let one_by_one = [(size, "15"), (offset, "2"), (bytes, "2"), (offset, "5"), (bytes, "8")];
        assert_eq!(written(&one_by_one, b"abcdefghij").unwrap(), want);
        let version_1 = [("GNU.sparse.major", "1"), ("GNU.sparse.realsize", "15"), ("GNU.sparse.name", "n")];
        let mut content = b"2\n2\n2\n5\n8\n".to_vec();
        content.resize(RECORD, 0);
        content.extend_from_slice(b"abcdefghij");
        assert_eq!(written(&version_1, &content).unwrap(), want);
        assert_eq!(Sparse::of([("path", "x"), ("size", "3")].into_iter()).unwrap(), None);
    }

    #[test]
    fn a_map_that_does_not_fit_is_refused() {
        for (map, size) in [
            ("0,2,1,2", "9"),
            ("8,2", "9"),
            ("0,18446744073709551615,5,1", "9"),
            ("1,18446744073709551615", "9"),
            ("0,1,2", "9"),
            ("0,-1", "9"),
            ("0,3", "9"),
            ("0,5", "9"),
        ] {
            written(&[("GNU.sparse.map", map), ("GNU.sparse.size", size)], b"abcd").unwrap_err();
        }
        let version_1 = [("GNU.sparse.major", "1"), ("GNU.sparse.realsize", "9")];
        for map in ["", "1\n", "99999999999999999999999\n", "1\n0\nx\n", "300000\n"] {
            let mut content = map.as_bytes().to_vec();
            content.resize(RECORD, 0);
            written(&version_1, &content).unwrap_err();
        }
    }
}
