//! Opening a path without leaving a directory, whatever links a job has left in it.
//!
//! Linux does it by itself (`openat2`). Elsewhere, and on a Linux that does not know it, the path is walked here part by part:
//! each directory is opened from the one before without following anything, and what turns out to be a link is read and put in
//! the place of its part. So nothing that changes meanwhile leads out either.

use crate::sys::Errno;
use crate::sys::fd::{AsFd, OwnedFd};
use crate::sys::fs::{Mode, OFlags, RawMode, openat, readlinkat};

/// How something is opened that is only looked at or gone through.
#[cfg(not(any(target_vendor = "apple", target_os = "netbsd", target_os = "openbsd")))]
pub(crate) const LOOK: OFlags = OFlags::PATH;
/// How something is opened that is only looked at or gone through.
#[cfg(any(target_vendor = "apple", target_os = "netbsd", target_os = "openbsd"))]
pub(crate) const LOOK: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK);

/// As many links as Linux follows.
const LINKS: usize = 40;
/// A longer path is none.
const LONGEST: usize = 4096;

/// Opens a path beneath a directory: `XDEV` if it leads out, `LOOP` if its links do not end.
#[cfg(target_os = "linux")]
pub(crate) fn open(root: impl AsFd, path: &str, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
    use rustix::fs::{ResolveFlags, openat2};
    let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    match openat2(root.as_fd(), path, flags, mode, beneath) {
        // It can't be told whether it leads out, because something was renamed or mounted just then, anywhere on the machine.
        Err(Errno::NOSYS | Errno::AGAIN) => walk(root, path.as_bytes(), flags, mode),
        opened => opened,
    }
}

/// Opens a path beneath a directory: `XDEV` if it leads out, `LOOP` if its links do not end.
#[cfg(not(target_os = "linux"))]
pub(crate) fn open(root: impl AsFd, path: &str, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
    walk(root, path.as_bytes(), flags, mode)
}

/// Permission bits as this system has them.
pub(crate) fn permissions(bits: u32) -> Mode {
    // Its type is a narrower one on some systems, and has room for all bits there are.
    Mode::from_raw_mode((bits & 0o7777) as RawMode)
}

