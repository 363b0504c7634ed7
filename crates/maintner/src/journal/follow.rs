//! The records of a log in a folder as they come, for whoever looks on from another process.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::idx::Idx;
use super::idx_name;
use crate::log::{self, LogError};
use crate::mapped::Mapped;
use crate::reclog::{Broken, Fault, Records};

/// Why a log can't be followed any further.
#[derive(Debug, Error)]
pub enum FollowError {
    /// The folder has no log, or one with a gap.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A file can't be read.
    #[error("{}: {why}", path.display())]
    Io {
        /// Which one.
        path: PathBuf,
        /// The system's word.
        why: io::Error,
    },
    /// Whoever was shown a record could not take it.
    #[error("record at byte {at} of the log: {why}")]
    Visit {
        /// Where it begins.
        at: u64,
        /// Why.
        why: io::Error,
    },
    /// A record can't be read.
    #[error("{}: {why}; `bellwether log verify` says more", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// Where and what.
        why: Broken,
    },
    /// What was to be shown begins amid a record, or behind the end.
    #[error("no record begins at byte {from} of the log, which has {total}")]
    From {
        /// Where it was to begin.
        from: u64,
        /// The log's length.
        total: u64,
    },
    /// There is less than was shown already.
    #[error("the log has {total} bytes now, and {shown} of it were shown: it was written anew")]
    Shorter {
        /// The log's length.
        total: u64,
        /// How much was shown.
        shown: u64,
    },
}

/// How far a log was looked at.
#[derive(Debug)]
pub struct Follow {
    folder: PathBuf,
    position: Option<u64>,
    first: bool,
    /// There was less than was shown, when it was looked at last: a file may have been given another name meanwhile.
    shorter: bool,
}

/// A file of the log, and where in the log it is.
struct Part {
    path: PathBuf,
    base: u64,
    /// Bytes that may be shown.
    length: u64,
}

impl Follow {
    /// Begins at a byte of the log, which has to be where a record begins; without one, behind all that is there when it is
    /// looked at first.
    #[must_use]
    pub fn new(folder: &Path, from: Option<u64>) -> Self {
        Self { folder: folder.to_path_buf(), position: from, first: true, shorter: false }
    }

    /// Visits the records that have come since, each with its position in the log. Of a journal these are what its index
    /// vouches for; of another log, all that are whole.
    ///
    /// # Errors
    /// What can't be read. Those before were visited.
    pub fn poll(&mut self, mut visit: impl FnMut(u64, &[u8]) -> io::Result<()>) -> Result<(), FollowError> {
        let Some(parts) = self.parts()? else { return Ok(()) };
        let total = parts.last().map_or(0, |part| part.base + part.length);
        let position = self.position.unwrap_or(total);
        if position > total {
            return match (self.first, std::mem::replace(&mut self.shorter, true)) {
                (true, _) => Err(FollowError::From { from: position, total }),
                (false, false) => Ok(()),
                (false, true) => Err(FollowError::Shorter { total, shown: position }),
            };
        }
        self.shorter = false;
        self.position = Some(position);
        for part in parts {
            if !self.part(&part, &mut visit)? {
                break;
            }
        }
        self.first = false;
        Ok(())
    }

    /// Visits what is new in a file; whether the next one can be looked at.
    fn part(
        &mut self,
        part: &Part,
        visit: &mut impl FnMut(u64, &[u8]) -> io::Result<()>,
    ) -> Result<bool, FollowError> {
        let position = self.position.unwrap_or_default();
        if position >= part.base + part.length {
            return Ok(true);
        }
        let failed = |why| FollowError::Io { path: part.path.clone(), why };
        let bytes = match Mapped::open(&part.path, u64::MAX) {
            // It was sealed meanwhile: the next look finds it by its new name.
            Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(false),
            opened => opened.map_err(failed)?,
        };
        let within = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
        let mut begin = position - part.base;
        if self.first && begin > 0 {
            let before = Records::new(&bytes[..within(part.length)], 0);
            let is = before.map_while(Result::ok).any(|record| record.offset == begin);
            if !is {
                return Err(FollowError::From { from: position, total: part.base + part.length });
            }
        }
        for record in Records::new(&bytes[within(begin)..within(part.length)], begin) {
            let record = match record {
                Ok(record) => record,
                // It is being written.
                Err(Broken { what: Fault::HeaderCut | Fault::Truncated { .. }, .. }) => return Ok(false),
                Err(why) => return Err(FollowError::Broken { path: part.path.clone(), why }),
            };
            let at = part.base + record.offset;
            visit(at, record.payload).map_err(|why| FollowError::Visit { at, why })?;
            begin = record.end();
            self.position = Some(part.base + begin);
        }
        Ok(true)
    }

