//! Whether a log is whole, as far as its files alone can tell.

use std::path::PathBuf;

use sha2::{Digest, Sha224};
use thiserror::Error;

use crate::log::{Log, LogError};
use crate::mutation::{self, Issue, Message, Mutation, MutationError, elements, numbers};

/// Why a log is not whole.
#[derive(Debug, Error)]
pub enum VerifyError {
    /// A record is broken or no mutation.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A sealed segment has other bytes than when it was sealed.
    #[error("{}: its bytes have SHA-224 {have}, its name says {want}", path.display())]
    Changed {
        /// The segment.
        path: PathBuf,
        /// By its bytes.
        have: String,
        /// By its name.
        want: String,
    },
}

/// What was found whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Verified {
    /// Files.
    pub files: u64,
    /// Those whose bytes were compared with the digest in their name; of the others a changed byte within a text can't be
    /// told.
    pub sealed: u64,
    /// Records.
    pub records: u64,
    /// Bytes, headers included.
    pub bytes: u64,
}

/// Reads all records of a log with all that is in them, and compares sealed segments with their names.
///
/// # Errors
/// The first that is not as it should be.
pub fn verify(log: &Log) -> Result<Verified, VerifyError> {
    let mut verified = Verified { bytes: log.len(), ..Verified::default() };
    for file in log.files() {
        if let Some(want) = file.digest() {
            let have = hex::encode(Sha224::digest(file.bytes()));
            if have != want {
                let path = file.path().to_path_buf();
                return Err(VerifyError::Changed { path, have, want: want.to_owned() });
            }
            verified.sealed += 1;
        }
        file.records(|source| {
            verified.records += 1;
            whole(source.bytes)
        })?;
        verified.files += 1;
    }
    Ok(verified)
}

/// Reads everything of a mutation.
fn whole(payload: &[u8]) -> Result<(), MutationError> {
    let given = Mutation::of(payload)?;
    if let Some(message) = given.github_issue {
        let issue = Issue::of(message)?;
        all::<mutation::Comment<'_>>(message, Issue::COMMENTS)?;
        all::<mutation::User<'_>>(message, Issue::ASSIGNEES)?;
        all::<mutation::Label<'_>>(message, Issue::ADD_LABEL)?;
        all::<mutation::Event<'_>>(message, Issue::EVENTS)?;
        all::<mutation::Review<'_>>(message, Issue::REVIEWS)?;
        numbers(issue.bytes, Issue::DELETED_ASSIGNEES, |_| ())?;
        numbers(issue.bytes, Issue::REMOVE_LABEL, |_| ())?;
    }
    if let Some(message) = given.github {
        all::<mutation::Label<'_>>(message, 3)?;
        all::<mutation::Milestone<'_>>(message, 4)?;
    }
    for (message, commits) in [(given.git, 2), (given.gerrit, 2)] {
        let Some(message) = message else { continue };
        for commit in mutation::bytes(message, commits) {
            let commit = commit?;
            mutation::GitCommit::of(commit)?;
            for tree in mutation::bytes(commit, 3) {
                all::<mutation::DiffTreeFile<'_>>(tree?, 1)?;
            }
        }
    }
    if let Some(message) = given.gerrit {
        all::<mutation::GitRef<'_>>(message, 3)?;
    }
    Ok(())
}

fn all<'a, M: Message<'a>>(message: &'a [u8], number: u32) -> Result<(), MutationError> {
    elements::<M>(message, number).try_for_each(|element| element.map(drop).map_err(MutationError::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, bytes: &[u8]) -> Result<Verified, VerifyError> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(name), bytes).unwrap();
        verify(&Log::open(folder.path()).unwrap())
    }

    #[test]
    fn a_sealed_segment_is_compared_with_its_name() {
        let name = format!("0000.{}.mutlog", "6f999257d6762411f2c5d42c993e824b5bd6b49b56b88769f9f9a63b");
        let whole = Verified { files: 1, sealed: 1, records: 1, bytes: 8 };
        assert_eq!(of(&name, b"REC@0+0=").unwrap(), whole);
        let said = of(&name, b"REC@0+00=").unwrap_err().to_string();
        assert!(
            said.contains("its bytes have SHA-224")
                && said.ends_with("its name says 6f999257d6762411f2c5d42c993e824b5bd6b49b56b88769f9f9a63b"),
            "{said}"
        );
        assert_eq!(of("0000.growing.mutlog", b"REC@0+0=").unwrap(), Verified { sealed: 0, ..whole });
    }

    #[test]
    fn what_is_cut_deep_inside_a_record_is_found() {
        // An event whose milestone says that it is longer than it is.
        let bytes = b"REC@0+6=\x0a\x04\xd2\x01\x01\x32";
        let said = of("maintner-1.mutlog", bytes).unwrap_err().to_string();
        assert!(said.contains("record at offset 0 (0x0) is no mutation"), "{said}");
    }
}