pub(crate) fn walk(root: impl AsFd, path: &[u8], flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
    let through = LOOK | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    if path.is_empty() {
        return Err(Errno::NOENT);
    }
    // The directories gone into, and what is left of the path, its next part last.
    let mut inside: Vec<OwnedFd> = Vec::new();
    let mut left: Vec<Vec<u8>> = Vec::new();
    let mut links = 0;
    let push = |left: &mut Vec<Vec<u8>>, path: &[u8]| {
        let longest = path.len() + left.iter().map(Vec::len).sum::<usize>();
        match path.first() {
            Some(b'/') => Err(Errno::XDEV),
            _ if longest >= LONGEST => Err(Errno::NAMETOOLONG),
            _ => {
                // What ends with a slash is a directory.
                let parts = path.split(|byte| *byte == b'/').enumerate();
                let last = path.iter().filter(|byte| **byte == b'/').count();
                let parts = parts.filter(|(at, part)| !part.is_empty() || *at == last);
                let parts =
                    parts.map(|(_, part)| if part.is_empty() { b".".to_vec() } else { part.to_vec() });
                let at = left.len();
                left.extend(parts);
                left.get_mut(at..).unwrap_or_default().reverse();
                Ok(())
            }
        }
    };
    push(&mut left, path)?;
    while let Some(part) = left.pop() {
        let here = inside.last().map_or(root.as_fd(), |fd| fd.as_fd());
        match part.as_slice() {
            b"." => continue,
            b".." => {
                inside.pop().ok_or(Errno::XDEV)?;
                continue;
            }
            _ => {}
        }
        let last = left.is_empty();
        let opened = if last {
            openat(here, part.as_slice(), flags | OFlags::NOFOLLOW, mode)
        } else {
            openat(here, part.as_slice(), through, Mode::empty())
        };
        let link = match &opened {
            // With `LOOK` alone a link itself is opened.
            Ok(_) if last && !flags.contains(OFlags::NOFOLLOW) && flags.contains(LOOK) => {
                readlinkat(here, part.as_slice(), Vec::new()).ok()
            }
            Ok(_) => None,
            // Systems differ in what they say of a link here.
            Err(_) if last && flags.contains(OFlags::NOFOLLOW) => None,
            Err(_) => readlinkat(here, part.as_slice(), Vec::new()).ok(),
        };
        match link {
            Some(target) => {
                links += 1;
                if links > LINKS {
                    return Err(Errno::LOOP);
                }
                push(&mut left, target.as_bytes())?;
            }
            None if last => return opened,
            None => inside.push(opened?),
        }
    }
    // It ended in a directory that was gone into.
    let here = inside.last().map_or(root.as_fd(), |fd| fd.as_fd());
    openat(here, ".", flags.difference(OFlags::CREATE | OFlags::NOFOLLOW | OFlags::EXCL), mode)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::fs::fstat;
    use proptest::prelude::*;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    fn tree() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        std::fs::create_dir_all(root.join("a/b")).unwrap();
        std::fs::write(root.join("f"), "f").unwrap();
        std::fs::write(root.join("a/f"), "af").unwrap();
        std::fs::write(dir.path().join("secret"), "s").unwrap();
        for (link, target) in [
            ("in", "a"),
            ("file", "a/f"),
            ("a/up", ".."),
            ("a/b/top", "../../f"),
            ("out", "../secret"),
            ("above", ".."),
            ("root", "/"),
            ("self", "self"),
            ("gone", "nowhere"),
            ("chain", "in/up/file"),
            ("slash", "a/"),
        ] {
            symlink(target, root.join(link)).unwrap();
        }
        dir
    }

    fn root(dir: &Path) -> OwnedFd {
        rustix::fs::open(dir.join("root"), OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap()
    }

    /// What was opened, or why not; errors that only differ in their word are one.
    fn said(opened: Result<OwnedFd, Errno>) -> Result<u64, Errno> {
        match opened {
            Ok(fd) => Ok(fstat(fd).unwrap().st_ino),
            Err(error) => Err(error),
        }
    }

    fn both(root: &OwnedFd, path: &str, flags: OFlags) -> (Result<u64, Errno>, Result<u64, Errno>) {
        let flags = flags | OFlags::CLOEXEC;
        (
            said(open(root, path, flags, Mode::empty())),
            said(walk(root, path.as_bytes(), flags, Mode::empty())),
        )
    }

    #[test]
    fn links_lead_about_within_and_never_out() {
        let dir = tree();
        let root = root(dir.path());
        for (path, inside) in [
            ("a/f", true),
            ("in/f", true),
            ("in/b/top", true),
            ("file", true),
            ("chain", true),
            ("slash/f", true),
            ("in/up/a/../f", true),
            (".", true),
            ("a/..", true),
            ("out", false),
            ("..", false),
            ("a/../..", false),
            ("above/secret", false),
            ("in/up/../secret", false),
            ("root/etc/passwd", false),
            ("/etc/passwd", false),
            ("self", false),
            ("gone", false),
        ] {
            let opened = walk(&root, path.as_bytes(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
            assert_eq!(opened.is_ok(), inside, "{path}: {opened:?}");
        }
        let long = "a/../".repeat(1000);
        assert_eq!(
            said(walk(&root, long.as_bytes(), OFlags::RDONLY, Mode::empty())),
            Err(Errno::NAMETOOLONG)
        );
    }

    #[test]
    fn what_is_made_through_a_link_is_made_inside() {
        let dir = tree();
        let root = root(dir.path());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC;
        walk(&root, b"in/new", flags, permissions(0o600)).unwrap();
        walk(&root, b"gone", flags, permissions(0o600)).unwrap();
        assert!(dir.path().join("root/a/new").exists() && dir.path().join("root/nowhere").exists());
        let followed = walk(&root, b"file", flags | OFlags::NOFOLLOW, permissions(0o600));
        assert_eq!(said(followed), Err(Errno::LOOP));
        walk(&root, b"above/made", flags, permissions(0o600)).unwrap_err();
        assert!(!dir.path().join("made").exists());
    }

    proptest! {
        #[test]
        fn the_walk_finds_what_the_kernel_finds(
            path in "(a|b|f|in|file|up|top|out|above|root|self|gone|chain|slash|\\.|\\.\\.)(/(a|b|f|in|file|up|top|out|above|\\.|\\.\\.|)){0,6}",
            way in 0_usize..4,
        ) {
            let dir = tree();
            let root = root(dir.path());
            let flags = [
                OFlags::RDONLY,
                OFlags::RDONLY | OFlags::DIRECTORY,
                LOOK,
                OFlags::RDONLY | OFlags::NOFOLLOW,
            ][way];
            match both(&root, &path, flags) {
                (Ok(kernel), Ok(ours)) => prop_assert_eq!(kernel, ours),
                (kernel, ours) => prop_assert!(kernel.is_err() && ours.is_err(), "{:?} {:?} {:?}", path, kernel, ours),
            }
        }
    }
}
