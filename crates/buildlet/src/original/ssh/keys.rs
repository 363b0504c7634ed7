//! Adding a key to a user's `authorized_keys`.
//!
//! What is written there decides who may log in, so it is one plain key and nothing that could mean more: no options, no second
//! line. The files are reached by descriptors and no link is followed: a job may have left any in a home that is its own.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use rustix::fs::{FileType, Mode, OFlags, Stat, fchmod, fchown, fstat, mkdirat, openat};
use rustix::io::Errno;
use rustix::process::{Gid, Uid, geteuid};

/// A larger file was not written by people.
const LARGEST: u64 = 1 << 20;
/// A longer line holds no key that is in use.
const LONGEST: usize = 16 << 10;
/// What sshd takes by default.
const KINDS: [&str; 7] = [
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];

/// Why a key is not added.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    /// It is no user's name.
    #[error("{0:?} is no user's name")]
    User(String),
    /// It is no key.
    #[error("X-Go-Authorized-Key is not one public key as ssh-keygen writes it: {0}")]
    Key(&'static str),
    /// The user's home is not there, or not the user's.
    #[error("a key can't be added for {user}: {} {what}", at.display())]
    Place {
        /// The user.
        user: String,
        /// The file or directory.
        at: PathBuf,
        /// What it is instead.
        what: &'static str,
    },
    /// The system says no.
    #[error("a key can't be added for {user}: {}: {source}", at.display())]
    Io {
        /// The user.
        user: String,
        /// The file or directory.
        at: PathBuf,
        /// Its words.
        source: io::Error,
    },
}

/// Adds a key to those by which a user may log in, unless it is among them.
pub(crate) fn add(homes: Option<&Path>, user: &str, key: &str) -> Result<(), KeyError> {
    if !is_user(user) {
        return Err(KeyError::User(user.to_owned()));
    }
    let line = line(key)?;
    let home = home(homes, user, std::env::consts::OS);
    let io = |at: &Path| {
        let (user, at) = (user.to_owned(), at.to_owned());
        move |error: Errno| KeyError::Io { user, at, source: error.into() }
    };
    let place = |at: &Path, what| KeyError::Place { user: user.to_owned(), at: at.to_owned(), what };
    let dirs = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;

    let top = rustix::fs::open(&home, dirs, Mode::empty()).map_err(io(&home))?;
    let owner = fstat(&top).map_err(io(&home))?;
    if owner.st_uid != geteuid().as_raw() && !geteuid().is_root() {
        return Err(place(&home, "is not the home of the user that this buildlet runs as"));
    }
    let ssh = home.join(".ssh");
    let made = match mkdirat(&top, ".ssh", Mode::from_raw_mode(0o700)) {
        Ok(()) => Made::Now,
        Err(Errno::EXIST) => Made::Before,
        Err(error) => return Err(io(&ssh)(error)),
    };
    let dir = openat(&top, ".ssh", dirs, Mode::empty()).map_err(|error| match error {
        Errno::LOOP | Errno::NOTDIR => place(&ssh, "is no directory"),
        error => io(&ssh)(error),
    })?;
    if !belongs(&dir, &owner, made).map_err(io(&ssh))? {
        return Err(place(&ssh, "is not the user's own"));
    }
    fchmod(&dir, Mode::from_raw_mode(0o700)).map_err(io(&ssh))?;

    let at = ssh.join("authorized_keys");
    let flags = OFlags::RDWR | OFlags::APPEND | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let open = |more| openat(&dir, "authorized_keys", flags | more, Mode::from_raw_mode(0o600));
    let (fd, made) = match open(OFlags::CREATE | OFlags::EXCL) {
        Err(Errno::EXIST) => (open(OFlags::empty()), Made::Before),
        opened => (opened, Made::Now),
    };
    let fd = fd.map_err(|error| match error {
        Errno::LOOP => place(&at, "is a link"),
        error => io(&at)(error),
    })?;
    let stat = fstat(&fd).map_err(io(&at))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile || stat.st_nlink > 1 {
        return Err(place(&at, "is no plain file of its own"));
    }
    if !belongs(&fd, &owner, made).map_err(io(&at))? {
        return Err(place(&at, "is not the user's own"));
    }
    append(File::from(fd), &line).map_err(|source| KeyError::Io { user: user.to_owned(), at, source })
}

