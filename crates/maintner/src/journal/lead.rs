//! One leader for a folder: a lock of the system, and a number that rises with each leader, for file systems whose locks are
//! none.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use filelock::Held;

use super::disk::{Disk, replace};

/// The locked file. It has no bytes: what is in a locked file can't be read on Windows.
const LOCK: &str = "leader.lock";
/// Number and holder.
const LEADER: &str = "leader";
/// More than what is in it.
const LONGEST: u64 = 4096;

/// Why somebody does not lead.
#[derive(Debug)]
pub(super) enum LeadError {
    /// Another process has the lock.
    Held {
        holder: String,
    },
    Io {
        path: PathBuf,
        why: io::Error,
    },
}

/// Leading, until it is dropped.
#[derive(Debug)]
pub(super) struct Lead {
    _lock: Held,
    path: PathBuf,
    fence: u64,
}

impl Lead {
    /// Takes the lead of a folder.
    pub fn take(folder: &Path, disk: &dyn Disk, holder: &str) -> Result<Self, LeadError> {
        let (lock, path) = (folder.join(LOCK), folder.join(LEADER));
        let failed = |why| LeadError::Io { path: lock.clone(), why };
        let file = File::options().write(true).create(true).truncate(false).open(&lock).map_err(failed)?;
        let held = match Held::take(file) {
            Ok(held) => held,
            Err(TryLockError::WouldBlock) => {
                let holder = read(&path).map_or_else(|_| "another process".to_owned(), |(_, holder)| holder);
                return Err(LeadError::Held { holder });
            }
            Err(TryLockError::Error(why)) => return Err(failed(why)),
        };
        let failed = |why| LeadError::Io { path: path.clone(), why };
        let (before, _) = read(&path).map_err(failed)?;
        let fence = before + 1;
        let holder: String = holder.chars().filter(|c| !c.is_control()).take(200).collect();
        replace(disk, &path, format!("{fence} {holder}\n").as_bytes()).map_err(failed)?;
        Ok(Self { _lock: held, path, fence })
    }

    /// Who leads instead, where another took over.
    pub fn lost(&self) -> io::Result<Option<String>> {
        let (fence, holder) = read(&self.path)?;
        Ok((fence != self.fence).then_some(holder))
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The number and holder of the last leader; 0 where there was none.
fn read(path: &Path) -> io::Result<(u64, String)> {
    use std::io::Read as _;
    let mut text = String::new();
    match File::open(path) {
        Ok(file) => file.take(LONGEST).read_to_string(&mut text)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((0, String::new())),
        Err(error) => return Err(error),
    };
    let (fence, holder) = text.trim_end().split_once(' ').unwrap_or((text.trim_end(), ""));
    let fence = fence.parse().map_err(|_| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            "it has no number of a leader: remove it when no leader is running",
        )
    })?;
    Ok((fence, holder.to_owned()))
}
