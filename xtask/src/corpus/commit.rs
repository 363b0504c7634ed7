//! Commits as git writes them, and hashed as git does.

use std::fmt::Write;

use maintpb::{GitCommit, GitDiffTree, GitDiffTreeFile};
use sha1::{Digest, Sha1};

use super::random::Random;

/// Who and when, as a line of a commit has it.
pub struct Signed<'a> {
    pub who: &'a str,
    pub at: u64,
    pub zone: &'static str,
}

pub struct Parts<'a> {
    pub parents: &'a [&'a str],
    pub author: Signed<'a>,
    pub committer: Signed<'a>,
    /// Lines of the head behind the committer.
    pub head: &'a str,
    pub message: &'a str,
}

pub fn zone(random: &mut Random) -> &'static str {
    const ZONES: [&str; 8] = ["-0800", "-0500", "+0000", "+0200", "+0530", "-0700", "+1000", "-0330"];
    ZONES[random.skewed(ZONES.len())]
}

/// A commit with a tree that nobody sees.
pub fn make(random: &mut Random, parts: &Parts<'_>, file: Vec<GitDiffTreeFile>) -> GitCommit {
    let mut raw = String::with_capacity(400 + parts.message.len());
    raw.push_str("tree ");
    raw.push_str(&random.hash());
    for parent in parts.parents {
        raw.push_str("\nparent ");
        raw.push_str(parent);
    }
    for (role, signed) in [("author", &parts.author), ("committer", &parts.committer)] {
        // Writing to a string cannot fail.
        let _ = write!(raw, "\n{role} {} {} {}", signed.who, signed.at, signed.zone);
    }
    raw.push('\n');
    raw.push_str(parts.head);
    raw.push('\n');
    raw.push_str(parts.message);
    let mut raw = raw.into_bytes();
    if parts.head.starts_with("encoding ISO-8859-1") {
        raw.extend_from_slice(b"\nGr\xfc\xdfe\n");
    }
    GitCommit { sha1: hash(&raw), raw, diff_tree: Some(GitDiffTree { file }), ..GitCommit::default() }
}

/// What git calls a commit of these bytes.
pub fn hash(raw: &[u8]) -> String {
    let mut hash = Sha1::new_with_prefix(format!("commit {}\0", raw.len()));
    hash.update(raw);
    hex::encode(hash.finalize())
}

/// A line or two of the head that few commits have.
pub fn head(random: &mut Random) -> String {
    if random.one_in(300) {
        let mut head = String::from("gpgsig -----BEGIN PGP SIGNATURE-----\n \n");
        for _ in 0..9 {
            let _ = writeln!(head, " {}{}", random.hash(), &random.hash()[..24]);
        }
        head.push_str(" -----END PGP SIGNATURE-----\n");
        return head;
    }
    if random.one_in(1500) {
        return String::from("encoding ISO-8859-1\n");
    }
    String::new()
}
