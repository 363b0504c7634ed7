//! Files as Unix has them, which is what SFTP speaks of.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fs::{DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{
    DirBuilderExt as _, FileExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, chown,
    fchown, lchown,
};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Timestamps, utimensat};

use super::attributes::Facts;
use super::files::Links;

pub(super) use std::fs::remove_file;
pub(super) use std::os::unix::fs::symlink;

/// The path that a client means.
#[expect(clippy::unnecessary_wraps, reason = "the other system's may be none")]
pub(super) fn path(bytes: &[u8]) -> Option<Cow<'_, Path>> {
    Some(Cow::Borrowed(Path::new(OsStr::from_bytes(bytes))))
}

/// What a client says that a link leads to.
pub(super) use path as target;

/// A path as a client is told it.
pub(super) fn path_name(path: &Path) -> Vec<u8> {
    path.as_os_str().as_bytes().to_vec()
}

/// A name in a directory as a client is told it.
pub(super) fn name(name: &OsStr) -> Vec<u8> {
    name.as_bytes().to_vec()
}

/// What there is to be said of a file.
pub(super) fn facts(file: &Metadata) -> Facts {
    Facts {
        mode: file.mode(),
        size: file.size(),
        names: file.nlink(),
        user: file.uid(),
        group: file.gid(),
        read: file.atime(),
        written: file.mtime(),
    }
}

pub(super) fn make_directory(path: &Path, mode: u32) -> io::Result<()> {
    DirBuilder::new().mode(mode).create(path)
}

/// Has a file that is made be of this mode.
pub(super) fn with_mode(options: &mut OpenOptions, mode: u32) {
    options.mode(mode);
}

/// Reads from a place in a file on; nothing at its end.
pub(super) fn read_at(file: &File, buffer: &mut [u8], from: u64) -> io::Result<usize> {
    file.read_at(buffer, from)
}

pub(super) fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    std::fs::set_permissions(path, Permissions::from_mode(mode))
}

pub(super) fn set_mode_of(file: &File, mode: u32) -> io::Result<()> {
    file.set_permissions(Permissions::from_mode(mode))
}

pub(super) fn set_times(path: &Path, times: &Timestamps, links: Links) -> io::Result<()> {
    let flags = if links == Links::Keep { AtFlags::SYMLINK_NOFOLLOW } else { AtFlags::empty() };
    Ok(utimensat(CWD, path, times, flags)?)
}

pub(super) fn set_owner(path: &Path, user: u32, group: u32, links: Links) -> io::Result<()> {
    match links {
        Links::Follow => chown(path, Some(user), Some(group)),
        Links::Keep => lchown(path, Some(user), Some(group)),
    }
}

pub(super) fn set_owner_of(file: &File, user: u32, group: u32) -> io::Result<()> {
    fchown(file, Some(user), Some(group))
}
