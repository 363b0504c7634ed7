//! Unpacking an archive with no way out of its directory: every member is reached by descriptor, and a member
//! that cannot be made safely is refused by its name.

mod ahead;
mod sparse;
#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write as _};
use std::time::{SystemTime, UNIX_EPOCH};

use tar::EntryType;

use crate::beneath::{self, LOOK, permissions};
use crate::paths::clean;
use crate::sys::fd::OwnedFd;
use crate::sys::fs::{
    AtFlags, FileType, Mode, OFlags, Timespec, Timestamps, fchmod, fstat, futimens, linkat, mkdirat, statat,
    symlinkat, unlinkat,
};
use crate::sys::{Errno, OsStrExt as _};
use sparse::Sparse;

/// Why an archive was not unpacked; what came before it stays.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UntarError {
    /// The archive is damaged, or a member is refused: the sender's fault.
    #[error("{0}")]
    Refused(String),
    #[error("{name}: {source}")]
    Io { name: String, source: io::Error },
    /// The caller's check said stop.
    #[error("interrupted")]
    Interrupted,
}

/// How much of an archive is taken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Most {
    /// Bytes as they are sent, and bytes of members as they are unpacked.
    pub(crate) bytes: u64,
    /// Members, and the directories that their names bring with them.
    pub(crate) members: u64,
}

/// Members of an archive: each is an inode, of which a disk has fewer than bytes.
pub(crate) const MEMBERS: u64 = 4_000_000;
/// What the names of directories may take in memory together, in bytes.
const DIR_NAMES: usize = 128 << 20;
/// What may stand before a member: its header, a long name, a long target and what pax says of it. The tar crate holds all of
/// it in memory.
const BEFORE: u64 = 1 << 20;
/// What is written at once, in bytes.
const BUFFER: usize = 128 << 10;

/// Unpacks a gzip'd tar into a directory; `go_on` is asked before each member.
pub(crate) fn untar(
    archive: impl Read + Send,
    dest: OwnedFd,
    now: SystemTime,
    most: Most,
    go_on: &dyn Fn() -> bool,
) -> Result<(), UntarError> {
    let mut unpack = Unpack::new(dest, now, most);
    let sent =
        Metered { inner: archive, left: most.bytes, over: "the archive has more bytes than are taken" };
    let unpacked = ahead::unpacked(sent, |plain| unpack.all(plain, go_on));
    unpacked.map_err(|source| UntarError::Io { name: "a thread to unpack with".to_owned(), source })??;
    unpack.finish()
}

/// Unpacks what is no gzip any more: many more of them in a second than with threads to unpack them.
#[cfg(all(unix, feature = "ssh", any(test, fuzzing)))]
pub(crate) fn untar_plain(
    plain: impl Read,
    dest: OwnedFd,
    now: SystemTime,
    most: Most,
) -> Result<(), UntarError> {
    let mut unpack = Unpack::new(dest, now, most);
    unpack.all(plain, &|| true)?;
    unpack.finish()
}

/// What a member's header and what stands before it may still take; it is set anew between two members.
struct Before<'a, R> {
    inner: R,
    left: &'a Cell<u64>,
}

impl<R: Read> Read for Before<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let over = "more stands before a member than any archive has";
        let mut metered = Metered { inner: &mut self.inner, left: self.left.get(), over };
        let read = metered.read(buffer)?;
        self.left.set(metered.left);
        Ok(read)
    }
}

/// Reads until it has read too much.
struct Metered<R> {
    inner: R,
    left: u64,
    over: &'static str,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 && !buffer.is_empty() {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, self.over));
        }
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.inner.read(buffer.get_mut(..most).unwrap_or_default())?;
        self.left -= read as u64;
        Ok(read)
    }
}

struct Unpack {
    root: OwnedFd,
    /// The directory of the last member, which is mostly also that of the next.
    parent: Option<(String, OwnedFd)>,
    /// Set at the end, because a directory may be read-only.
    dir_modes: Vec<(String, u32)>,
    now: SystemTime,
    left: Most,
    /// How much the names in `dir_modes` may still grow, in bytes.
    names_left: usize,
    /// What is written at once: of most files all.
    buffer: Vec<u8>,
}

