//! Removing trees that do not want to be removed: read-only directories, very deep ones.
//!
//! Near the top, directories are given to more threads as they become free: most of the time is the kernel's, and it takes
//! different directories at once.

use std::ffi::{CStr, CString};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, Scope};

use crate::sys::Errno;
use crate::sys::fd::{AsFd as _, BorrowedFd, OwnedFd};
use crate::sys::fs::{AtFlags, Mode, OFlags, chmodat, fchmod, openat, renameat, unlinkat};
use crate::walk::names;

/// A level holds a descriptor, for each thread, so what is deeper is first moved up.
const MAX_DEPTH: usize = 30;
/// Directories above this level are worth a thread.
const SPREAD: usize = 3;
/// How many failures are told.
const TOLD: usize = 20;

/// Empties a directory; goes on after a failure and returns what could not be removed, first 20.
pub(crate) fn empty_dir(dir: &Path) -> io::Result<Vec<String>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let top = crate::sys::fs::open(dir, flags, Mode::empty())?;
    let removal = Removal::of(top)?;
    removal.empty_all()?;
    Ok(removal.problems())
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
    let removal = Removal::of(parent)?;
    removal.remove(removal.top.as_fd(), &name, 0);
    removal.remove_moved()?;
    match removal.problems().first() {
        None => Ok(()),
        Some(problem) => Err(io::Error::other(problem.clone())),
    }
}

/// Removes one entry of a directory and all in it, of what jobs of another user have left; returns what could not be removed, first 20.
#[cfg(unix)]
pub(crate) fn remove_entry(dir: &OwnedFd, name: &CStr) -> io::Result<Vec<String>> {
    let removal = Removal::of(dir.try_clone()?)?;
    removal.remove(dir.as_fd(), name, 0);
    removal.remove_moved()?;
    Ok(removal.problems())
}

struct Removal {
    top: OwnedFd,
    /// What the names begin with that are given to what is moved up: nobody else can give them.
    names: String,
    /// How many were moved up because they were too deep.
    moved: AtomicU32,
    problems: Mutex<Vec<String>>,
    /// How many threads may be started yet.
    free: AtomicUsize,
}

impl Removal {
    fn of(top: OwnedFd) -> io::Result<Self> {
        let free = AtomicUsize::new(crate::pack::threads() - 1);
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let names = format!(".bellwether-deep-{:016x}", u64::from_ne_bytes(random));
        Ok(Self { top, names, moved: AtomicU32::new(0), problems: Mutex::default(), free })
    }

    fn problems(self) -> Vec<String> {
        self.problems.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn empty_all(&self) -> io::Result<()> {
        loop {
            let before = self.moved.load(Ordering::Relaxed);
            self.remove_each(self.top.as_fd(), &names(&self.top)?, 0);
            let same = self.moved.load(Ordering::Relaxed) == before;
            if same || !self.problems.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
                return Ok(());
            }
        }
    }

    fn remove_moved(&self) -> io::Result<()> {
        let mut next = 0;
        while next < self.moved.load(Ordering::Relaxed) {
            self.remove(self.top.as_fd(), &self.moved_name(next)?, 0);
            next += 1;
        }
        Ok(())
    }

    /// Removes these entries of a directory and ends when all are gone.
    fn remove_each(&self, dir: BorrowedFd<'_>, names: &[CString], depth: usize) {
        if depth >= SPREAD {
            return names.iter().for_each(|name| self.remove(dir, name, depth));
        }
        let stays = |name: &&CString| match unlink(dir, name) {
            Ok(gone) => !gone,
            Err(error) => {
                self.note(name, Err(error));
                false
            }
        };
        let dirs: Vec<&CString> = names.iter().filter(stays).collect();
        // One is this thread's own: it would only wait for it.
        let Some((own, others)) = dirs.split_last() else { return };
        thread::scope(|scope| {
            for name in others {
                if !self.handed_on(scope, dir, name, depth) {
                    self.note(name, self.remove_dir(dir, name, depth));
                }
            }
            self.note(own, self.remove_dir(dir, own, depth));
        });
    }

