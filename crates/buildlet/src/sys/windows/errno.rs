//! The system's errors by the names that Unix has for what they mean.

use std::io;

use windows_sys::Win32::Foundation::{
    ERROR_ACCESS_DENIED, ERROR_ALREADY_EXISTS, ERROR_CANT_RESOLVE_FILENAME, ERROR_DIRECTORY,
    ERROR_DIRECTORY_NOT_SUPPORTED, ERROR_FILE_EXISTS, ERROR_FILE_NOT_FOUND, ERROR_FILENAME_EXCED_RANGE,
    ERROR_GEN_FAILURE, ERROR_INVALID_NAME, ERROR_INVALID_PARAMETER, ERROR_NOT_SAME_DEVICE,
    ERROR_PATH_NOT_FOUND, ERROR_PRIVILEGE_NOT_HELD, ERROR_SHARING_VIOLATION,
};

/// An error of the system's.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Errno(u32);

impl Errno {
    pub(crate) const ACCESS: Self = Self(ERROR_ACCESS_DENIED);
    pub(crate) const EXIST: Self = Self(ERROR_ALREADY_EXISTS);
    pub(crate) const INVAL: Self = Self(ERROR_INVALID_PARAMETER);
    pub(crate) const IO: Self = Self(ERROR_GEN_FAILURE);
    pub(crate) const ISDIR: Self = Self(ERROR_DIRECTORY_NOT_SUPPORTED);
    pub(crate) const LOOP: Self = Self(ERROR_CANT_RESOLVE_FILENAME);
    pub(crate) const NAMETOOLONG: Self = Self(ERROR_FILENAME_EXCED_RANGE);
    pub(crate) const NOENT: Self = Self(ERROR_FILE_NOT_FOUND);
    pub(crate) const NOTDIR: Self = Self(ERROR_DIRECTORY);
    /// A name that no file can have.
    pub(crate) const NONAME: Self = Self(ERROR_INVALID_NAME);
    /// Something that is no file.
    pub(crate) const NXIO: Self = Self(ERROR_GEN_FAILURE);
    pub(crate) const PERM: Self = Self(ERROR_PRIVILEGE_NOT_HELD);
    /// A program that runs.
    pub(crate) const TXTBSY: Self = Self(ERROR_SHARING_VIOLATION);
    pub(crate) const XDEV: Self = Self(ERROR_NOT_SAME_DEVICE);

    /// What an error is, if the system told it.
    pub(crate) fn from_io_error(error: &io::Error) -> Option<Self> {
        let code = error.raw_os_error()?.cast_unsigned();
        // Some have two numbers for one thing.
        Some(match code {
            ERROR_PATH_NOT_FOUND => Self::NOENT,
            ERROR_FILE_EXISTS => Self::EXIST,
            code => Self(code),
        })
    }
}

impl From<io::Error> for Errno {
    fn from(error: io::Error) -> Self {
        Self::from_io_error(&error).unwrap_or(Self::IO)
    }
}

impl From<Errno> for io::Error {
    fn from(error: Errno) -> Self {
        Self::from_raw_os_error(error.0.cast_signed())
    }
}

impl std::fmt::Debug for Errno {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", io::Error::from(*self))
    }
}