impl Unpack {
    fn new(dest: OwnedFd, now: SystemTime, most: Most) -> Self {
        Self {
            root: dest,
            parent: None,
            dir_modes: Vec::new(),
            now,
            left: most,
            names_left: DIR_NAMES,
            buffer: vec![0; BUFFER],
        }
    }

    fn all(&mut self, plain: impl Read, go_on: &dyn Fn() -> bool) -> Result<(), UntarError> {
        let before = Cell::new(BEFORE);
        let mut tar = tar::Archive::new(Before { inner: plain, left: &before });
        let damaged = |error: io::Error| UntarError::Refused(format!("damaged archive: {error}"));
        for entry in tar.entries().map_err(damaged)? {
            let mut entry = entry.map_err(damaged)?;
            if !go_on() {
                return Err(UntarError::Interrupted);
            }
            // Its content is measured where it is written.
            before.set(u64::MAX);
            self.member(&mut entry)?;
            // What a directory or a link has for content is read past here, so that it counts for itself.
            self.pass(&mut entry).map_err(damaged)?;
            before.set(BEFORE);
        }
        Ok(())
    }

    fn member<R: Read>(&mut self, entry: &mut tar::Entry<'_, R>) -> Result<(), UntarError> {
        let kind = entry.header().entry_type();
        self.count_member().map_err(|e| blame(e, ""))?;
        if matches!(kind, EntryType::XGlobalHeader) {
            return Ok(());
        }
        let sparse = sparse_of(entry);
        let raw = match &sparse {
            Ok(Some(Sparse { name: Some(name), .. })) => name.as_bytes().to_vec(),
            _ => entry.path_bytes().into_owned(),
        };
        let name = String::from_utf8_lossy(&raw).into_owned();
        let text = std::str::from_utf8(&raw);
        let refused = |why: &str| UntarError::Refused(format!("{name:?}: {why}"));
        let sparse = sparse.map_err(|error| refused(&error.to_string()))?;
        // A name that is not UTF-8 is as good as another for the file system; only its parts matter.
        let lossless: String = match text {
            Ok(text) => text.to_owned(),
            Err(_) => return Err(refused("the name is not UTF-8")),
        };
        let path = clean(&lossless).ok_or_else(|| refused("the name leads out of the directory"))?;
        let mode = entry.header().mode().map_err(|_bad| refused("bad mode"))? & 0o777;
        let is_dir = kind.is_dir() || (kind.is_file() && lossless.ends_with('/'));
        if path.is_empty() {
            return if is_dir { Ok(()) } else { Err(refused("the name is that of the directory itself")) };
        }
        let fail = |source: io::Error| UntarError::Io { name: name.clone(), source };
        let (dir, leaf) = path.rsplit_once('/').unwrap_or(("", &path));
        self.enter(dir).map_err(|e| blame(e, &name))?;
        if is_dir {
            self.make_dir(self.parent(), &path).map_err(|e| blame(e.into(), &name))?;
            self.names_left = self
                .names_left
                .checked_sub(path.len())
                .ok_or_else(|| refused("the archive has more directories than are taken"))?;
            self.dir_modes.push((path, mode));
            return Ok(());
        }
        match kind {
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                self.file(entry, sparse.as_ref(), leaf, mode, &name)
            }
            EntryType::Symlink => {
                let target = entry.link_name_bytes().ok_or_else(|| refused("a symlink without a target"))?;
                let target = target.into_owned();
                self.symlink(&path, leaf, &target).map_err(|e| match e {
                    Errno::XDEV => refused("the symlink leads out of the directory"),
                    e => fail(e.into()),
                })
            }
            EntryType::Link => {
                let target =
                    entry.link_name_bytes().ok_or_else(|| refused("a hard link without a target"))?;
                let target = String::from_utf8_lossy(&target).into_owned();
                let target =
                    clean(&target).ok_or_else(|| refused("the hard link leads out of the directory"))?;
                self.hard_link(&target, leaf).map_err(|e| match e {
                    Errno::XDEV | Errno::LOOP => refused("the hard link leads out of the directory"),
                    Errno::NOENT => refused("the hard link's target is not in the archive"),
                    Errno::PERM => refused("the hard link's target is no regular file"),
                    e => fail(e.into()),
                })
            }
            other => Err(refused(&format!("a member of type {:?} is not unpacked", other.as_byte() as char))),
        }
    }

    /// Counts what is made.
    fn count_member(&mut self) -> Result<(), DirError> {
        self.left.members = self.left.members.checked_sub(1).ok_or(DirError::TooMany)?;
        Ok(())
    }

    /// Counts bytes that a member is made of.
    fn count(&mut self, size: u64, name: &str) -> Result<(), UntarError> {
        let too_much = || {
            UntarError::Refused(format!(
                "{name:?}: the archive has more than is unpacked; this buildlet's operator would allow more with --upload-bytes"
            ))
        };
        self.left.bytes = self.left.bytes.checked_sub(size).ok_or_else(too_much)?;
        Ok(())
    }

    /// Reads what a member has left of its content.
    fn pass<R: Read>(&mut self, entry: &mut tar::Entry<'_, R>) -> io::Result<()> {
        let passed = io::copy(&mut entry.take(self.left.bytes), &mut io::sink())?;
        self.left.bytes -= passed;
        if self.left.bytes == 0 && entry.read(&mut [0])? > 0 {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it has more bytes than are unpacked"));
        }
        Ok(())
    }

    /// Makes `dir` the current parent.
    fn enter(&mut self, dir: &str) -> Result<(), DirError> {
        if self.parent.as_ref().is_none_or(|(current, _)| current != dir) {
            let fd = self.open_dir(dir)?;
            self.parent = Some((dir.to_owned(), fd));
        }
        Ok(())
    }

    fn parent(&self) -> &OwnedFd {
        self.parent.as_ref().map_or(&self.root, |(_, fd)| fd)
    }

    /// Opens a directory, making what is missing; links on the way may lead elsewhere within, never out.
    fn open_dir(&mut self, path: &str) -> Result<OwnedFd, DirError> {
        match self.dir(path) {
            Err(Errno::NOENT) => {}
            opened => return Ok(opened?),
        }
        let above = self.open_dir(path.rsplit_once('/').map_or("", |(above, _)| above))?;
        // No member asked for it.
        self.count_member()?;
        Ok(self.make_dir(&above, path)?)
    }

    /// Makes a directory in the one above it, if it is not there.
    fn make_dir(&self, above: &OwnedFd, path: &str) -> Result<OwnedFd, Errno> {
        let leaf = path.rsplit_once('/').map_or(path, |(_, leaf)| leaf);
        match mkdirat(above, leaf, permissions(0o755)) {
            Err(Errno::EXIST) => {}
            made => made?,
        }
        self.dir(path)
    }

    fn dir(&self, path: &str) -> Result<OwnedFd, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        beneath::open(&self.root, if path.is_empty() { "." } else { path }, flags, Mode::empty())
    }

    fn file<R: Read>(
        &mut self,
        entry: &mut tar::Entry<'_, R>,
        sparse: Option<&Sparse>,
        leaf: &str,
        mode: u32,
        name: &str,
    ) -> Result<(), UntarError> {
        let fail = |source: io::Error| UntarError::Io { name: name.to_owned(), source };
        let stored = entry.size();
        self.count(sparse.map_or(stored, |sparse| sparse.size.max(stored)), name)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        // Mostly there is nothing in its place, and what was just made is a plain file of one name.
        let file = match beneath::open(self.parent(), leaf, flags | OFlags::EXCL, permissions(0o600)) {
            Ok(new) => File::from(new),
            Err(Errno::EXIST) => self.in_place(leaf, flags, name)?,
            Err(error) => return Err(fail(error.into())),
        };
        match sparse {
            Some(sparse) => {
                sparse.write(entry, stored, &file, &mut self.buffer).map_err(|error| match error {
                    error if error.kind() == io::ErrorKind::InvalidData => {
                        UntarError::Refused(format!("{name:?}: {error}"))
                    }
                    error => fail(error),
                })?
            }
            None => self.copy(entry, &file, stored).map_err(fail)?,
        }
        fchmod(&file, permissions(mode)).map_err(|e| fail(e.into()))?;
        let latest = self.now.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        let seconds = entry.header().mtime().unwrap_or(latest).min(latest);
        let at = Timespec { tv_sec: i64::try_from(seconds).unwrap_or(0), tv_nsec: 0 };
        // As the original: a file system without times is no reason to fail.
        let _set = futimens(&file, &Timestamps { last_access: at, last_modification: at });
        Ok(())
    }

    /// Opens what is in a file's place, emptied, or a new one if that can't be written to for this name alone.
    fn in_place(&self, leaf: &str, flags: OFlags, name: &str) -> Result<File, UntarError> {
        let fail = |error: Errno| UntarError::Io { name: name.to_owned(), source: error.into() };
        let open = || beneath::open(self.parent(), leaf, flags, permissions(0o600));
        let fd = match open() {
            // A link, or something else that is no plain file of ours, makes way.
            Err(Errno::LOOP | Errno::ACCESS | Errno::NXIO | Errno::TXTBSY) => {
                unlinkat(self.parent(), leaf, AtFlags::empty()).map_err(fail)?;
                open()
            }
            opened => opened,
        };
        let mut file = File::from(fd.map_err(fail)?);
        let stat = fstat(&file).map_err(fail)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(UntarError::Refused(format!("{name:?}: something that is no file is in its place")));
        }
        if stat.st_nlink > 1 {
            // Written through, it would change the other names too.
            drop(file);
            unlinkat(self.parent(), leaf, AtFlags::empty()).map_err(fail)?;
            file = File::from(open().map_err(fail)?);
        }
        if stat.st_size > 0 {
            file.set_len(0).map_err(|source| UntarError::Io { name: name.to_owned(), source })?;
        }
        Ok(file)
    }

    /// Writes a member's content, which must have so many bytes.
    fn copy(&mut self, from: &mut impl Read, mut to: &File, size: u64) -> io::Result<()> {
        let mut left = size;
        while left > 0 {
            let mut filled = 0;
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
            while filled < most {
                match from.read(self.buffer.get_mut(filled..most).unwrap_or_default()) {
                    Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                    Ok(read) => filled += read,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            to.write_all(self.buffer.get(..filled).unwrap_or_default())?;
            left -= filled as u64;
        }
        Ok(())
    }

    fn symlink(&self, path: &str, leaf: &str, target: &[u8]) -> Result<(), Errno> {
        if target.starts_with(b"/") || target.is_empty() || target.contains(&0) {
            return Err(Errno::XDEV);
        }
        let target = OsStr::from_bytes(target);
        match symlinkat(target, self.parent(), leaf) {
            Err(Errno::EXIST) => {
                unlinkat(self.parent(), leaf, AtFlags::empty())?;
                symlinkat(target, self.parent(), leaf)?;
            }
            made => made?,
        }
        match beneath::open(&self.root, path, LOOK | OFlags::CLOEXEC, Mode::empty()) {
            Err(Errno::XDEV) => {}
            // A link to what comes later, or to itself: its text must not climb out of where it really is.
            Err(Errno::NOENT | Errno::LOOP | Errno::NOTDIR) if self.text_stays_inside(target) => {
                return Ok(());
            }
            Err(Errno::NOENT | Errno::LOOP | Errno::NOTDIR) => {}
            opened => return opened.map(drop),
        }
        unlinkat(self.parent(), leaf, AtFlags::empty())?;
        Err(Errno::XDEV)
    }

    /// Whether a link of this text stays inside from the directory that it really is in.
    fn text_stays_inside(&self, target: &OsStr) -> bool {
        let Some(inside) = self.parent_inside() else { return false };
        inside.join(target).to_str().is_some_and(crate::paths::is_relative_beneath)
    }

    /// Where the current parent really is, from the top of the archive.
    #[cfg(target_os = "linux")]
    fn parent_inside(&self) -> Option<std::path::PathBuf> {
        let place = |fd: &OwnedFd| {
            use std::os::fd::AsRawFd as _;
            std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd()))
        };
        let (root, parent) = (place(&self.root).ok()?, place(self.parent()).ok()?);
        Some(parent.strip_prefix(&root).ok()?.to_owned())
    }

    /// Where the current parent really is, from the top of the archive: where its name says, if there is no link on the way.
    #[cfg(not(target_os = "linux"))]
    fn parent_inside(&self) -> Option<std::path::PathBuf> {
        let path = self.parent.as_ref().map_or("", |(path, _)| path);
        let flags = LOOK | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut at = crate::sys::fs::openat(&self.root, ".", flags, Mode::empty()).ok()?;
        for part in path.split('/').filter(|part| !part.is_empty()) {
            at = crate::sys::fs::openat(&at, part, flags, Mode::empty()).ok()?;
        }
        Some(path.into())
    }

    fn hard_link(&self, target: &str, leaf: &str) -> Result<(), Errno> {
        let (dir, target_leaf) = target.rsplit_once('/').unwrap_or(("", target));
        let inside = if dir.is_empty() { "." } else { dir };
        let flags = LOOK | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = beneath::open(&self.root, inside, flags, Mode::empty())?;
        let stat = statat(&dir, target_leaf, AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(Errno::PERM);
        }
        match linkat(&dir, target_leaf, self.parent(), leaf, AtFlags::empty()) {
            Err(Errno::EXIST) => {
                unlinkat(self.parent(), leaf, AtFlags::empty())?;
                linkat(&dir, target_leaf, self.parent(), leaf, AtFlags::empty())
            }
            linked => linked,
        }
    }

    /// Gives directories their modes, deepest last made first.
    fn finish(mut self) -> Result<(), UntarError> {
        for (path, mode) in std::mem::take(&mut self.dir_modes).iter().rev() {
            let dir = self.open_dir(path).map_err(|e| blame(e, path))?;
            let set = fchmod(dir, permissions(*mode));
            set.map_err(|e| UntarError::Io { name: path.clone(), source: e.into() })?;
        }
        Ok(())
    }
}

