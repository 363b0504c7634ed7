//! What Unix says of places.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::{Access, AtFlags, CWD, accessat, statvfs};

use super::room;
use crate::check::Finding;

/// Whether this user may make files in a directory.
pub(super) fn can_write(dir: &Path) -> bool {
    accessat(CWD, dir, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS).is_ok()
}

/// What the file system of the work directory is like.
pub(super) fn disk(dir: &Path) -> Vec<Finding> {
    let stat = match statvfs(dir) {
        Ok(stat) => stat,
        Err(error) => {
            return vec![Finding::warn("disk", format!("{}: {}", dir.display(), io::Error::from(error)))];
        }
    };
    let mut findings =
        vec![room(dir, stat.f_bavail.saturating_mul(stat.f_frsize), stat.f_files, stat.f_favail)];
    if runs_nothing(&stat) {
        let text = format!(
            "{} is mounted so that nothing runs from it (noexec), as builds must; remount it with exec, or name another --workdir",
            dir.display()
        );
        findings.push(Finding::fail("disk", text));
    }
    let shares =
        dir.metadata().ok().zip(Path::new("/").metadata().ok()).is_some_and(|(a, b)| a.dev() == b.dev());
    if shares {
        let text = "a job that fills the work directory fills the system's own disk; give it a file system of its own";
        findings.push(Finding::warn("disk", text));
    }
    findings
}

/// Whether a file system is mounted so that nothing runs from it.
#[cfg(target_os = "linux")]
fn runs_nothing(stat: &rustix::fs::StatVfs) -> bool {
    stat.f_flag.contains(rustix::fs::StatVfsMountFlags::NOEXEC)
}

/// Whether a file system is mounted so that nothing runs from it; not told here.
#[cfg(not(target_os = "linux"))]
fn runs_nothing(_stat: &rustix::fs::StatVfs) -> bool {
    false
}

/// What is wrong with a secret file's permissions, if anything is.
pub(super) fn open_to_others(check: &'static str, file: &Path) -> Option<Finding> {
    let mode = file.metadata().ok()?.mode();
    (mode & 0o077 != 0).then(|| {
        let text =
            format!("{} has mode {:03o}, so others can read it; chmod 600 it", file.display(), mode & 0o777);
        Finding::warn(check, text)
    })
}
