//! What a job has left outside of the work directory, in the places of a machine where everybody may write.
//!
//! All of it is reached by descriptors, and nothing is followed: such a place has other users' links in it.

use std::ffi::CStr;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, fstat, open, openat, statat};

use crate::removal::remove_entry;
use crate::user::{JobUser, of};
use crate::walk::names;

/// Where everybody may write.
const PLACES: [&str; 5] = ["/tmp", "/var/tmp", "/dev/shm", "/run/lock", "/dev/mqueue"];
/// How deep in other users' directories a job's files are looked for; each level holds a descriptor.
const DEEPEST: u32 = 32;
/// How many entries are looked at in one place. Whoever fills it with more keeps the machine from being clean.
const MOST: u32 = 1_000_000;
/// How much is said of what stays.
const SAID: usize = 20;

/// Removes what the job's user owns in these places, with that user's rights, then looks as root for what is still there. The work
/// directory, which is a job's as well, may lie in one of them and is left alone.
pub(crate) fn clear(user: &JobUser, workdir: &Path) -> io::Result<Vec<String>> {
    let spared = open(workdir, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let spared = fstat(spared)?;
    let mut problems = Vec::new();
    for place in PLACES.map(Path::new) {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let Ok(dir) = open(place, flags, Mode::empty()) else { continue };
        {
            let _rights = of(Some(user))?;
            let mut remove = |dir: &OwnedFd, name: &CStr| {
                // What stays is told by the look that follows.
                let _problems = remove_entry(dir, name)?;
                Ok(())
            };
            Search { user, spared, left: MOST, found: &mut remove }.level(&dir, 0)?;
        }
        let mut stays = |_: &OwnedFd, name: &CStr| {
            if problems.len() < SAID {
                problems.push(format!("{} in {} stays", name.to_string_lossy(), place.display()));
            }
            Ok(())
        };
        if !(Search { user, spared, left: MOST, found: &mut stays }.level(&dir, 0)?) {
            problems.push(format!("{} has more in it than is looked at", place.display()));
        }
    }
    Ok(problems)
}

/// How many entries of these places are the user's; what is in them counts with them.
pub(crate) fn count(user: &JobUser, workdir: &Path) -> io::Result<u64> {
    let spared = rustix::fs::stat(workdir).or_else(|_missing| rustix::fs::stat("/"))?;
    let mut found = 0;
    for place in PLACES {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let Ok(dir) = open(place, flags, Mode::empty()) else { continue };
        let mut count = |_: &OwnedFd, _: &CStr| {
            found += 1;
            Ok(())
        };
        Search { user, spared, left: MOST, found: &mut count }.level(&dir, 0)?;
    }
    Ok(found)
}

struct Search<'a> {
    user: &'a JobUser,
    spared: Stat,
    left: u32,
    /// Told of each entry that is the user's, and its directory.
    found: &'a mut dyn FnMut(&OwnedFd, &CStr) -> io::Result<()>,
}

impl Search<'_> {
    /// Looks into a directory of somebody else's; says whether it saw everything.
    fn level(&mut self, dir: &OwnedFd, depth: u32) -> io::Result<bool> {
        let mut all = depth < DEEPEST;
        for name in names(dir)? {
            self.left = match self.left.checked_sub(1) {
                Some(left) => left,
                None => return Ok(false),
            };
            let Ok(stat) = statat(dir, &name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            if (stat.st_dev, stat.st_ino) == (self.spared.st_dev, self.spared.st_ino) {
                continue;
            }
            if stat.st_uid == self.user.uid {
                (self.found)(dir, &name)?;
            } else if all && lets_write(&stat, self.user) {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
                // One that can't be opened is gone, or lets nobody look; whoever may only write there can't have made a tree of it.
                let Ok(below) = openat(dir, &name, flags, Mode::empty()) else { continue };
                all &= self.level(&below, depth + 1)?;
            }
        }
        Ok(all)
    }
}

/// Whether a user can have made something in this directory, by its permissions.
fn lets_write(stat: &Stat, user: &JobUser) -> bool {
    #[allow(clippy::unnecessary_cast, reason = "it is narrower on some systems")]
    let mode = stat.st_mode as u32;
    let group = user.gid == stat.st_gid || user.groups.contains(&stat.st_gid);
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
        && (mode & 0o002 != 0 || (group && mode & 0o020 != 0))
}