/// What a member's pax records say of holes.
fn sparse_of<R: Read>(entry: &mut tar::Entry<'_, R>) -> io::Result<Option<Sparse>> {
    if entry.header().entry_type() == EntryType::GNUSparse {
        return Ok(None);
    }
    let Some(records) = entry.pax_extensions()? else { return Ok(None) };
    let records = records.collect::<io::Result<Vec<_>>>()?;
    Sparse::of(records.iter().filter_map(|record| Some((record.key().ok()?, record.value().ok()?))))
}

/// Why a directory can't be gone into.
#[derive(Debug)]
enum DirError {
    System(Errno),
    TooMany,
}

impl From<Errno> for DirError {
    fn from(error: Errno) -> Self {
        Self::System(error)
    }
}

fn blame(error: DirError, name: &str) -> UntarError {
    match error {
        DirError::TooMany => UntarError::Refused("the archive has more members than are taken".to_owned()),
        DirError::System(Errno::XDEV | Errno::LOOP) => {
            UntarError::Refused(format!("{name:?}: a link on the way leads out of the directory"))
        }
        DirError::System(Errno::NOTDIR) => {
            UntarError::Refused(format!("{name:?}: a file is where a directory should be"))
        }
        DirError::System(error) => UntarError::Io { name: name.to_owned(), source: error.into() },
    }
}
