//! Files as Windows has them, under the names and modes that SFTP speaks of: `C:\a` is `/C:/a` there, as OpenSSH has it.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::windows::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use windows_sys::Win32::Storage::FileSystem::{
    FILE_FLAG_BACKUP_SEMANTICS, FILE_FLAG_OPEN_REPARSE_POINT, FILE_READ_ATTRIBUTES, FILE_WRITE_ATTRIBUTES,
};

use crate::sys::fs::{
    AtFlags, Mode, OFlags, Timestamps, fchmod, futimens, mkdirat, open, stat_of, symlinkat, unlinkat, whole,
};

use super::attributes::Facts;
use super::files::Links;

/// The path that a client means, as no name in it is that of a device; none, if it is no text or leads nowhere.
pub(super) fn path(bytes: &[u8]) -> Option<Cow<'_, Path>> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut parts = text.split(['/', '\\']).filter(|part| !part.is_empty());
    let on_drive = text.strip_prefix(['/', '\\']).filter(|rest| has_drive(rest)).unwrap_or(text);
    let mut path = if has_drive(on_drive) {
        PathBuf::from(format!(r"\\?\{}\", parts.next()?))
    } else if text.starts_with("//") || text.starts_with(r"\\") {
        let server = parts.next().filter(|server| !matches!(*server, "." | "?"))?;
        PathBuf::from(format!(r"\\?\UNC\{server}\{}\", parts.next()?))
    } else {
        let here = whole(&std::env::current_dir().ok()?).ok()?;
        let rooted = text.starts_with(['/', '\\']);
        if rooted { here.ancestors().last()?.to_owned() } else { here }
    };
    // Not by the system, which knows none of these in such a path.
    for part in parts {
        match part {
            "." => {}
            ".." => drop(path.pop()),
            // It would mean another drive, or a stream of a file.
            part if part.contains(':') => return None,
            part => path.push(part),
        }
    }
    Some(Cow::Owned(path))
}

/// What a client says that a link leads to.
pub(super) fn target(bytes: &[u8]) -> Option<Cow<'_, Path>> {
    let text = std::str::from_utf8(bytes).ok()?;
    let plain = text.strip_prefix('/').filter(|rest| has_drive(rest)).unwrap_or(text);
    Some(Cow::Borrowed(Path::new(plain)))
}

/// Whether a text begins with the name of a drive.
fn has_drive(text: &str) -> bool {
    matches!(text.as_bytes(), [letter, b':', rest @ ..] if letter.is_ascii_alphabetic()
        && matches!(rest.first(), None | Some(b'/' | b'\\')))
}

/// A path as a client is told it.
pub(super) fn path_name(path: &Path) -> Vec<u8> {
    let text = path.to_string_lossy();
    let plain = match (text.strip_prefix(r"\\?\UNC\"), text.strip_prefix(r"\\?\")) {
        (Some(share), _) => format!(r"\\{share}"),
        (None, Some(plain)) => plain.to_owned(),
        (None, None) => text.into_owned(),
    };
    let slashed = plain.replace('\\', "/");
    if has_drive(&slashed) { format!("/{slashed}").into_bytes() } else { slashed.into_bytes() }
}

/// A name in a directory as a client is told it.
pub(super) fn name(name: &OsStr) -> Vec<u8> {
    name.to_string_lossy().into_owned().into_bytes()
}

/// What there is to be said of a file.
pub(super) fn facts(file: &Metadata) -> Facts {
    let seconds = |time: io::Result<SystemTime>| {
        let since = time.ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    };
    let stat = stat_of(file, 1);
    Facts {
        mode: stat.st_mode,
        size: file.len(),
        names: stat.st_nlink,
        user: stat.st_uid,
        group: stat.st_gid,
        read: seconds(file.accessed()),
        written: stat.st_mtime,
    }
}

/// Where a name is, held in its place, and the name.
fn place(path: &Path) -> io::Result<(crate::sys::fd::OwnedFd, &OsStr)> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok((open(parent, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?, name))
}

/// Removes a file, or a link to whatever it leads to.
pub(super) fn remove_file(path: &Path) -> io::Result<()> {
    let (dir, name) = place(path)?;
    Ok(unlinkat(dir, name, AtFlags::empty())?)
}

pub(super) fn symlink(target: impl AsRef<Path>, path: &Path) -> io::Result<()> {
    let (dir, name) = place(path)?;
    Ok(symlinkat(target.as_ref().as_os_str(), dir, name)?)
}

pub(super) fn make_directory(path: &Path, mode: u32) -> io::Result<()> {
    let (dir, name) = place(path)?;
    Ok(mkdirat(dir, name, Mode::from_raw_mode(mode))?)
}

/// Has a file that is made be of this mode; it is made writable here, and told otherwise later.
pub(super) fn with_mode(_options: &mut OpenOptions, _mode: u32) {}

/// Reads from a place in a file on; nothing at its end.
pub(super) fn read_at(file: &File, buffer: &mut [u8], from: u64) -> io::Result<usize> {
    file.seek_read(buffer, from)
}

/// Opens something for what is known of it alone.
fn known(path: &Path, links: Links) -> io::Result<File> {
    let flags = match links {
        Links::Follow => FILE_FLAG_BACKUP_SEMANTICS,
        Links::Keep => FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OPEN_REPARSE_POINT,
    };
    File::options().access_mode(FILE_READ_ATTRIBUTES | FILE_WRITE_ATTRIBUTES).custom_flags(flags).open(path)
}

pub(super) fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    set_mode_of(&known(path, Links::Follow)?, mode)
}

pub(super) fn set_mode_of(file: &File, mode: u32) -> io::Result<()> {
    Ok(fchmod(file, Mode::from_raw_mode(mode))?)
}

pub(super) fn set_times(path: &Path, times: &Timestamps, links: Links) -> io::Result<()> {
    Ok(futimens(known(path, links)?, times)?)
}

pub(super) fn set_owner(_path: &Path, _user: u32, _group: u32, _links: Links) -> io::Result<()> {
    Err(no_numbers())
}

pub(super) fn set_owner_of(_file: &File, _user: u32, _group: u32) -> io::Result<()> {
    Err(no_numbers())
}

fn no_numbers() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "users have no numbers on Windows")
}
