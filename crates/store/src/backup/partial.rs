//! The directory in which a backup is written until it is whole: beside its place, and for one backup alone.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use filelock::Held;

use super::{BackupError, io};

/// The first file in it. It says that what lies beside it is a backup's own and may be deleted; whoever writes there has a
/// lock on it.
const MARK: &str = ".bellwether-backup";

/// A directory that this backup alone writes, until the value is dropped.
pub(super) struct Partial {
    path: PathBuf,
    target: PathBuf,
    _mark: Held,
}

impl Partial {
    /// Makes it for a backup that shall lie at `dir`, without what an earlier one left there.
    pub(super) fn claim(dir: &Path) -> Result<Self, BackupError> {
        let target = free(dir)?;
        let name = target.file_name().ok_or_else(|| BackupError::Unfit(dir.to_owned()))?;
        let mut name = name.to_owned();
        name.push(".partial");
        let path = target.with_file_name(name);
        if fs::symlink_metadata(&path).is_ok_and(|found| !found.is_dir()) {
            return Err(BackupError::Foreign(path));
        }
        fs::create_dir_all(&path).map_err(io(&path))?;
        let at = path.join(MARK);
        // In this order: the mark is the first that a backup puts there.
        if !is_empty(&path).map_err(io(&path))? && !at.exists() {
            return Err(BackupError::Foreign(path));
        }
        let mark = lock(&at).map_err(io(&at))?.ok_or_else(|| BackupError::Busy(target.clone()))?;
        // One that came to its end just now has put its backup where ours shall be.
        free(&target)?;
        clear(&path).map_err(io(&path))?;
        Ok(Self { path, target, _mark: mark })
    }

    /// Where to write.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Puts it where it shall lie, for good.
    pub(super) fn finish(self) -> Result<(), BackupError> {
        let target = &self.target;
        fs::rename(&self.path, target).map_err(io(target))?;
        // Not before: without its mark a directory `.partial` would be nobody's, and the next backup refuse it.
        fs::remove_file(target.join(MARK)).map_err(io(target))?;
        let parent =
            target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        for dir in [target, parent] {
            File::open(dir).and_then(|dir| dir.sync_all()).map_err(io(dir))?;
        }
        Ok(())
    }
}

/// Returns the place, without a slash at its end, if a directory can be put there.
fn free(dir: &Path) -> Result<PathBuf, BackupError> {
    let target: PathBuf = dir.components().collect();
    match fs::symlink_metadata(&target) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(target),
        Err(error) => Err(io(&target)(error)),
        Ok(found) if !found.is_dir() => Err(BackupError::Unfit(target)),
        Ok(_) if is_empty(&target).map_err(io(&target))? => Ok(target),
        Ok(_) => Err(BackupError::Occupied(target)),
    }
}

fn is_empty(dir: &Path) -> io::Result<bool> {
    Ok(fs::read_dir(dir)?.next().is_none())
}

/// Makes the mark if need be and locks it; `None` if another has it.
fn lock(at: &Path) -> io::Result<Option<Held>> {
    let mark = OpenOptions::new().create(true).truncate(false).write(true).open(at)?;
    let mark = match Held::take(mark) {
        Ok(mark) => mark,
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(error),
    };
    // Another may have come to its end between the opening and the lock, and taken the file away with its directory.
    let (ours, there) = (mark.metadata()?, fs::symlink_metadata(at));
    if !there.is_ok_and(|there| (there.dev(), there.ino()) == (ours.dev(), ours.ino())) {
        return Ok(None);
    }
    mark.set_len(0)?;
    writeln!(&*mark, "A backup is written here. Where none runs, this directory can be deleted.")?;
    Ok(Some(mark))
}

/// Deletes all but the mark.
fn clear(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name() == MARK {
            continue;
        }
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
