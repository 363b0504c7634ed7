//! Removing trees that do not want to be removed: read-only directories, very deep ones.

use std::ffi::{CStr, CString};
use std::io;
use std::path::Path;

use crate::sys::Errno;
use crate::sys::fd::{AsFd as _, BorrowedFd, OwnedFd};
use crate::sys::fs::{AtFlags, Mode, OFlags, chmodat, fchmod, openat, renameat, unlinkat};
use crate::walk::names;

/// A level holds a descriptor, so what is deeper is first moved up.
const MAX_DEPTH: usize = 100;

/// Empties a directory; goes on after a failure and returns what could not be removed, first 20.
pub(crate) fn empty_dir(dir: &Path) -> io::Result<Vec<String>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let top = crate::sys::fs::open(dir, flags, Mode::empty())?;
    let mut removal = Removal { top, moved: 0, problems: Vec::new() };
    removal.empty_all()?;
    Ok(removal.problems)
}

/// Removes one path beneath a directory and all in it; a missing one is fine.
pub(crate) fn remove(base: &Path, path: &str) -> io::Result<()> {
    let (parent, name) = match path.rsplit_once('/') {
        Some((parent, name)) => (base.join(parent), name),
        None => (base.to_owned(), path),
    };
    // By descriptor, so that a link a job left on the way does not lead out.
    let inside = parent.strip_prefix(base).map_err(io::Error::other)?.to_string_lossy().into_owned();
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let parent = match crate::files::open_beneath(base, &inside, flags) {
        Err(crate::files::FileError::Missing(_)) => return Ok(()),
        Err(crate::files::FileError::Io(error)) => return Err(error),
        Err(refused @ crate::files::FileError::Refused(_)) => return Err(io::Error::other(refused)),
        Ok(parent) => parent,
    };
    let name = CString::new(name)?;
    let mut removal = Removal { top: parent, moved: 0, problems: Vec::new() };
    let top = removal.top.try_clone()?;
    removal.remove(top.as_fd(), &name, 0);
    removal.remove_moved()?;
    match removal.problems.first() {
        None => Ok(()),
        Some(problem) => Err(io::Error::other(problem.clone())),
    }
}

/// Removes one entry of a directory and all in it, of what jobs of another user have left; returns what could not be removed, first 20.
#[cfg(unix)]
pub(crate) fn remove_entry(dir: &OwnedFd, name: &CStr) -> io::Result<Vec<String>> {
    let mut removal = Removal { top: dir.try_clone()?, moved: 0, problems: Vec::new() };
    removal.remove(dir.as_fd(), name, 0);
    removal.remove_moved()?;
    Ok(removal.problems)
}

struct Removal {
    top: OwnedFd,
    moved: u32,
    problems: Vec<String>,
}

impl Removal {
    fn empty_all(&mut self) -> io::Result<()> {
        let top = self.top.try_clone()?;
        loop {
            let before = self.moved;
            for name in names(&top)? {
                self.remove(top.as_fd(), &name, 0);
            }
            if self.moved == before || !self.problems.is_empty() {
                return Ok(());
            }
        }
    }

    fn remove_moved(&mut self) -> io::Result<()> {
        let top = self.top.try_clone()?;
        let mut next = 0;
        while next < self.moved {
            self.remove(top.as_fd(), &moved_name(next)?, 0);
            next += 1;
        }
        Ok(())
    }

    fn remove(&mut self, parent: BorrowedFd<'_>, name: &CStr, depth: usize) {
        if let Err(error) = self.try_remove(parent, name, depth)
            && error != Errno::NOENT
            && self.problems.len() < 20
        {
            self.problems.push(format!("{}: {}", name.to_string_lossy(), io::Error::from(error)));
        }
    }

    fn try_remove(&mut self, parent: BorrowedFd<'_>, name: &CStr, depth: usize) -> Result<(), Errno> {
        match unlinkat(parent, name, AtFlags::empty()) {
            Ok(()) => return Ok(()),
            // Linux says ISDIR, POSIX PERM.
            Err(Errno::ISDIR | Errno::PERM) => {}
            Err(Errno::ACCESS) => {
                fchmod(parent, Mode::RWXU)?;
                match unlinkat(parent, name, AtFlags::empty()) {
                    Err(Errno::ISDIR | Errno::PERM) => {}
                    done => return done,
                }
            }
            Err(error) => return Err(error),
        }
        if depth >= MAX_DEPTH {
            let moved = moved_name(self.moved).map_err(|_nul| Errno::INVAL)?;
            self.moved += 1;
            return renameat(parent, name, &self.top, &moved);
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let dir = match openat(parent, name, flags, Mode::empty()) {
            Err(Errno::ACCESS) => {
                chmodat(parent, name, Mode::RWXU, AtFlags::empty())?;
                openat(parent, name, flags, Mode::empty())?
            }
            dir => dir?,
        };
        for inner in names(&dir).map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO))? {
            self.remove(dir.as_fd(), &inner, depth + 1);
        }
        drop(dir);
        unlinkat(parent, name, AtFlags::REMOVEDIR)
    }
}

fn moved_name(number: u32) -> io::Result<CString> {
    Ok(CString::new(format!(".bellwether-deep-{number}"))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn read_only_and_deep_trees_go() {
        let dir = tempfile::tempdir().unwrap();
        let locked = dir.path().join("mod/locked");
        std::fs::create_dir_all(&locked).unwrap();
        std::fs::write(locked.join("f"), "x").unwrap();
        std::fs::set_permissions(&locked, std::fs::Permissions::from_mode(0o555)).unwrap();
        std::fs::set_permissions(locked.parent().unwrap(), std::fs::Permissions::from_mode(0o000)).unwrap();
        // Deeper than there are descriptors, made the way one makes it: level by level.
        let mut at = rustix::fs::open(dir.path(), OFlags::RDONLY, Mode::empty()).unwrap();
        for _ in 0..3000 {
            rustix::fs::mkdirat(&at, "d", Mode::RWXU).unwrap();
            at = openat(&at, "d", OFlags::RDONLY, Mode::empty()).unwrap();
        }
        assert_eq!(empty_dir(dir.path()).unwrap(), Vec::<String>::new());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_link_on_the_way_does_not_lead_out() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("keep"), "x").unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(outside.path(), dir.path().join("out")).unwrap();
        assert!(remove(dir.path(), "out/keep").is_err());
        remove(dir.path(), "out").unwrap();
        remove(dir.path(), "never/was").unwrap();
        assert!(outside.path().join("keep").exists());
        assert!(!dir.path().join("out").exists());
    }
}
