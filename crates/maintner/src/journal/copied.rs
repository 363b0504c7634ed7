//! Which folders have a copy of a store's log. In no other is a segment removed because the store does not have it: it may be
//! all that there is of a log.

use std::io;
use std::path::{Path, PathBuf};

#[cfg(feature = "objects")]
use super::disk::{Disk, replace};

fn mark(folder: &Path) -> PathBuf {
    folder.join("copy-of-store")
}

/// Whether it has one.
#[cfg(feature = "objects")]
pub(super) fn is(folder: &Path) -> io::Result<bool> {
    mark(folder).try_exists()
}

/// It has one from now on.
#[cfg(feature = "objects")]
pub(super) fn set(folder: &Path, disk: &dyn Disk) -> io::Result<()> {
    replace(disk, &mark(folder), b"The log is in a store; what is here can be had again.\n")
}

/// It has a log of its own from now on.
pub(super) fn clear(folder: &Path) -> io::Result<()> {
    match std::fs::remove_file(mark(folder)) {
        Err(why) if why.kind() != io::ErrorKind::NotFound => Err(why),
        _ => Ok(()),
    }
}
