//! What stands for descriptors: a file that is open, and where it is.
//!
//! A directory is opened so that nobody can remove or rename it meanwhile, nor any above it. So its path means the same directory for
//! as long as it is open, and a name in it can be reached by path.

use std::fs::File;
use std::path::{Path, PathBuf};

/// Something that is open.
#[derive(Debug)]
pub(crate) struct OwnedFd {
    pub(super) file: File,
    pub(super) path: PathBuf,
}

/// The same, lent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BorrowedFd<'a> {
    pub(super) file: &'a File,
    pub(super) path: &'a Path,
}

/// What names can be in.
pub(crate) trait AsFd {
    /// Lends it.
    fn as_fd(&self) -> BorrowedFd<'_>;
}

impl AsFd for OwnedFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        BorrowedFd { file: &self.file, path: &self.path }
    }
}

impl AsFd for BorrowedFd<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        *self
    }
}

impl<T: AsFd> AsFd for &T {
    fn as_fd(&self) -> BorrowedFd<'_> {
        T::as_fd(self)
    }
}

/// What has attributes.
pub(crate) trait Opened {
    /// The file.
    fn file(&self) -> &File;
}

impl Opened for File {
    fn file(&self) -> &File {
        self
    }
}

impl Opened for OwnedFd {
    fn file(&self) -> &File {
        &self.file
    }
}

impl Opened for BorrowedFd<'_> {
    fn file(&self) -> &File {
        self.file
    }
}

impl<T: Opened> Opened for &T {
    fn file(&self) -> &File {
        T::file(self)
    }
}

impl From<OwnedFd> for File {
    fn from(opened: OwnedFd) -> Self {
        opened.file
    }
}
