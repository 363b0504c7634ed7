//! What a commit object says, read where it lies. Source: spec/maintner.md §1.4.

use thiserror::Error;

use crate::lines::trim;
use crate::mutation::{self, DiffTreeFile, Message};
use crate::wire::WireError;

/// A commit's hash, or that of the tag object by which it was recorded.
pub type Hash = [u8; 20];

/// Why a commit could not be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CommitError {
    /// Not 40 hexadecimal digits.
    #[error("a hash is not 40 hexadecimal digits")]
    Hash,
    /// No empty line, or nothing before it.
    #[error("there is no header before an empty line")]
    Header,
    /// Not `Name <email> SECONDS ZONE`.
    #[error("its author or committer is not Name <email> SECONDS ZONE")]
    Person,
}

/// The value of each byte as a hexadecimal digit, 255 of what is none: two are read for each of millions of hashes.
const DIGITS: [u8; 256] = {
    let mut digits = [255; 256];
    let mut value = 0;
    while value < 16 {
        digits[b"0123456789abcdef"[value as usize] as usize] = value;
        digits[b"0123456789ABCDEF"[value as usize] as usize] = value;
        value += 1;
    }
    digits
};

/// The hash of 40 hexadecimal digits.
#[must_use]
pub fn hash(digits: &[u8]) -> Option<Hash> {
    if digits.len() != 40 {
        return None;
    }
    let mut hash = [0; 20];
    let mut wrong = 0;
    for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
        let (high, low) = (DIGITS[pair[0] as usize], DIGITS[pair[1] as usize]);
        wrong |= high | low;
        *byte = high << 4 | low & 15;
    }
    (wrong < 16).then_some(hash)
}

/// Who, and when.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Signature<'a> {
    /// `Name <email>`.
    pub person: &'a [u8],
    /// Seconds since 1970.
    pub seconds: i64,
    /// As it is written, such as `-0800`.
    pub zone: &'a [u8],
}

impl<'a> Signature<'a> {
    fn of(value: &'a [u8]) -> Result<Self, CommitError> {
        let value = trim(value);
        let (rest, zone) = last_word(value).ok_or(CommitError::Person)?;
        let (person, seconds) = last_word(rest).ok_or(CommitError::Person)?;
        let seconds = number(seconds).ok_or(CommitError::Person)?;
        // The original reads the digits at fixed places.
        if zone.len() < 5 {
            return Err(CommitError::Person);
        }
        Ok(Self { person, seconds, zone })
    }

    /// East of Greenwich in seconds: what is no digit counts as zero.
    #[must_use]
    pub fn zone_seconds(&self) -> i32 {
        let two = |at: usize| {
            let digits = self.zone.get(at..at + 2).and_then(|digits| std::str::from_utf8(digits).ok());
            digits.and_then(|digits| digits.parse::<i32>().ok()).unwrap_or_default()
        };
        let seconds = two(1) * 3600 + two(3) * 60;
        if self.zone.first() == Some(&b'-') { -seconds } else { seconds }
    }
}

/// The address in `Name <email>`: between the first `<` and the first `>`, empty if they are not there in that order.
#[must_use]
pub fn email(person: &[u8]) -> &[u8] {
    let open = memchr::memchr(b'<', person);
    let close = memchr::memchr(b'>', person);
    match (open, close) {
        (Some(open), Some(close)) if open < close => &person[open + 1..close],
        _ => &[],
    }
}

/// A number as it is parsed, which is one of ten digits as a rule.
fn number(text: &[u8]) -> Option<i64> {
    if let 1..=18 = text.len()
        && text.iter().all(u8::is_ascii_digit)
    {
        return Some(text.iter().fold(0, |number, digit| number * 10 + i64::from(digit - b'0')));
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn last_word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = memchr::memrchr(b' ', text)?;
    Some((&text[..space], &text[space + 1..]))
}

/// A commit object.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CommitText<'a> {
    /// The tree's hash; zeros where it names none.
    pub tree: Hash,
    /// The author.
    pub author: Signature<'a>,
    /// The committer.
    pub committer: Signature<'a>,
    /// Everything after the empty line.
    pub message: &'a [u8],
}

/// A line of a header that is of use beside the commit itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link<'a> {
    /// A parent's hash.
    Parent(Hash),
    /// The commit's hash in Mercurial, of which Go's repository was made.
    Mercurial(&'a [u8]),
}

/// Where the header of a commit object ends: at its first empty line.
fn header(raw: &[u8]) -> Option<usize> {
    // The end of each line is looked at, which is quicker than to set up a search for two bytes.
    memchr::memchr_iter(b'\n', raw).find(|end| raw.get(end + 1) == Some(&b'\n')).filter(|end| *end > 0)
}

/// The message of a commit object, without a look at the rest of it; nothing of what is none.
#[must_use]
pub fn message(raw: &[u8]) -> &[u8] {
    header(raw).map_or(&[], |end| &raw[end + 2..])
}

