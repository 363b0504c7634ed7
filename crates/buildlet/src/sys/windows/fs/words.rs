//! The types of rustix's calls on files.

use std::borrow::Cow;
use std::ffi::{CStr, CString, OsStr};
use std::ops::BitOr;

use super::Errno;

macro_rules! flags {
    ($(#[$doc:meta])* $name:ident { $($flag:ident = $bits:expr),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) struct $name(u32);

        impl $name {
            $(pub(crate) const $flag: Self = Self($bits);)*
        }

        impl BitOr for $name {
            type Output = Self;

            fn bitor(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }
        }
    };
}

flags! {
    /// How something is opened.
    OFlags {
        RDONLY = 0,
        WRONLY = 1,
        RDWR = 2,
        CREATE = 4,
        EXCL = 8,
        TRUNC = 16,
        DIRECTORY = 32,
        NOFOLLOW = 64,
        PATH = 128,
        CLOEXEC = 0,
        NONBLOCK = 0,
    }
}

impl OFlags {
    /// Whether all of these are among them.
    pub(crate) const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// These without others.
    pub(crate) const fn difference(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

flags! {
    /// How a name is dealt with.
    AtFlags {
        SYMLINK_NOFOLLOW = 1,
        REMOVEDIR = 2,
    }
}

impl AtFlags {
    /// None of them.
    pub(crate) const fn empty() -> Self {
        Self(0)
    }

    /// Whether all of these are among them.
    pub(crate) const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// Permissions, as Unix has them.
pub(crate) type RawMode = u32;

flags! {
    /// Permissions.
    Mode {
        RWXU = 0o700,
    }
}

impl Mode {
    /// None of them.
    pub(crate) const fn empty() -> Self {
        Self(0)
    }

    /// Permissions of these bits.
    pub(crate) const fn from_raw_mode(bits: RawMode) -> Self {
        Self(bits)
    }

    /// The bits.
    pub(crate) const fn bits(self) -> RawMode {
        self.0
    }
}

/// What something is. There are no others here, but whoever asks knows more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(dead_code, reason = "what is asked for elsewhere, and never found here")]
pub(crate) enum FileType {
    RegularFile,
    Directory,
    Symlink,
    Fifo,
    Socket,
    CharacterDevice,
    BlockDevice,
    Unknown,
}

impl FileType {
    /// The type in a mode.
    pub(crate) const fn from_raw_mode(mode: RawMode) -> Self {
        match mode & 0o170_000 {
            0o100_000 => Self::RegularFile,
            0o040_000 => Self::Directory,
            0o120_000 => Self::Symlink,
            _ => Self::Unknown,
        }
    }

    /// Its bits in a mode.
    pub(super) const fn bits(self) -> RawMode {
        match self {
            Self::RegularFile => 0o100_000,
            Self::Directory => 0o040_000,
            Self::Symlink => 0o120_000,
            _ => 0,
        }
    }
}

/// What is known of a file, under the names of Unix.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_field_names, reason = "the names that its readers know")]
pub(crate) struct Stat {
    pub(crate) st_mode: RawMode,
    pub(crate) st_size: i64,
    pub(crate) st_blocks: i64,
    pub(crate) st_mtime: i64,
    pub(crate) st_mtime_nsec: i64,
    /// Its names, where it was opened to ask.
    pub(crate) st_nlink: u64,
    pub(crate) st_uid: u32,
    pub(crate) st_gid: u32,
}

/// A time since 1970.
#[derive(Clone, Copy)]
pub(crate) struct Timespec {
    pub(crate) tv_sec: i64,
    pub(crate) tv_nsec: i64,
}

/// The times of a file that can be set.
pub(crate) struct Timestamps {
    pub(crate) last_access: Timespec,
    pub(crate) last_modification: Timespec,
}

/// What can name a file.
pub(crate) trait Arg {
    /// It, as text.
    fn text(&self) -> Result<Cow<'_, str>, Errno>;
}

impl Arg for &str {
    fn text(&self) -> Result<Cow<'_, str>, Errno> {
        Ok(Cow::Borrowed(self))
    }
}

impl Arg for &[u8] {
    fn text(&self) -> Result<Cow<'_, str>, Errno> {
        std::str::from_utf8(self).map(Cow::Borrowed).map_err(|_bad| Errno::NONAME)
    }
}

impl Arg for &CStr {
    fn text(&self) -> Result<Cow<'_, str>, Errno> {
        self.to_str().map(Cow::Borrowed).map_err(|_bad| Errno::NONAME)
    }
}

impl Arg for &CString {
    fn text(&self) -> Result<Cow<'_, str>, Errno> {
        self.to_str().map(Cow::Borrowed).map_err(|_bad| Errno::NONAME)
    }
}

impl Arg for &OsStr {
    fn text(&self) -> Result<Cow<'_, str>, Errno> {
        self.to_str().map(Cow::Borrowed).ok_or(Errno::NONAME)
    }
}
