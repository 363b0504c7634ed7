//! A commit as the log has it, of what git says of it. Source: spec/maintner.md §1.2, §4.3.

use git::{Did, Object, ObjectId};
use maintpb::{GerritComment, GitCommit, GitDiffTree, GitDiffTreeFile};
use prost::Message as _;

use crate::commit::{CommitError, CommitText};

/// A commit object of more bytes is cut in its message: a record may have 64 MiB, and the original's reader holds all of it.
pub const LONGEST_OBJECT: usize = 8 << 20;
/// Of a commit that changed more files, the first ones are written.
pub const MOST_FILES: usize = 20_000;
/// And no more of them than have this many bytes in their names.
pub const MOST_PATHS: usize = 8 << 20;
/// Of a commit's comments, the first ones of this many bytes are written.
pub const MOST_COMMENTS: usize = 16 << 20;
/// A record of more bytes is not written: the journal takes 64 MiB, and ends with one that has more.
const LONGEST_RECORD: usize = 40 << 20;

/// The commit under this name, which is that of a tag where the object is what the tag is of.
///
/// # Errors
/// What no reader of the log would take: an object without an empty line or with a line of another form, or with a header that
/// is longer than the limit.
pub fn record(
    name: ObjectId,
    object: Object,
    did: &Did,
    comments: Vec<GerritComment>,
) -> Result<GitCommit, CommitError> {
    let mut raw = object.bytes;
    let more = object.size.saturating_sub(raw.len() as u64);
    CommitText::read(&raw, |_| ())?;
    if more > 0 {
        raw.extend_from_slice(format!("\n[cut here: {more} bytes more]\n").as_bytes());
    }
    let number = |lines: u64| i64::try_from(lines).unwrap_or(i64::MAX);
    let mut paths = 0_usize;
    let fits = |file: &&git::FileChange| {
        paths = paths.saturating_add(file.path.len());
        paths <= MOST_PATHS
    };
    let file = did.files.iter().take(MOST_FILES).take_while(fits).map(|file| GitDiffTreeFile {
        file: file.path.clone(),
        added: number(file.added),
        deleted: number(file.deleted),
        binary: file.binary,
    });
    let diff_tree = Some(GitDiffTree { file: file.collect() });
    Ok(GitCommit { sha1: name.to_string(), raw, diff_tree, comments })
}

/// Whether the journal takes a mutation of this length; the limits of its parts leave room, so that only what they forget is
/// too long.
#[must_use]
pub const fn fits(encoded: usize) -> bool {
    encoded <= LONGEST_RECORD
}

/// Takes the first of these comments for a record that has `bytes` of them; says whether there was room for all.
pub fn take_comments(
    into: &mut Vec<GerritComment>,
    bytes: &mut usize,
    from: impl IntoIterator<Item = GerritComment>,
) -> bool {
    for comment in from {
        // Its tag and length as well.
        let length = comment.encoded_len() + 8;
        if *bytes + length > MOST_COMMENTS {
            return false;
        }
        *bytes += length;
        into.push(comment);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(bytes: &[u8], size: u64) -> Object {
        Object { id: ObjectId::from_bytes([1; 20]), kind: "commit".into(), size, bytes: bytes.to_vec() }
    }

    #[test]
    fn a_commit_that_is_too_long_is_cut_in_its_message_and_says_so() {
        let raw = b"author A <a> 1 +0000\ncommitter A <a> 1 +0000\n\nsubject\n\nbo";
        let name = ObjectId::from_bytes([2; 20]);
        let whole = record(name, object(raw, raw.len() as u64), &Did::default(), Vec::new()).unwrap();
        assert_eq!((whole.sha1, whole.raw), ("02".repeat(20), raw.to_vec()));
        let cut = record(name, object(raw, raw.len() as u64 + 7), &Did::default(), Vec::new()).unwrap();
        assert!(cut.raw.ends_with(b"\n\nbo\n[cut here: 7 bytes more]\n"));
        // Within the header nothing can be cut.
        assert!(record(name, object(&raw[..30], 70), &Did::default(), Vec::new()).is_err());
    }

    #[test]
    fn no_commit_makes_a_record_that_the_journal_refuses() {
        let path = |number: usize| format!("{number:05}{}", "x".repeat((60 << 10) - 5));
        let file = |number| git::FileChange {
            path: path(number),
            added: 1,
            deleted: 1,
            binary: false,
            old: None,
            new: None,
        };
        let did = Did { files: (0..600).map(file).collect(), more: false };
        let (mut comments, mut bytes) = (Vec::new(), 0);
        let one = GerritComment { message: "y".repeat(1 << 20), ..GerritComment::default() };
        assert!(take_comments(&mut comments, &mut bytes, vec![one.clone(); 10]));
        assert!(!take_comments(&mut comments, &mut bytes, vec![one; 10]));
        assert_eq!(comments.len(), 15);
        let mut raw = b"author A <a> 1 +0000\ncommitter A <a> 1 +0000\n\nsubject\n\n".to_vec();
        raw.resize(LONGEST_OBJECT, b'z');
        let name = ObjectId::from_bytes([2; 20]);
        let commit = record(name, object(&raw, 1 << 40), &did, comments).unwrap();
        let files = &commit.diff_tree.as_ref().unwrap().file;
        assert_eq!((files.len(), files[0].file.as_str()), (136, path(0).as_str()));
        assert!(fits(commit.encoded_len()) && !fits(64 << 20), "{}", commit.encoded_len());
    }
}