    /// Gives a directory to another thread, if there may be one more.
    fn handed_on<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        dir: BorrowedFd<'scope>,
        name: &'scope CStr,
        depth: usize,
    ) -> bool {
        let taken =
            self.free.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |free| free.checked_sub(1)).is_ok();
        let spawn = || {
            thread::Builder::new().name("remove".into()).spawn_scoped(scope, move || {
                self.note(name, self.remove_dir(dir, name, depth));
                self.free.fetch_add(1, Ordering::Relaxed);
            })
        };
        if !taken {
            return false;
        }
        let spawned = spawn().is_ok();
        if !spawned {
            self.free.fetch_add(1, Ordering::Relaxed);
        }
        spawned
    }

    fn remove(&self, parent: BorrowedFd<'_>, name: &CStr, depth: usize) {
        let removed = match unlink(parent, name) {
            Ok(true) => Ok(()),
            Ok(false) => self.remove_dir(parent, name, depth),
            Err(error) => Err(error),
        };
        self.note(name, removed);
    }

    fn moved_name(&self, number: u32) -> io::Result<CString> {
        Ok(CString::new(format!("{}-{number}", self.names))?)
    }

    fn move_up(&self, parent: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
        let moved =
            self.moved_name(self.moved.fetch_add(1, Ordering::Relaxed)).map_err(|_nul| Errno::INVAL)?;
        match renameat(parent, name, &self.top, &moved) {
            Err(Errno::ACCESS) => {
                // What names its parent is in it.
                chmodat(parent, name, Mode::RWXU, AtFlags::empty())?;
                renameat(parent, name, &self.top, &moved)
            }
            renamed => renamed,
        }
    }

    fn note(&self, name: &CStr, removed: Result<(), Errno>) {
        let Err(error) = removed else { return };
        let mut problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        if error != Errno::NOENT && problems.len() < TOLD {
            problems.push(format!("{}: {}", name.to_string_lossy(), io::Error::from(error)));
        }
    }

    fn remove_dir(&self, parent: BorrowedFd<'_>, name: &CStr, depth: usize) -> Result<(), Errno> {
        if depth >= MAX_DEPTH {
            return self.move_up(parent, name);
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let dir = match openat(parent, name, flags, Mode::empty()) {
            Err(Errno::ACCESS) => {
                chmodat(parent, name, Mode::RWXU, AtFlags::empty())?;
                openat(parent, name, flags, Mode::empty())?
            }
            dir => dir?,
        };
        let inside = names(&dir).map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO))?;
        self.remove_each(dir.as_fd(), &inside, depth + 1);
        drop(dir);
        unlinkat(parent, name, AtFlags::REMOVEDIR)
    }
}

/// Removes an entry, unless it is a directory: then it says so.
fn unlink(parent: BorrowedFd<'_>, name: &CStr) -> Result<bool, Errno> {
    let mut tried = unlinkat(parent, name, AtFlags::empty());
    if tried == Err(Errno::ACCESS) {
        fchmod(parent, Mode::RWXU)?;
        tried = unlinkat(parent, name, AtFlags::empty());
    }
    match tried {
        Ok(()) => Ok(true),
        // Linux says ISDIR, POSIX PERM.
        Err(Errno::ISDIR | Errno::PERM) => Ok(false),
        Err(error) => Err(error),
    }
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
        for depth in 0..3000 {
            rustix::fs::mkdirat(&at, "d", Mode::RWXU).unwrap();
            let below = openat(&at, "d", OFlags::RDONLY, Mode::empty()).unwrap();
            if depth > 0 && depth % 10 == 0 {
                fchmod(&at, Mode::RUSR | Mode::XUSR).unwrap();
            }
            at = below;
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
