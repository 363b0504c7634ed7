//! The calls of rustix that the agent makes on files, with their meaning on Windows.
//!
//! No call follows a link in the last part of a name, whatever its flags say: who wants that reads the link (`beneath`).

mod words;

use std::ffi::{CStr, CString};
use std::fs::{File, FileTimes, Metadata, OpenOptions};
use std::io;
use std::os::windows::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use windows_sys::Win32::Storage::FileSystem::{
    FILE_ATTRIBUTE_READONLY, FILE_FLAG_BACKUP_SEMANTICS, FILE_FLAG_OPEN_REPARSE_POINT, FILE_READ_ATTRIBUTES,
    FILE_SHARE_DELETE, FILE_SHARE_READ, FILE_SHARE_WRITE,
};

use super::Errno;
use super::fd::{AsFd, BorrowedFd, Opened, OwnedFd};
use super::kernel;
pub(crate) use words::{Arg, AtFlags, FileType, Mode, OFlags, RawMode, Stat, Timespec, Timestamps};

/// Opens a path of the agent's own.
pub(crate) fn open(path: impl AsRef<Path>, flags: OFlags, _mode: Mode) -> Result<OwnedFd, Errno> {
    at(whole(path.as_ref())?, flags)
}

/// Opens a name in a directory.
pub(crate) fn openat(dir: impl AsFd, name: impl Arg, flags: OFlags, _mode: Mode) -> Result<OwnedFd, Errno> {
    at(inside(dir.as_fd(), name)?, flags)
}

/// Makes a directory.
pub(crate) fn mkdirat(dir: impl AsFd, name: impl Arg, _mode: Mode) -> Result<(), Errno> {
    Ok(std::fs::create_dir(inside(dir.as_fd(), name)?)?)
}

/// Removes a name; a directory only if the flags say so.
pub(crate) fn unlinkat(dir: impl AsFd, name: impl Arg, flags: AtFlags) -> Result<(), Errno> {
    let path = inside(dir.as_fd(), name)?;
    let stat = path.symlink_metadata()?;
    if stat.is_dir() && !flags.contains(AtFlags::REMOVEDIR) {
        return Err(Errno::ISDIR);
    }
    // A link to a directory is removed as one.
    let as_dir = |path: &Path| stat.is_dir() || (stat.is_symlink() && is_directory_link(path));
    let remove =
        |path: &Path| if as_dir(path) { std::fs::remove_dir(path) } else { std::fs::remove_file(path) };
    match remove(&path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied && stat.permissions().readonly() => {
            writable(&path, &stat)?;
            Ok(remove(&path)?)
        }
        removed => Ok(removed?),
    }
}

fn is_directory_link(path: &Path) -> bool {
    use std::os::windows::fs::FileTypeExt as _;
    path.symlink_metadata().is_ok_and(|stat| stat.file_type().is_symlink_dir())
}

#[expect(
    clippy::permissions_set_readonly_false,
    reason = "there is one such permission, and it is everybody's"
)]
fn writable(path: &Path, stat: &Metadata) -> io::Result<()> {
    let mut permissions = stat.permissions();
    permissions.set_readonly(false);
    std::fs::set_permissions(path, permissions)
}

/// Moves a name.
pub(crate) fn renameat(from: impl AsFd, name: impl Arg, to: impl AsFd, new: impl Arg) -> Result<(), Errno> {
    Ok(std::fs::rename(inside(from.as_fd(), name)?, inside(to.as_fd(), new)?)?)
}

/// Makes a link of this text.
pub(crate) fn symlinkat(target: impl Arg, dir: impl AsFd, name: impl Arg) -> Result<(), Errno> {
    let path = inside(dir.as_fd(), name)?;
    let text = target.text()?.replace('/', "\\");
    // Links to directories are others than those to files; what is not there yet is taken to become a file.
    let to_dir = dir.as_fd().path.join(&text).is_dir();
    let made = if to_dir {
        std::os::windows::fs::symlink_dir(&text, path)
    } else {
        std::os::windows::fs::symlink_file(&text, path)
    };
    Ok(made?)
}

