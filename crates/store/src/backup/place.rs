//! Whether a data directory is the right one: its environment's own, and for a restore one with nothing in it.

use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use super::{BackupError, OLDEST_SCHEMA, io};
use crate::{DataDirError, Db, datadir, migrate};

/// What the owner of a data directory writes there first, and so a restore.
const OWN: [&str; 3] = ["lock", "environment", "environment.new"];
/// What SQLite puts beside a database, at the end of its name.
const BESIDE: [&str; 3] = ["-wal", "-shm", "-journal"];

/// Refuses a data directory that another environment uses. Unlike [`crate::DataDir::claim`] it takes nothing, so that a
/// server may own the directory meanwhile.
///
/// # Errors
/// [`DataDirError::Other`], or the system's.
pub fn check_environment(data_dir: &Path, environment: &str) -> Result<(), DataDirError> {
    datadir::belongs(data_dir, environment).map(|_| ())
}

/// Says whose a database is, if it was used.
///
/// # Errors
/// The database's.
pub async fn owner(db: &Db) -> Result<Option<String>, BackupError> {
    let mut snapshot = db.snapshot().await?;
    if migrate::version(&mut snapshot).await? < OLDEST_SCHEMA {
        return Ok(None);
    }
    Ok(super::dump::owner(&mut snapshot).await?)
}

/// Refuses to restore into a data directory that holds something, or that is or lies in the backup. What a restore writes
/// itself may be there, for one that failed can be tried again: the files of an owner, and `known`, paths that are absolute
/// or below the directory, as of the database, the objects and secrets.
///
/// # Errors
/// [`BackupError::Within`] and [`BackupError::Used`].
pub fn check_data_dir(data_dir: &Path, backup: &Path, known: &[PathBuf]) -> Result<(), BackupError> {
    if real(data_dir).starts_with(real(backup)) {
        return Err(BackupError::Within(data_dir.to_owned()));
    }
    let entries = match fs::read_dir(data_dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(io(data_dir))?,
    };
    let mut names: Vec<&OsStr> = OWN.iter().map(OsStr::new).collect();
    names.extend(known.iter().filter_map(|path| first(data_dir, path)));
    for entry in entries {
        let name = entry.map_err(io(data_dir))?.file_name();
        if !names.contains(&without_beside(&name)) {
            return Err(BackupError::Used {
                path: data_dir.to_owned(),
                holds: name.to_string_lossy().into(),
            });
        }
    }
    Ok(())
}

/// The name in the directory by which one gets to a path.
fn first<'a>(dir: &Path, path: &'a Path) -> Option<&'a OsStr> {
    let below = if path.is_absolute() { path.strip_prefix(dir).ok()? } else { path };
    below.components().find_map(|part| match part {
        Component::Normal(name) => Some(name),
        _ => None,
    })
}

fn without_beside(name: &OsStr) -> &OsStr {
    let text = name.to_str().unwrap_or_default();
    BESIDE.iter().find_map(|end| text.strip_suffix(end)).map_or(name, OsStr::new)
}

/// A path without links, as far as it exists.
fn real(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    for at in absolute.ancestors() {
        if let Ok(found) = fs::canonicalize(at) {
            return found.join(absolute.strip_prefix(at).unwrap_or(Path::new("")));
        }
    }
    absolute
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restore_takes_only_a_directory_that_holds_nothing_of_others() {
        let dir = tempfile::tempdir().unwrap();
        let (data, backup) = (dir.path().join("data"), dir.path().join("bk"));
        fs::create_dir_all(backup.join("objects")).unwrap();
        fs::write(backup.join("manifest.json"), "").unwrap();
        let known = ["bellwether.db".into(), data.join("objects"), "keys/bucket".into(), "/etc/token".into()];
        let check = |data: &Path| check_data_dir(data, &backup, &known);
        check(&data).unwrap();
        fs::create_dir(&data).unwrap();
        check(&data).unwrap();
        // As one that failed leaves it, and a secret that was put there for it.
        for name in ["lock", "environment", "bellwether.db", "bellwether.db-wal", "objects", "keys"] {
            fs::write(data.join(name), "").unwrap();
        }
        check(&data).unwrap();
        fs::write(data.join("thesis"), "").unwrap();
        let error = check(&data).unwrap_err().to_string();
        assert!(error.contains("thesis") && error.contains("--data"), "{error}");

        std::os::unix::fs::symlink(&backup, dir.path().join("link")).unwrap();
        for name in ["bk", "bk/", "bk/objects", "bk/new", "link", "link/new", "data/../bk"] {
            let error = check(&dir.path().join(name)).unwrap_err();
            assert!(matches!(error, BackupError::Within(_)), "{name}: {error}");
        }
        check(&dir.path().join("bk2")).unwrap();
    }

    #[test]
    fn another_environments_directory_is_refused_and_a_new_one_is_not_taken() {
        let dir = tempfile::tempdir().unwrap();
        check_environment(dir.path(), "dev").unwrap();
        assert!(!dir.path().join("environment").exists());
        crate::DataDir::own(dir.path()).unwrap().claim("prod").unwrap();
        check_environment(dir.path(), "prod").unwrap();
        let error = check_environment(dir.path(), "dev").unwrap_err().to_string();
        assert!(error.ends_with("belongs to environment prod, not to dev"), "{error}");
    }
}
