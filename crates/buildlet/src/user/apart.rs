//! What must hold before jobs run as another user: what is the agent's can't be read, the work directory can't be swapped for
//! another, and nobody else runs as that user.

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use filelock::Held;
use rustix::fs::{Access, AtFlags, CWD, Mode, OFlags, accessat};

use crate::exec::tree;
use crate::user::{JobUser, UserError, of};

/// Where the system keeps what lasts as long as this boot, and only root writes.
const RUN: &str = "/run";
/// What says, in the state directory, whose the processes of that user are.
const OURS: &str = "job_user";

/// Gives the work directory to the job's user, and keeps the agent's own to root.
pub(crate) fn directories(user: &JobUser, workdir: &Path, state_dir: &Path) -> Result<(), UserError> {
    let io = |file: &Path| {
        let file = file.to_owned();
        move |source| UserError::Io { file, source }
    };
    let owner = state_dir.metadata().map_err(io(state_dir))?.uid();
    if owner != 0 {
        return Err(UserError::State { dir: state_dir.to_owned(), owner });
    }
    std::fs::set_permissions(state_dir, Permissions::from_mode(0o700)).map_err(io(state_dir))?;
    not_movable(user, workdir)?;
    give(user, workdir).map_err(io(workdir))?;
    reachable(user, workdir)
}

/// Looks whether the work directory, or the place where it will be made, is one where it can't be moved, and that a job gets to.
pub(crate) fn place(user: &JobUser, workdir: &Path) -> Result<(), UserError> {
    let io = |source| UserError::Io { file: workdir.to_owned(), source };
    let whole = std::path::absolute(workdir).map_err(io)?;
    let there = whole.ancestors().find(|above| above.is_dir()).unwrap_or(Path::new("/"));
    let rest = whole.strip_prefix(there).unwrap_or(Path::new(""));
    let whole = there.canonicalize().map_err(io)?.join(rest);
    not_movable(user, &whole)?;
    let above = whole.parent().unwrap_or(Path::new("/"));
    // What is made on the way there is root's, and lets others through.
    let above = above.ancestors().find(|above| above.is_dir()).unwrap_or(Path::new("/"));
    let through =
        of(Some(user)).and_then(|_rights| Ok(accessat(CWD, above, Access::EXEC_OK, AtFlags::EACCESS)?));
    let unreachable = |source| UserError::Unreachable { user: user.name.clone(), dir: whole.clone(), source };
    through.map_err(unreachable)
}

/// Whether a job gets into the work directory once it is its own.
fn reachable(user: &JobUser, workdir: &Path) -> Result<(), UserError> {
    let entered = of(Some(user)).and_then(|_rights| {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(rustix::fs::open(workdir, flags, Mode::empty()).map(drop)?)
    });
    let unreachable =
        |source| UserError::Unreachable { user: user.name.clone(), dir: workdir.to_owned(), source };
    entered.map_err(unreachable)
}

/// Makes the work directory the user's. Its place is root's, so no link can be in it.
pub(crate) fn give(user: &JobUser, workdir: &Path) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let dir = rustix::fs::open(workdir, flags, Mode::empty())?;
    let (uid, gid) = (rustix::fs::Uid::from_raw(user.uid), rustix::fs::Gid::from_raw(user.gid));
    rustix::fs::fchown(&dir, Some(uid), Some(gid))?;
    rustix::fs::fchmod(&dir, Mode::RWXU)?;
    Ok(())
}

/// Refuses a work directory that a job could move away and put a link in the place of.
fn not_movable(user: &JobUser, workdir: &Path) -> Result<(), UserError> {
    let movable = |above: &Path| UserError::Movable {
        user: user.name.clone(),
        dir: workdir.to_owned(),
        above: above.to_owned(),
    };
    for (level, above) in workdir.ancestors().skip(1).enumerate() {
        let stat = match above.metadata() {
            // It will be made, by root.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            stat => stat.map_err(|source| UserError::Io { file: above.to_owned(), source })?,
        };
        let writes = can(user, || Ok(accessat(CWD, above, Access::WRITE_OK, AtFlags::EACCESS)?));
        // A sticky directory lets everybody move what is their own, as the work directory is, and nothing else.
        let sticky = level > 0 && stat.mode() & 0o1000 != 0;
        if stat.uid() == user.uid || (writes && !sticky) {
            return Err(movable(above));
        }
    }
    Ok(())
}

/// Refuses a file of the agent's that a job could read; one that is not there is none.
pub(crate) fn unreadable(user: &JobUser, file: &Path) -> Result<(), UserError> {
    if can(user, || File::open(file).map(drop)) {
        return Err(UserError::Readable { user: user.name.clone(), file: file.to_owned() });
    }
    Ok(())
}

/// Whether something works with a job's rights.
fn can(user: &JobUser, what: impl FnOnce() -> io::Result<()>) -> bool {
    of(Some(user)).and_then(|_rights| what()).is_ok()
}

/// Takes a user for the jobs of this agent alone, until what is returned is dropped.
pub(crate) fn take(user: &JobUser, state_dir: &Path) -> Result<Option<Held>, UserError> {
    let lock = lock(user)?;
    free(user, state_dir)?;
    let mark = state_dir.join(OURS);
    std::fs::write(&mark, ours(user)).map_err(|source| UserError::Io { file: mark, source })?;
    Ok(lock)
}

/// Refuses a user that somebody else's processes run as. What an earlier process of this agent has left since the machine was
/// started is its own, and is ended with the rest.
pub(crate) fn free(user: &JobUser, state_dir: &Path) -> Result<(), UserError> {
    if std::fs::read_to_string(state_dir.join(OURS)).is_ok_and(|said| said == ours(user)) {
        return Ok(());
    }
    match tree::of_user(user.uid).first() {
        None => Ok(()),
        Some(process) => {
            let cmd = tree::command_line(process.pid);
            Err(UserError::Shared { user: user.name.clone(), pid: process.pid, cmd })
        }
    }
}

fn ours(user: &JobUser) -> String {
    format!("{} {}\n", user.uid, tree::boot_id())
}

fn lock(user: &JobUser) -> Result<Option<Held>, UserError> {
    if !Path::new(RUN).is_dir() {
        return Ok(None);
    }
    let path: PathBuf = Path::new(RUN).join(format!("bellwether-job-user-{}.lock", user.uid));
    let io = |source| UserError::Io { file: path.clone(), source };
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(io)?;
    match Held::take(file) {
        Ok(held) => Ok(Some(held)),
        Err(std::fs::TryLockError::WouldBlock) => Err(UserError::Taken(user.name.clone(), path)),
        Err(std::fs::TryLockError::Error(source)) => Err(io(source)),
    }
}
