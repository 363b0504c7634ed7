//! A command's output on disk, in segments, so that acknowledged bytes are really given back.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

use crate::sys::FileExt as _;

/// Bytes in one segment file.
const SEGMENT: u64 = 4 << 20;
/// Bytes read at once.
const READ: usize = 128 << 10;

/// The spool of one command: appended by one task, read by any number.
pub(crate) struct Spool {
    dir: PathBuf,
    inner: Mutex<Inner>,
}

struct Inner {
    written: u64,
    acked: u64,
    /// First segment that still exists.
    first: u64,
    tail: Option<(u64, File)>,
}

/// Why nothing could be read at an offset.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("the output before {0} was acknowledged and freed")]
    Gone(u64),
    #[error("the output ends at {0}")]
    Beyond(u64),
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Spool {
    /// Makes an empty spool in an existing directory.
    pub(crate) fn create(dir: &Path) -> Self {
        let inner = Inner { written: 0, acked: 0, first: 0, tail: None };
        Self { dir: dir.to_owned(), inner: Mutex::new(inner) }
    }

    /// Finds what an earlier process of the agent left.
    pub(crate) fn reopen(dir: &Path) -> io::Result<Self> {
        let mut segments = Vec::new();
        for entry in std::fs::read_dir(dir)? {
            let entry = entry?;
            let name = entry.file_name();
            let index =
                name.to_str().and_then(|n| n.strip_prefix("out.")).and_then(|n| n.parse::<u64>().ok());
            if let Some(index) = index {
                segments.push((index, entry.metadata()?.len()));
            }
        }
        segments.sort_unstable();
        let first = segments.first().map_or(0, |s| s.0);
        let written = segments.last().map_or(0, |&(index, len)| index * SEGMENT + len);
        let inner = Inner { written, acked: first * SEGMENT, first, tail: None };
        Ok(Self { dir: dir.to_owned(), inner: Mutex::new(inner) })
    }

    fn path(&self, segment: u64) -> PathBuf {
        self.dir.join(format!("out.{segment}"))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns (bytes written, bytes acknowledged).
    pub(crate) fn extent(&self) -> (u64, u64) {
        let inner = self.lock();
        (inner.written, inner.acked)
    }

    /// Appends; on an error what was written before it counts.
    pub(crate) fn append(&self, mut data: &[u8]) -> io::Result<()> {
        let mut inner = self.lock();
        while !data.is_empty() {
            let segment = inner.written / SEGMENT;
            if inner.tail.as_ref().is_none_or(|(open, _)| *open != segment) {
                let file = OpenOptions::new().append(true).create(true).open(self.path(segment))?;
                inner.tail = Some((segment, file));
            }
            let room = usize::try_from((segment + 1) * SEGMENT - inner.written).unwrap_or(usize::MAX);
            let (now, rest) = data.split_at(room.min(data.len()));
            let Some((_, file)) = &mut inner.tail else { break };
            let done = match file.write(now) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(done) => done,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            inner.written += done as u64;
            data = if done == now.len() { rest } else { data.split_at(done).1 };
        }
        Ok(())
    }

    /// Reads some bytes at an offset; empty at the present end.
    pub(crate) fn read(&self, from: u64) -> Result<Bytes, ReadError> {
        let (written, acked) = self.extent();
        if from < acked {
            return Err(ReadError::Gone(acked));
        }
        if from > written {
            return Err(ReadError::Beyond(written));
        }
        let segment = from / SEGMENT;
        let end = written.min((segment + 1) * SEGMENT);
        let want = usize::try_from(end - from).unwrap_or(READ).min(READ);
        if want == 0 {
            return Ok(Bytes::new());
        }
        let file = match File::open(self.path(segment)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(ReadError::Gone(acked)),
            opened => opened?,
        };
        let mut buffer = vec![0; want];
        file.read_exact_at(&mut buffer, from - segment * SEGMENT)?;
        Ok(buffer.into())
    }

    /// Frees everything before an offset (at most what is written) and returns what is now acknowledged.
    ///
    /// The segment that is being written stays, so that the length is known after a restart.
    pub(crate) fn ack(&self, upto: u64) -> Result<u64, ReadError> {
        let mut inner = self.lock();
        if upto > inner.written {
            return Err(ReadError::Beyond(inner.written));
        }
        inner.acked = inner.acked.max(upto);
        let last = inner.written.saturating_sub(1) / SEGMENT;
        while inner.first < last && (inner.first + 1) * SEGMENT <= inner.acked {
            match std::fs::remove_file(self.path(inner.first)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
                _ => inner.first += 1,
            }
        }
        Ok(inner.acked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_freed_and_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::create(dir.path());
        let block: Vec<u8> = (0..=255).cycle().take(1 << 20).collect();
        for _ in 0..9 {
            spool.append(&block).unwrap();
        }
        assert_eq!(spool.extent(), (9 << 20, 0));
        assert_eq!(spool.ack(8 << 20).unwrap(), 8 << 20);
        let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["out.2"]);
        assert!(matches!(spool.read((8 << 20) - 1), Err(ReadError::Gone(_))));
        assert!(matches!(spool.read((9 << 20) + 1), Err(ReadError::Beyond(_))));
        assert_eq!(spool.read(9 << 20).unwrap().len(), 0);
        assert_eq!(spool.read(8 << 20).unwrap()[..256], block[..256]);
        let again = Spool::reopen(dir.path()).unwrap();
        assert_eq!(again.extent(), (9 << 20, 8 << 20));
        assert_eq!(again.read((8 << 20) + 1).unwrap()[0], 1);
    }

    #[test]
    fn an_ack_beyond_the_end_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::create(dir.path());
        spool.append(b"abc").unwrap();
        assert!(matches!(spool.ack(4), Err(ReadError::Beyond(3))));
        assert_eq!(spool.ack(3).unwrap(), 3);
        assert_eq!(spool.ack(1).unwrap(), 3, "never goes back");
    }
}