    /// The files as they are now; none where one was given another name meanwhile, which the next look finds.
    fn parts(&self) -> Result<Option<Vec<Part>>, FollowError> {
        let mut base = 0;
        let mut parts = Vec::new();
        for path in log::listed(&self.folder)? {
            let length = match length(&path) {
                Ok(length) => length,
                Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(why) => return Err(FollowError::Io { path, why }),
            };
            parts.push(Part { path, base, length });
            base += length;
        }
        Ok(Some(parts))
    }
}

/// How much of a file may be shown.
fn length(path: &Path) -> io::Result<u64> {
    let size = std::fs::metadata(path)?.len();
    let Some((number, None)) = log::named(path) else { return Ok(size) };
    let number = u32::try_from(number).unwrap_or(u32::MAX);
    let rows = match std::fs::read(path.with_file_name(idx_name(number))) {
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(size),
        rows => rows?,
    };
    Ok(Idx::read(&rows, number).map_or(0, |idx| idx.begin(idx.len())).min(size))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(follow: &mut Follow) -> Result<Vec<(u64, Vec<u8>)>, FollowError> {
        let mut seen = Vec::new();
        follow.poll(|position, payload| {
            seen.push((position, payload.to_vec()));
            Ok(())
        })?;
        Ok(seen)
    }

    #[test]
    fn what_comes_is_seen_once_over_files_and_cuts() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, bytes: &str| std::fs::write(dir.path().join(name), bytes).unwrap();
        put("0000.growing.mutlog", "REC@0+1=aREC@9+2=b");
        let (mut all, mut end) = (Follow::new(dir.path(), Some(0)), Follow::new(dir.path(), None));
        assert_eq!(seen(&mut all).unwrap(), [(0, b"a".to_vec())]);
        put("0000.growing.mutlog", "REC@0+1=aREC@9+2=bc");
        assert_eq!((seen(&mut all).unwrap(), seen(&mut end).unwrap()), (vec![(9, b"bc".to_vec())], vec![]));
        let sealed = format!("0000.{}.mutlog", "a".repeat(56));
        std::fs::rename(dir.path().join("0000.growing.mutlog"), dir.path().join(sealed)).unwrap();
        put("0001.growing.mutlog", "REC@0+1=d");
        for follow in [&mut all, &mut end] {
            assert_eq!(seen(follow).unwrap(), [(19, b"d".to_vec())]);
            assert_eq!(seen(follow).unwrap(), []);
        }
        // An index that is there says what may be seen.
        put("0001.growing.mutlog", "REC@0+1=dREC@9+1=e");
        std::fs::write(dir.path().join("0001.idx"), super::super::idx::head(1, &Default::default())).unwrap();
        assert_eq!(seen(&mut all).unwrap(), [], "a second look tells");
        assert!(matches!(seen(&mut all), Err(FollowError::Shorter { total: 19, shown: 28 })));
        assert_eq!(seen(&mut Follow::new(dir.path(), Some(9))).unwrap(), [(9, b"bc".to_vec())]);
    }

    #[test]
    fn it_begins_where_a_record_does() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("maintner-1.mutlog"), "REC@0+1=aREC@9+1=b").unwrap();
        for (from, count) in [(0, Some(2)), (9, Some(1)), (18, Some(0)), (5, None), (19, None)] {
            let seen = seen(&mut Follow::new(dir.path(), Some(from))).ok().map(|seen| seen.len());
            assert_eq!(seen, count, "from {from}");
        }
    }
}