/// Gives a file another name.
pub(crate) fn linkat(
    from: impl AsFd,
    name: impl Arg,
    to: impl AsFd,
    new: impl Arg,
    _flags: AtFlags,
) -> Result<(), Errno> {
    Ok(std::fs::hard_link(inside(from.as_fd(), name)?, inside(to.as_fd(), new)?)?)
}

/// Reads the text of a link, with `/` between its parts; what does not go from where the link is begins with one.
pub(crate) fn readlinkat(dir: impl AsFd, name: impl Arg, _buffer: Vec<u8>) -> Result<CString, Errno> {
    let target = std::fs::read_link(inside(dir.as_fd(), name)?)?;
    let text = target.to_string_lossy().replace('\\', "/");
    let text = if target.is_absolute() || target.has_root() || text.contains(':') {
        format!("/{text}")
    } else {
        text
    };
    CString::new(text).map_err(|_nul| Errno::INVAL)
}

/// Looks at a name; never through a link.
pub(crate) fn statat(dir: impl AsFd, name: impl Arg, _flags: AtFlags) -> Result<Stat, Errno> {
    let stat = inside(dir.as_fd(), name)?.symlink_metadata()?;
    Ok(stat_of(&stat, 1))
}

/// Looks at what is open.
pub(crate) fn fstat(opened: impl Opened) -> Result<Stat, Errno> {
    let file = opened.file();
    Ok(stat_of(&file.metadata()?, kernel::links(file)?))
}

/// Lets what is open be written to or not, which is all there is of a mode.
pub(crate) fn fchmod(opened: impl Opened, mode: Mode) -> Result<(), Errno> {
    let file = opened.file();
    let stat = file.metadata()?;
    let readonly = mode.bits() & 0o200 == 0;
    if stat.is_dir() || stat.permissions().readonly() == readonly {
        return Ok(());
    }
    let mut permissions = stat.permissions();
    permissions.set_readonly(readonly);
    Ok(file.set_permissions(permissions)?)
}

/// The same by name.
pub(crate) fn chmodat(dir: impl AsFd, name: impl Arg, mode: Mode, _flags: AtFlags) -> Result<(), Errno> {
    fchmod(openat(dir, name, OFlags::RDONLY | OFlags::NOFOLLOW, Mode::empty())?, mode)
}

/// Sets times.
pub(crate) fn futimens(opened: impl Opened, times: &Timestamps) -> Result<(), Errno> {
    let at = |time: &Timespec| -> SystemTime {
        let since = Duration::from_secs(u64::try_from(time.tv_sec).unwrap_or(0));
        UNIX_EPOCH + since + Duration::from_nanos(u64::try_from(time.tv_nsec).unwrap_or(0))
    };
    let times =
        FileTimes::new().set_accessed(at(&times.last_access)).set_modified(at(&times.last_modification));
    Ok(opened.file().set_times(times)?)
}

/// The names in a directory.
pub(crate) struct Dir(std::fs::ReadDir);

/// One of them.
pub(crate) struct DirEntry(CString);

impl Dir {
    /// Begins to read.
    pub(crate) fn read_from(dir: impl AsFd) -> Result<Self, Errno> {
        Ok(Self(std::fs::read_dir(dir.as_fd().path)?))
    }
}

impl Iterator for Dir {
    type Item = Result<DirEntry, Errno>;

    fn next(&mut self) -> Option<Self::Item> {
        let name = self.0.next()?.map_err(Errno::from).and_then(|entry| {
            // What is no text is told as missing when it is asked for.
            CString::new(entry.file_name().to_string_lossy().into_owned()).map_err(|_nul| Errno::INVAL)
        });
        Some(name.map(DirEntry))
    }
}

impl DirEntry {
    /// Its name.
    pub(crate) fn file_name(&self) -> &CStr {
        &self.0
    }
}

