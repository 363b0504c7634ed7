//! Walks a tree by descriptors: nothing is followed, so nothing outside of it is ever seen.

use std::ffi::{CString, OsStr};
use std::io;
use std::path::Path;

use crate::sys::fd::{AsFd, BorrowedFd, OwnedFd};
use crate::sys::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, openat, statat};
use crate::sys::{Errno, OsStrExt as _};

/// Deeper trees are refused: every level holds a descriptor.
const MAX_DEPTH: usize = 300;

/// One thing found.
pub(crate) struct Entry<'a> {
    /// The directory it is in.
    pub(crate) parent: BorrowedFd<'a>,
    /// Its name there.
    pub(crate) name: &'a CString,
    /// Relative to the walk's base, separated by `/`.
    pub(crate) path: &'a [u8],
    pub(crate) stat: Stat,
    pub(crate) kind: FileType,
}

impl Entry<'_> {
    /// Its type and permissions, as Unix has them.
    #[allow(clippy::unnecessary_cast, reason = "it is narrower on some systems")]
    pub(crate) fn mode(&self) -> u32 {
        self.stat.st_mode as u32
    }
}

/// What to do with a directory.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    Enter,
    Skip,
    /// End the whole walk.
    Stop,
}

/// Calls the function for everything beneath a directory, depth first, names sorted, the base left out.
///
/// A base that is no directory is refused; what vanishes meanwhile is passed over.
pub(crate) fn walk(base: &Path, visit: &mut dyn FnMut(&Entry<'_>) -> io::Result<Next>) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    walk_fd(crate::sys::fs::open(base, flags, Mode::empty())?, visit)
}

/// Does the same from a descriptor.
pub(crate) fn walk_fd(
    base: OwnedFd,
    visit: &mut dyn FnMut(&Entry<'_>) -> io::Result<Next>,
) -> io::Result<()> {
    level(&base, &mut Vec::new(), 0, visit).map(drop)
}

/// Returns the names in a directory, sorted by bytes.
pub(crate) fn names(dir: impl AsFd) -> io::Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if name != c"." && name != c".." {
            names.push(name.to_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
}

fn level(
    dir: &OwnedFd,
    path: &mut Vec<u8>,
    depth: usize,
    visit: &mut dyn FnMut(&Entry<'_>) -> io::Result<Next>,
) -> io::Result<Next> {
    if depth > MAX_DEPTH {
        let shown = OsStr::from_bytes(path).to_string_lossy().into_owned();
        return Err(io::Error::other(format!("{shown}: deeper than {MAX_DEPTH} directories")));
    }
    for name in names(dir)? {
        let stat = match statat(dir, &name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => continue,
            stat => stat?,
        };
        let before = path.len();
        if before > 0 {
            path.push(b'/');
        }
        path.extend_from_slice(name.to_bytes());
        let kind = FileType::from_raw_mode(stat.st_mode);
        let next = visit(&Entry { parent: dir.as_fd(), name: &name, path, stat, kind })?;
        if next == Next::Enter && kind == FileType::Directory {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
            match openat(dir, &name, flags, Mode::empty()) {
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                Err(error) => return Err(error.into()),
                Ok(below) => {
                    if level(&below, path, depth + 1, visit)? == Next::Stop {
                        return Ok(Next::Stop);
                    }
                }
            }
        }
        if next == Next::Stop {
            return Ok(Next::Stop);
        }
        path.truncate(before);
    }
    Ok(Next::Enter)
}
