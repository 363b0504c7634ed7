//! A disk that counts what it does, and dies when it is told.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use maintner::journal::{Disk, System};

/// Nothing is made safe for real: a process that dies leaves what it wrote, and tests that sync are slow.
#[derive(Debug)]
pub struct Faulty {
    pub steps: AtomicU64,
    pub syncs: AtomicU64,
    /// From this step on all fail; a write leaves a half of its bytes behind.
    pub dies_at: u64,
}

impl Default for Faulty {
    fn default() -> Self {
        Self { steps: AtomicU64::new(0), syncs: AtomicU64::new(0), dies_at: u64::MAX }
    }
}

impl Faulty {
    pub fn dying(step: u64) -> Self {
        Self { dies_at: step, ..Self::default() }
    }

    fn step(&self) -> io::Result<()> {
        self.at().map(drop)
    }

    /// Which step this is.
    fn at(&self) -> io::Result<u64> {
        let step = self.steps.fetch_add(1, Ordering::Relaxed);
        if step >= self.dies_at { Err(io::Error::other("the disk is gone")) } else { Ok(step) }
    }
}

impl Disk for Faulty {
    fn append(&self, path: &Path) -> io::Result<File> {
        self.step()?;
        System.append(path)
    }

    fn write(&self, file: &File, bytes: &[u8]) -> io::Result<()> {
        let first = self.steps.load(Ordering::Relaxed) == self.dies_at;
        match self.step() {
            Err(why) if first => System.write(file, &bytes[..bytes.len() / 2]).and(Err(why)),
            Err(why) => Err(why),
            Ok(()) => System.write(file, bytes),
        }
    }

    fn sync(&self, _: &File) -> io::Result<()> {
        self.syncs.fetch_add(1, Ordering::Relaxed);
        self.step()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step()?;
        System.rename(from, to)
    }

    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        self.step()
    }
}