/// A path that means what it says: without the names of devices, and as long as it likes.
pub(crate) fn whole(path: &Path) -> Result<PathBuf, Errno> {
    let path = std::path::absolute(path)?;
    let text = path.to_str().ok_or(Errno::NONAME)?;
    Ok(match text.strip_prefix(r"\\") {
        Some(rest) if rest.starts_with(r"?\") || rest.starts_with(r".\") => path,
        Some(share) => format!(r"\\?\UNC\{share}").into(),
        None => format!(r"\\?\{text}").into(),
    })
}

/// Where a name in a directory is. It must be one name, and one that a file can have.
fn inside(dir: BorrowedFd<'_>, name: impl Arg) -> Result<PathBuf, Errno> {
    let name = name.text()?;
    if name == "." {
        return Ok(dir.path.to_owned());
    }
    let bad = |c: char| c.is_control() || matches!(c, '\\' | '/' | ':' | '*' | '?' | '"' | '<' | '>' | '|');
    if name.is_empty() || name == ".." || name.contains(bad) {
        return Err(Errno::NONAME);
    }
    Ok(dir.path.join(&*name))
}

fn at(path: PathBuf, flags: OFlags) -> Result<OwnedFd, Errno> {
    let writes = flags.contains(OFlags::WRONLY) || flags.contains(OFlags::RDWR);
    let mut options = OpenOptions::new();
    options.custom_flags(FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OPEN_REPARSE_POINT);
    options.read(!flags.contains(OFlags::WRONLY)).write(writes);
    if flags.contains(OFlags::DIRECTORY) {
        // Who reads it holds it in its place; that alone counts for nothing if only its attributes are asked for.
        options.share_mode(FILE_SHARE_READ | FILE_SHARE_WRITE);
    } else {
        options.share_mode(FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE);
        if flags.contains(OFlags::PATH) {
            options.access_mode(FILE_READ_ATTRIBUTES);
        }
    }
    let creates = flags.contains(OFlags::CREATE);
    if creates && flags.contains(OFlags::EXCL) {
        options.create_new(true);
    } else if creates {
        options.create(true).truncate(false);
    }
    let file = options.open(&path).map_err(|error| match Errno::from(error) {
        // A directory that is asked for by name as a file.
        Errno::ACCESS if writes && path.is_dir() => Errno::ISDIR,
        error => error,
    })?;
    let stat = file.metadata()?;
    let only_looks = flags.contains(OFlags::PATH) && !flags.contains(OFlags::DIRECTORY);
    if stat.is_symlink() && !only_looks {
        return Err(Errno::LOOP);
    }
    if flags.contains(OFlags::DIRECTORY) && !stat.is_dir() {
        return Err(Errno::NOTDIR);
    }
    if stat.is_dir() && writes {
        return Err(Errno::ISDIR);
    }
    if flags.contains(OFlags::TRUNC) && writes {
        file.set_len(0)?;
    }
    Ok(OwnedFd { file, path })
}

/// A mode as Go makes one up here.
pub(crate) fn stat_of(stat: &Metadata, links: u64) -> Stat {
    let write = if stat.file_attributes() & FILE_ATTRIBUTE_READONLY != 0 { 0o444 } else { 0o666 };
    let st_mode = if stat.is_symlink() {
        FileType::Symlink.bits() | 0o777
    } else if stat.is_dir() {
        FileType::Directory.bits() | 0o777
    } else {
        FileType::RegularFile.bits() | write
    };
    let modified =
        stat.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    Stat {
        st_mode,
        st_size: stat.len().cast_signed(),
        st_blocks: stat.len().div_ceil(512).cast_signed(),
        st_mtime: i64::try_from(modified.as_secs()).unwrap_or(i64::MAX),
        st_mtime_nsec: i64::from(modified.subsec_nanos()),
        st_nlink: links,
        st_uid: 0,
        st_gid: 0,
    }
}

/// Whether files can be made in a directory.
pub(crate) fn can_write(dir: &Path) -> bool {
    File::options()
        .access_mode(windows_sys::Win32::Storage::FileSystem::FILE_ADD_FILE)
        .custom_flags(FILE_FLAG_BACKUP_SEMANTICS)
        .open(dir)
        .is_ok()
}
