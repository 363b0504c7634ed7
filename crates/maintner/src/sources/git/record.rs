//! A commit as the log has it, of what git says of it. Source: spec/maintner.md §1.2, §4.3.

use git::{Did, Object, ObjectId};
use maintpb::{GerritComment, GitCommit, GitDiffTree, GitDiffTreeFile};

use crate::commit::{CommitError, CommitText};

/// A commit object of more bytes is cut in its message: a record may have 64 MiB, and the original's reader holds all of it.
pub const LONGEST_OBJECT: usize = 8 << 20;
/// Of a commit that changed more files, the first ones are written.
pub const MOST_FILES: usize = 20_000;

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
    let file = did.files.iter().take(MOST_FILES).map(|file| GitDiffTreeFile {
        file: file.path.clone(),
        added: number(file.added),
        deleted: number(file.deleted),
        binary: file.binary,
    });
    let diff_tree = Some(GitDiffTree { file: file.collect() });
    Ok(GitCommit { sha1: name.to_string(), raw, diff_tree, comments })
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
}
