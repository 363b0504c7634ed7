//! Whether a log is whole: by its files alone, and by the index beside each segment where there is one.

use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha224};
use thiserror::Error;

use crate::check::check;
use crate::journal::idx::{Chain, Damage, Damaged, Idx, IdxError, hold, lost};
use crate::log::{self, Log, LogError, LogFile};

/// Why a log is not whole. All before the place that is named was good.
#[derive(Debug, Error)]
pub enum VerifyError {
    /// A record is broken or no mutation.
    #[error("{0}; `bellwether log recover` keeps what is before it")]
    Log(#[from] LogError),
    /// A sealed segment has other bytes than when it was sealed.
    #[error("{}: its bytes have SHA-224 {have}, its name says {want}; `bellwether log recover` keeps what is before it", path.display())]
    Changed {
        /// The segment.
        path: PathBuf,
        /// By its bytes.
        have: String,
        /// By its name.
        want: String,
    },
    /// A record is not as it was written.
    #[error("{}: {why}; `bellwether log recover` keeps what is before it", path.display())]
    Record {
        /// The segment.
        path: PathBuf,
        /// Which record, and what is wrong with it.
        why: Damaged,
    },
    /// What lies beside a segment is no index of it.
    #[error("{}: {why}; `bellwether log recover` makes it again", path.display())]
    Idx {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: IdxError,
    },
    /// Bytes behind the last row of a sealed segment's index.
    #[error("{}: its last row is cut; `bellwether log recover` makes it again", path.display())]
    Torn {
        /// The file.
        path: PathBuf,
    },
    /// Other segments have an index.
    #[error("{}: it is missing; `bellwether log recover` makes it again", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// An index can't be read.
    #[error("{}: {why}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's word.
        why: io::Error,
    },
}

/// What was found whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Verified {
    /// Files.
    pub files: u64,
    /// Those whose bytes were compared with the digest in their name.
    pub sealed: u64,
    /// Those whose records were compared with an index.
    pub indexed: u64,
    /// Records.
    pub records: u64,
    /// Those that neither a digest nor an index vouches for: a changed byte within a text of them can't be told.
    pub unvouched: u64,
    /// Bytes, headers included.
    pub bytes: u64,
}

/// Reads all records of a log with all that is in them, and compares them with what vouches for them: the names of sealed
/// segments, and the chain of hashes in the indexes. A log may be written meanwhile.
///
/// # Errors
/// The first that is not as it should be.
pub fn verify(log: &Log) -> Result<Verified, VerifyError> {
    let mut verified = Verified { bytes: log.len(), ..Verified::default() };
    let indexed = log.files().iter().any(|file| beside(file.path()).is_some_and(|(_, path)| path.exists()));
    let mut chain = Chain::default();
    for file in log.files() {
        let mut vouched = None;
        if indexed && let Some((number, path)) = beside(file.path()) {
            vouched = by_index(file, number, &path, &mut chain)?;
            verified.indexed += u64::from(vouched.is_some());
        }
        if let Some(want) = file.digest() {
            let have = hex::encode(Sha224::digest(file.bytes()));
            if have != want {
                let path = file.path().to_path_buf();
                return Err(VerifyError::Changed { path, have, want: want.to_owned() });
            }
            verified.sealed += 1;
        }
        let mut records = 0;
        match file.records(|source| check(source.bytes).inspect(|()| records += 1)) {
            // A record that is being written, by a leader of now.
            Err(LogError::Broken { .. })
                if vouched.is_some_and(|vouched| records >= vouched) && grew(file) => {}
            done => done?,
        }
        let vouched = if file.digest().is_some() { records } else { vouched.unwrap_or_default() };
        verified.unvouched += records - vouched.min(records);
        verified.records += records;
        verified.files += 1;
    }
    // One that was begun after the log was opened has its file.
    if let Some(folder) = log.files().first().and_then(|file| file.path().parent())
        && log.files().iter().all(|file| beside(file.path()).is_some())
        && let next = u32::try_from(log.files().len()).unwrap_or(u32::MAX)
        && let Some((number, records, _)) = lost(folder, next)
            .map_err(|why| VerifyError::Io { path: folder.to_path_buf(), why })?
            .into_iter()
            .next()
    {
        let why = Damaged { record: 0, offset: 0, what: Damage::Missing { records } };
        return Err(VerifyError::Record { path: folder.join(format!("{number:04}.growing.mutlog")), why });
    }
    Ok(verified)
}

/// The number of a segment, and where its index is.
fn beside(path: &Path) -> Option<(u32, PathBuf)> {
    let (number, _) = log::named(path)?;
    Some((u32::try_from(number).ok()?, path.with_file_name(format!("{number:04}.idx"))))
}

/// Whether a file has more bytes than when the log was opened.
fn grew(file: &LogFile) -> bool {
    std::fs::metadata(file.path()).map_or(true, |now| now.len() > file.bytes().len() as u64)
}

/// Compares a segment with its index, and says how many records that vouches for. That of a growing one may not be there yet.
fn by_index(file: &LogFile, number: u32, path: &Path, chain: &mut Chain) -> Result<Option<u64>, VerifyError> {
    let rows = match std::fs::read(path) {
        Ok(rows) => rows,
        Err(why) if why.kind() == io::ErrorKind::NotFound => {
            if file.digest().is_none() {
                return Ok(None);
            }
            return Err(VerifyError::Missing { path: path.to_path_buf() });
        }
        Err(why) => return Err(VerifyError::Io { path: path.to_path_buf(), why }),
    };
    let mut idx = match Idx::read(&rows, number) {
        Err(IdxError::Short) if file.digest().is_none() => return Ok(None),
        read => read.map_err(|why| VerifyError::Idx { path: path.to_path_buf(), why })?,
    };
    let size = file.bytes().len() as u64;
    if file.digest().is_none() && idx.begin(idx.len()) > size && grew(file) {
        idx = idx.within(size);
    }
    let damaged = |why| VerifyError::Record { path: file.path().to_path_buf(), why };
    *chain = hold(file.bytes(), &idx, *chain).map_err(damaged)?;
    if file.digest().is_some() {
        if idx.torn > 0 {
            return Err(VerifyError::Torn { path: path.to_path_buf() });
        }
        let end = idx.begin(idx.len());
        if end != size {
            return Err(damaged(Damaged { record: idx.len(), offset: end, what: Damage::Unknown }));
        }
    }
    Ok(Some(idx.len() as u64))
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
        let whole = Verified { files: 1, sealed: 1, records: 1, bytes: 8, ..Verified::default() };
        assert_eq!(of(&name, b"REC@0+0=").unwrap(), whole);
        let said = of(&name, b"REC@0+00=").unwrap_err().to_string();
        assert!(
            said.contains("its bytes have SHA-224")
                && said.contains("its name says 6f999257d6762411f2c5d42c993e824b5bd6b49b56b88769f9f9a63b;"),
            "{said}"
        );
        let growing = of("0000.growing.mutlog", b"REC@0+0=").unwrap();
        assert_eq!(growing, Verified { sealed: 0, unvouched: 1, ..whole });
    }

    #[test]
    fn what_is_cut_deep_inside_a_record_is_found() {
        // An event whose milestone says that it is longer than it is.
        let bytes = b"REC@0+6=\x0a\x04\xd2\x01\x01\x32";
        let said = of("maintner-1.mutlog", bytes).unwrap_err().to_string();
        assert!(said.contains("record at offset 0 (0x0) is no mutation"), "{said}");
    }
}
