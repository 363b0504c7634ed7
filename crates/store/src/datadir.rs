//! The data directory has one owner: a process that holds a lock on the file `lock` in it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use filelock::Held;

/// The file that names the environment whose a directory is.
const OWNER: &str = "environment";

/// A data directory that this process owns until the value is dropped, or the process ends in any way.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: Held,
}

/// Says why a directory can't be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataDirError {
    /// Another process owns it.
    #[error("data directory in use by {owner}: {}", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
        /// `pid N since T`, as its owner wrote it.
        owner: String,
    },
    /// It is another environment's.
    #[error("data directory {} belongs to environment {owner}, not to {asked}", path.display())]
    Other {
        /// The directory.
        path: PathBuf,
        /// The environment that used it first.
        owner: String,
        /// The one that wants it.
        asked: String,
    },
    /// It can't be made or written.
    #[error("data directory {}: {source}", path.display())]
    Io {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl DataDir {
    /// Makes the directory if need be (mode 0700) and takes it for this process.
    ///
    /// # Errors
    /// [`DataDirError::InUse`] names the owner if there is one.
    pub fn own(path: &Path) -> Result<Self, DataDirError> {
        let fail = |source| DataDirError::Io { path: path.to_owned(), source };
        make_private(path).map_err(fail)?;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path.join("lock"))
            .map_err(fail)?;
        let again = file.try_clone().map_err(fail)?;
        let lock = match Held::take(file) {
            Ok(lock) => lock,
            Err(TryLockError::WouldBlock) => {
                let mut owner = String::new();
                again.take(200).read_to_string(&mut owner).map_err(fail)?;
                let owner = if owner.is_empty() { "another process".into() } else { owner.trim().into() };
                return Err(DataDirError::InUse { path: path.to_owned(), owner });
            }
            Err(TryLockError::Error(error)) => return Err(fail(error)),
        };
        let since = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        lock.set_len(0).and_then(|()| (&*lock).rewind()).map_err(fail)?;
        writeln!(&*lock, "pid {} since {since}", std::process::id()).map_err(fail)?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// Takes the directory for an environment, for good: the first that asks has it.
    ///
    /// # Errors
    /// [`DataDirError::Other`] if it is another one's.
    pub fn claim(&self, environment: &str) -> Result<(), DataDirError> {
        if belongs(&self.path, environment)? {
            return Ok(());
        }
        let fail = |source| DataDirError::Io { path: self.path.clone(), source };
        let made = self.path.join("environment.new");
        let mut new = File::create(&made).map_err(fail)?;
        writeln!(new, "{environment}").and_then(|()| new.sync_all()).map_err(fail)?;
        fs::rename(&made, self.path.join(OWNER)).map_err(fail)
    }

    /// Returns its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Whether a directory belongs to the environment; false where it is nobody's yet.
///
/// # Errors
/// [`DataDirError::Other`] if it is another one's.
pub(crate) fn belongs(data_dir: &Path, environment: &str) -> Result<bool, DataDirError> {
    let owner = match fs::read_to_string(data_dir.join(OWNER)) {
        Ok(owner) => owner.trim().to_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(source) => return Err(DataDirError::Io { path: data_dir.to_owned(), source }),
    };
    match owner.as_str() {
        // The power went while it was written.
        "" => Ok(false),
        known if known == environment => Ok(true),
        _ => Err(DataDirError::Other { path: data_dir.to_owned(), owner, asked: environment.to_owned() }),
    }
}

#[cfg(unix)]
fn make_private(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

#[cfg(not(unix))]
fn make_private(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_belongs_to_the_environment_that_used_it_first() {
        let dir = tempfile::tempdir().unwrap();
        let owner = DataDir::own(dir.path()).unwrap();
        owner.claim("prod").unwrap();
        drop(owner);
        let owner = DataDir::own(dir.path()).unwrap();
        owner.claim("prod").unwrap();
        let error = owner.claim("staging").unwrap_err().to_string();
        assert!(error.ends_with("belongs to environment prod, not to staging"), "{error}");
    }

    #[test]
    fn a_second_owner_is_told_of_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        let first = DataDir::own(&path).unwrap();
        let error = DataDir::own(&path).unwrap_err().to_string();
        let expected = format!("data directory in use by pid {} since 2", std::process::id());
        assert!(error.starts_with(&expected), "{error}");
        drop(first);
        DataDir::own(&path).unwrap();
    }
}
