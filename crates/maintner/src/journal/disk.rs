//! What a journal asks of a file system.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

/// The steps by which bytes become safe in a folder. Each has the system's way; whoever counts them, or has one fail, has
/// another.
pub trait Disk: Send + Sync + 'static {
    /// Opens a file for writing at its end, and makes it where it is not there.
    ///
    /// # Errors
    /// The system's.
    fn append(&self, path: &Path) -> io::Result<File> {
        OpenOptions::new().append(true).create(true).open(path)
    }

    /// Writes bytes at the end of a file.
    ///
    /// # Errors
    /// The system's; some of the bytes may be in the file then.
    fn write(&self, mut file: &File, bytes: &[u8]) -> io::Result<()> {
        file.write_all(bytes)
    }

    /// Makes the bytes of a file safe.
    ///
    /// # Errors
    /// The system's. Nobody knows then what is safe, and asking again would not tell.
    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    /// Gives a file another name.
    ///
    /// # Errors
    /// The system's.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    /// Makes the names in a folder safe. Windows has no such thing: there, names are safe when they are given.
    ///
    /// # Errors
    /// The system's.
    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        if cfg!(windows) { Ok(()) } else { File::open(folder)?.sync_all() }
    }
}

/// The system's own way.
#[derive(Debug, Clone, Copy, Default)]
pub struct System;

impl Disk for System {}

/// Writes a file whole: it is there with all of its bytes, or as before.
///
/// # Errors
/// The system's.
pub(super) fn replace(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = disk.append(&new)?;
    disk.write(&file, bytes)?;
    disk.sync(&file)?;
    drop(file);
    disk.rename(&new, path)?;
    path.parent().map_or(Ok(()), |folder| disk.sync_folder(folder))
}
