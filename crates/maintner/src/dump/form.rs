//! How the dump writes its fields.

use std::fmt::Display;
use std::io::Write;

use sha2::{Digest, Sha224};

use crate::time::Time;

/// Lines, each with its end.
#[derive(Debug, Default)]
pub(super) struct Lines {
    bytes: Vec<u8>,
    places: Vec<(usize, usize)>,
}

impl Lines {
    pub(super) fn sort(&mut self) {
        let bytes = &self.bytes;
        self.places.sort_unstable_by(|a, b| bytes[a.0..a.1].cmp(&bytes[b.0..b.1]));
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.places.iter().map(|(start, end)| &self.bytes[*start..*end])
    }

    /// Begins a line with its letter; it ends when what is returned is dropped.
    pub(super) fn line(&mut self, letter: char) -> Line<'_> {
        let start = self.bytes.len();
        let mut line = Line { lines: self, start };
        line.put(letter);
        line
    }
}

/// A line that is being written.
pub(super) struct Line<'a> {
    lines: &'a mut Lines,
    start: usize,
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        self.lines.bytes.push(b'\n');
        self.lines.places.push((self.start, self.lines.bytes.len()));
    }
}

impl Line<'_> {
    fn put(&mut self, value: impl Display) {
        write!(self.lines.bytes, "{value}").expect("memory takes all");
    }

    fn tab(&mut self) -> &mut Self {
        self.lines.bytes.push(b'\t');
        self
    }

    /// A number or a word that needs no escape.
    pub(super) fn plain(&mut self, value: impl Display) -> &mut Self {
        self.tab().put(value);
        self
    }

    pub(super) fn bool(&mut self, value: bool) -> &mut Self {
        self.plain(u8::from(value))
    }

    pub(super) fn id(&mut self, id: Option<i64>) -> &mut Self {
        match id {
            Some(id) => self.plain(id),
            None => self.plain('-'),
        }
    }

    pub(super) fn hash(&mut self, hash: Option<&[u8; 20]>) -> &mut Self {
        match hash {
            Some(hash) => self.plain(hex::encode(hash)),
            None => self.plain('-'),
        }
    }

    pub(super) fn str(&mut self, text: &[u8]) -> &mut Self {
        let text = escaped(text);
        self.plain(text)
    }

    pub(super) fn text(&mut self, text: &[u8]) -> &mut Self {
        self.plain(text_of(text))
    }

    pub(super) fn time(&mut self, time: Time) -> &mut Self {
        match time.seconds() {
            None => self.plain('-'),
            Some(seconds) if time.nanos() == 0 => self.plain(seconds),
            Some(seconds) => self.plain(format_args!("{seconds}.{:09}", time.nanos())),
        }
    }

    pub(super) fn list(&mut self, values: impl IntoIterator<Item = impl Display>) -> &mut Self {
        self.tab();
        let mut empty = true;
        for value in values {
            if !std::mem::replace(&mut empty, false) {
                self.put(',');
            }
            self.put(value);
        }
        if empty {
            self.put('-');
        }
        self
    }
}

/// A text in one word.
pub(super) fn escaped(text: &[u8]) -> String {
    match text {
        b"" => "-".to_owned(),
        b"-" => "%2D".to_owned(),
        _ => {
            let mut out = String::with_capacity(text.len());
            for &byte in text {
                if matches!(byte, 0x21..=0x7e) && !matches!(byte, b'%' | b',' | b'=') {
                    out.push(char::from(byte));
                } else {
                    out.push_str(&format!("%{byte:02X}"));
                }
            }
            out
        }
    }
}

/// A text by its length and digest.
pub(super) fn text_of(text: &[u8]) -> String {
    if text.is_empty() {
        return "0".to_owned();
    }
    format!("{}:{}", text.len(), hex::encode(Sha224::digest(text)))
}

/// Rows that are counted and digested in order.
#[derive(Default)]
pub(super) struct Rows {
    count: u64,
    digest: Sha224,
}

impl Rows {
    pub(super) fn row(&mut self, row: &[u8]) {
        self.count += 1;
        self.digest.update(row);
    }

    pub(super) fn text(self) -> String {
        if self.count == 0 {
            "0".to_owned()
        } else {
            format!("{}:{}", self.count, hex::encode(self.digest.finalize()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_written_in_their_forms() {
        let mut lines = Lines::default();
        lines
            .line('Z')
            .str(b"a b%,=\xff~")
            .str(b"")
            .str(b"-")
            .text(b"")
            .text(b"x")
            .time(Time::NONE)
            .time(Time::new(5, 7));
        lines.line('A').list([1, 2]).list([0u8; 0]).bool(true).id(None).hash(Some(&[0xab; 20]));
        lines.sort();
        let written: Vec<String> =
            lines.iter().map(|line| String::from_utf8_lossy(line).into_owned()).collect();
        let hash = "ab".repeat(20);
        assert_eq!(written[0], format!("A\t1,2\t-\t1\t-\t{hash}\n"));
        let x = "54a2f7f92a5f975d8096af77a126edda7da60c5aa872ef1b871701ae";
        assert_eq!(written[1], format!("Z\ta%20b%25%2C%3D%FF~\t-\t%2D\t0\t1:{x}\t-\t5.000000007\n"));
    }
}