impl<'a> CommitText<'a> {
    /// Reads a commit object, and gives out its parents in order as they are come to.
    ///
    /// # Errors
    /// What is no commit object; the parents before the bad line were given out, as by the original.
    pub fn read(raw: &'a [u8], mut link: impl FnMut(Link<'a>)) -> Result<Self, CommitError> {
        let end = header(raw).ok_or(CommitError::Header)?;
        let mut commit = Self { message: &raw[end + 2..], ..Self::default() };
        let mut rest = &raw[..=end];
        // The header's last line ends with the first of the two line ends that it is before.
        while let Some(length) = memchr::memchr(b'\n', rest) {
            let line = &rest[..length];
            rest = &rest[length + 1..];
            if let Some(digits) = line.strip_prefix(b"parent ") {
                link(Link::Parent(hash(digits).ok_or(CommitError::Hash)?));
            } else if let Some(value) = line.strip_prefix(b"author ") {
                commit.author = Signature::of(value)?;
            } else if let Some(value) = line.strip_prefix(b"committer ") {
                commit.committer = Signature::of(value)?;
            } else if let Some(digits) = line.strip_prefix(b"tree ") {
                commit.tree = hash(digits).ok_or(CommitError::Hash)?;
            } else if let Some(hash) = line.strip_prefix(b"golang-hg ") {
                link(Link::Mercurial(hash));
            }
            // Signatures, encodings and whatever git adds are passed over.
        }
        Ok(commit)
    }
}

/// The files that a commit changed, by `GitCommit.diff_tree` of its message in the log, sorted by name.
///
/// # Errors
/// What is no message.
pub fn files(message: &[u8]) -> Result<Vec<DiffTreeFile<'_>>, WireError> {
    let mut files = Vec::new();
    for tree in mutation::bytes(message, 3) {
        for file in mutation::bytes(tree?, 1) {
            files.push(DiffTreeFile::of(file?)?);
        }
    }
    files.sort_by(|a, b| a.file.cmp(b.file));
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &str = "1111111111111111111111111111111111111111";

    #[test]
    fn a_commit_is_read_with_its_parents() {
        let raw = format!(
            "tree {TREE}\nparent {}\nparent {}\nauthor  Foo Bar <foo@bar.com> 1257894000 -0800\n\
             committer G <g@g> 1257894001 +0530\ngolang-hg abc\ngpgsig -----\n more\n\nsubject\n\nbody\n",
            "2".repeat(40),
            "3".repeat(40)
        );
        let mut links = Vec::new();
        let commit = CommitText::read(raw.as_bytes(), |link| links.push(link)).unwrap();
        assert_eq!(links, [Link::Parent([0x22; 20]), Link::Parent([0x33; 20]), Link::Mercurial(b"abc")]);
        assert_eq!(commit.tree, [0x11; 20]);
        assert_eq!(
            commit.author,
            Signature { person: b"Foo Bar <foo@bar.com>", seconds: 1_257_894_000, zone: b"-0800" }
        );
        assert_eq!((commit.author.zone_seconds(), commit.committer.zone_seconds()), (-28_800, 19_800));
        assert_eq!(commit.message, b"subject\n\nbody\n");
    }

    #[test]
    fn what_is_no_commit_is_refused_after_the_parents_before() {
        let mut parents = 0;
        let bad = format!("parent {}\ntree xyz\n\nm", "2".repeat(40));
        assert_eq!(CommitText::read(bad.as_bytes(), |_| parents += 1), Err(CommitError::Hash));
        assert_eq!(parents, 1);
        for (raw, why) in [
            ("tree x", CommitError::Header),
            ("\n\nm", CommitError::Header),
            ("author A <a> 1 +000\n\n", CommitError::Person),
            ("author A <a> x +0000\n\n", CommitError::Person),
            ("author\u{20}\n\n", CommitError::Person),
            ("author A <a> 1  -0800\n\n", CommitError::Person),
            ("parent 12\n\n", CommitError::Hash),
        ] {
            assert_eq!(CommitText::read(raw.as_bytes(), |_| ()), Err(why), "{raw:?}");
        }
    }

    /// Only the whole value is trimmed.
    #[test]
    fn a_person_keeps_a_blank_too_many() {
        let commit = CommitText::read(b"author  A <a>  1 -0800\n\n", |_| ()).unwrap();
        assert_eq!(commit.author.person, b"A <a> ");
    }

    #[test]
    fn a_hash_is_of_40_digits_and_nothing_else() {
        assert_eq!(
            hash(b"0123456789abcdefABCDEF000000000000000fff").map(hex::encode).as_deref(),
            Some("0123456789abcdefabcdef000000000000000fff")
        );
        for digits in
            ["", "12", &"g".repeat(40), &"1".repeat(39), &"1".repeat(41), &format!("{}:", "1".repeat(39))]
        {
            assert_eq!(hash(digits.as_bytes()), None, "{digits}");
        }
    }

    #[test]
    fn zones_and_addresses_are_read_as_by_the_original() {
        let zone =
            |zone: &'static str| Signature { zone: zone.as_bytes(), ..Signature::default() }.zone_seconds();
        assert_eq!((zone("X0530"), zone("-0x30"), zone("+1400")), (19_800, -1800, 50_400));
        for (person, address) in [("X <a@b> <c@d>", "a@b"), ("a@b>c<d@e", ""), ("X", ""), ("X <>", "")] {
            assert_eq!(email(person.as_bytes()), address.as_bytes());
        }
    }
}
