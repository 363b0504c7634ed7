//! A file that a segment is being fetched into. It is only appended to, and what its digest is so far is kept, so that growth
//! costs what is new; one that turns out to be wrong is replaced and never cut, since it may be mapped.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha224};

use crate::cache;
use crate::error::GodataError;
use crate::index::Sum;

/// A file of the cache, and the digest of its bytes.
pub(crate) struct Partial {
    pub(crate) number: u32,
    pub(crate) path: PathBuf,
    pub(crate) length: u64,
    file: File,
    hash: Sha224,
}

impl Partial {
    /// The file there is, or an empty one.
    pub(crate) fn open(folder: &Path, number: u32) -> Result<Self, GodataError> {
        let path = cache::growing(folder, number);
        let opened = cache::options().open(&path).and_then(|mut file| {
            let mut hash = Sha224::new();
            let length = cache::hashed(&mut file, &mut hash)?;
            Ok((file, hash, length))
        });
        let (file, hash, length) = opened.map_err(|why| cache::failed(&path, why))?;
        Ok(Self { number, path, length, file, hash })
    }

    /// An empty file in the place of the one there is.
    pub(crate) fn fresh(folder: &Path, number: u32) -> Result<Self, GodataError> {
        let path = cache::growing(folder, number);
        match std::fs::remove_file(&path) {
            Err(why) if why.kind() != io::ErrorKind::NotFound => Err(cache::failed(&path, why)),
            _ => Self::open(folder, number),
        }
    }

    /// Takes in what another process has appended; false where the file is another one now.
    pub(crate) fn refresh(&mut self) -> Result<bool, GodataError> {
        let looked = (|| {
            let there = match std::fs::metadata(&self.path) {
                Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(false),
                there => there?,
            };
            if !same(&self.file.metadata()?, &there) || there.len() < self.length {
                return Ok(false);
            }
            if there.len() > self.length {
                self.file.seek(SeekFrom::Start(self.length))?;
                self.length += cache::hashed(&mut &self.file, &mut self.hash)?;
            }
            Ok(true)
        })();
        looked.map_err(|why| cache::failed(&self.path, why))
    }

    /// Writes more.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<(), GodataError> {
        self.file.write_all(bytes).map_err(|why| cache::failed(&self.path, why))?;
        self.hash.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// The digest of all of it.
    pub(crate) fn sum(&self) -> Sum {
        self.hash.clone().finalize().into()
    }

    /// The digest of its first bytes.
    pub(crate) fn sum_of(&self, size: u64) -> Result<Sum, GodataError> {
        if size == self.length {
            return Ok(self.sum());
        }
        cache::sum(&self.path, size).map_err(|why| cache::failed(&self.path, why))
    }

    /// Gives a segment its name once it is sealed: the file itself, or the first bytes of it.
    pub(crate) fn seal(&self, to: &Path, size: u64) -> Result<(), GodataError> {
        let done = (|| {
            if self.length == size {
                // A name is believed later, so the bytes are there before it.
                self.file.sync_data()?;
                return std::fs::rename(&self.path, to);
            }
            let temporary = to.with_extension("tempseg");
            let mut copy = cache::create(&temporary)?;
            let mut from = File::open(&self.path)?.take(size);
            io::copy(&mut from, &mut copy)?;
            copy.sync_data()?;
            std::fs::rename(&temporary, to)
        })();
        done.map_err(|why| cache::failed(to, why))
    }
}

/// Whether both are of one file.
#[cfg(unix)]
fn same(one: &std::fs::Metadata, other: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

#[cfg(not(unix))]
fn same(one: &std::fs::Metadata, other: &std::fs::Metadata) -> bool {
    one.created().ok() == other.created().ok() && one.len() == other.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hashed(text: &[u8]) -> Sum {
        Sha224::digest(text).into()
    }

    #[test]
    fn a_digest_grows_with_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let mut one = Partial::open(dir.path(), 3).unwrap();
        one.append(b"abc").unwrap();
        let mut other = Partial::open(dir.path(), 3).unwrap();
        assert_eq!((other.length, other.sum()), (3, hashed(b"abc")));
        other.append(b"def").unwrap();
        assert!(one.refresh().unwrap());
        assert_eq!((one.length, one.sum(), one.sum_of(2).unwrap()), (6, hashed(b"abcdef"), hashed(b"ab")));
        one.append(b"g").unwrap();
        let fresh = Partial::fresh(dir.path(), 3).unwrap();
        assert_eq!((fresh.length, one.refresh().unwrap()), (0, false));
    }

    #[test]
    fn a_sealed_one_has_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let mut partial = Partial::open(dir.path(), 0).unwrap();
        partial.append(b"abcdef").unwrap();
        let (part, whole) = (dir.path().join("part.mutlog"), dir.path().join("whole.mutlog"));
        partial.seal(&part, 3).unwrap();
        partial.seal(&whole, 6).unwrap();
        assert_eq!(
            (std::fs::read(part).unwrap(), std::fs::read(whole).unwrap()),
            (b"abc".to_vec(), b"abcdef".to_vec())
        );
        assert!(!partial.refresh().unwrap());
    }
}