/// Whether something was made by us, and not found.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Made {
    Now,
    Before,
}

/// Whether something in a home is its owner's. What root has made there just now is given to them; what somebody else has put
/// there is theirs.
fn belongs(fd: &OwnedFd, owner: &Stat, made: Made) -> Result<bool, Errno> {
    if fstat(fd)?.st_uid == owner.st_uid {
        return Ok(true);
    }
    if made == Made::Now {
        fchown(fd, Some(Uid::from_raw(owner.st_uid)), Some(Gid::from_raw(owner.st_gid)))?;
    }
    Ok(made == Made::Now)
}

fn append(mut file: File, line: &str) -> io::Result<()> {
    let mut text = Vec::new();
    (&file).take(LARGEST + 1).read_to_end(&mut text)?;
    if text.len() as u64 > LARGEST {
        return Err(io::Error::other(format!("it has more than {LARGEST} bytes")));
    }
    if text.split(|byte| *byte == b'\n').any(|there| there.trim_ascii() == line.as_bytes()) {
        return Ok(());
    }
    let start = if text.last().is_none_or(|last| *last == b'\n') { "" } else { "\n" };
    // In one write, so that nobody reads half of it.
    file.write_all(format!("{start}{line}\n").as_bytes())
}

fn is_user(name: &str) -> bool {
    let first = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    let inner = |byte: u8| first(byte) || byte.is_ascii_digit() || byte == b'-';
    name.len() <= 32 && name.bytes().next().is_some_and(first) && name.bytes().all(inner)
}

/// Where a user's home is on an operating system.
fn home(homes: Option<&Path>, user: &str, os: &str) -> PathBuf {
    match (homes, os) {
        (Some(homes), _) => homes.join(user),
        (None, "macos") if user == "root" => "/var/root".into(),
        (None, _) if user == "root" => "/root".into(),
        (None, "macos") => Path::new("/Users").join(user),
        (None, "freebsd") if Path::new("/usr/home").exists() => Path::new("/usr/home").join(user),
        (None, _) => Path::new("/home").join(user),
    }
}

/// Reads a key and writes it as a line: its kind, itself, and whose it is said to be.
pub(crate) fn line(key: &str) -> Result<String, KeyError> {
    if key.len() > LONGEST {
        return Err(KeyError::Key("it is too long"));
    }
    if key.chars().any(|c| c.is_control() && c != '\t') {
        return Err(KeyError::Key("there is more than one line"));
    }
    let mut words = key.split_ascii_whitespace();
    let (Some(kind), Some(blob)) = (words.next(), words.next()) else {
        return Err(KeyError::Key("there are not two words"));
    };
    if !KINDS.contains(&kind) {
        return Err(KeyError::Key("it does not begin with a kind of key that is taken; options are not"));
    }
    let bytes = base64::engine::general_purpose::STANDARD.decode(blob);
    let bytes = bytes.map_err(|_bad| KeyError::Key("its second word is not base64"))?;
    let said = bytes
        .split_first_chunk::<4>()
        .and_then(|(size, rest)| rest.get(..usize::try_from(u32::from_be_bytes(*size)).ok()?));
    if said != Some(kind.as_bytes()) {
        return Err(KeyError::Key("it is not of the kind that it begins with"));
    }
    let comment: Vec<&str> = words.collect();
    let comment = if comment.is_empty() { String::new() } else { format!(" {}", comment.join(" ")) };
    Ok(format!("{kind} {blob}{comment}"))
}

#[cfg(test)]
mod tests;
