//! A backup: all rows of one moment and the objects that they name, in a directory that either database can be restored
//! from.
//!
//! ```text
//! manifest.json          what is in it: format, schema version, environment, moment, rows and digest of each table
//! tables/NAME.jsonl.zst  first line: the columns and their kinds; then an array per row
//! objects.jsonl.zst      path, size and SHA-256 of each object
//! objects/PATH           the objects
//! ```
//!
//! The rows are read in one transaction that sees one moment, so a server may go on meanwhile. Objects never change and are
//! written before the rows that name them, so that those listed after that moment are all that its rows name; where one is
//! missing there is no backup. Left out is what can be had again: snapshots, uploads under way, mirrors.

mod dump;
mod named;
mod objects;
mod partial;
mod place;
mod restore;
mod rows;
mod tables;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{ObjectError, OpenError, StoreError};

pub use dump::write;
pub use place::{check_data_dir, check_environment, owner};
pub use restore::{check, restore};

/// The layout above.
const FORMAT: u32 = 1;
/// The first schema that knows whose a database is.
const OLDEST_SCHEMA: i64 = 3;
const MANIFEST: &str = "manifest.json";
const OBJECTS: &str = "objects.jsonl.zst";

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the layout.
    pub format: u32,
    /// Version of the schema.
    pub schema_version: i64,
    /// Whose the database is.
    pub environment: String,
    /// The moment that it shows.
    pub taken: Timestamp,
    /// Each table.
    pub tables: BTreeMap<String, Part>,
    /// The list of objects.
    pub objects: Part,
    /// Their sizes together, bytes.
    pub object_bytes: u64,
}

/// A file of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// How many rows or objects it lists.
    pub rows: u64,
    /// SHA-256 of the file, in hex.
    pub sha256: String,
}

/// How far a backup or a restore is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress<'a> {
    /// A table, or `objects`.
    pub what: &'a str,
    /// Rows or objects so far.
    pub done: u64,
}

/// Says why a backup was not made or not restored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// The directory to write holds something.
    #[error("{} is not empty: name a new directory", .0.display())]
    Occupied(PathBuf),
    /// No directory can be put there.
    #[error("{} is a file, a link, or no name: name a new directory", .0.display())]
    Unfit(PathBuf),
    /// Two at once.
    #[error("{}: another backup writes there; wait for its end, or name another directory", .0.display())]
    Busy(PathBuf),
    /// Where it would be written lies something that no backup left.
    #[error("{} is in the way, and no backup left it: move it, or name another directory", .0.display())]
    Foreign(PathBuf),
    /// Rows name objects that are not there.
    #[error(
        "rows name {count} objects that are not in the object store, such as {first}: give the server's own file with \
         --config, and look whether the key `objects` in it is the place that the server uses"
    )]
    Missing {
        /// How many.
        count: usize,
        /// The first of them, with commas between.
        first: String,
    },
    /// What is to be restored has no manifest.
    #[error("{} is no backup: it has no manifest.json", .0.display())]
    NoBackup(PathBuf),
    /// It would be restored into itself.
    #[error("the data directory {} is the backup or lies in it: name another one with --data", .0.display())]
    Within(PathBuf),
    /// The data directory is somebody's.
    #[error("the data directory {} is not empty, it holds {holds}: name a new one with --data", path.display())]
    Used {
        /// The directory.
        path: PathBuf,
        /// Something in it.
        holds: String,
    },
    /// The database was used.
    #[error("the database is in use by environment {0}: restore into an empty one")]
    NotEmpty(String),
    /// The database has no environment yet.
    #[error("the database is empty: there is nothing to back up")]
    Empty,
    /// It is another environment's.
    #[error("the backup is of environment {has}, not of {asked}")]
    Other {
        /// Whose the backup is.
        has: String,
        /// Whom it is to be restored for.
        asked: String,
    },
    /// It was made by a newer program.
    #[error("the backup has {what} {has}, this program knows up to {newest}: use a newer program")]
    Newer {
        /// Format or schema.
        what: &'static str,
        /// Its version.
        has: i64,
        /// Newest version that is known here.
        newest: i64,
    },
    /// A file is not as it was written.
    #[error("the backup is damaged: {path}: {why}")]
    Damaged {
        /// The file, in the backup.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// A file can't be read or written.
    #[error("{}: {why}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said; not a source, which would be told a second time.
        why: std::io::Error,
    },
    /// The database can't be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The database refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The object store refuses.
    #[error(transparent)]
    Object(#[from] ObjectError),
}

impl BackupError {
    fn damaged(path: impl Into<String>, why: impl std::fmt::Display) -> Self {
        Self::Damaged { path: path.into(), why: why.to_string() }
    }
}

fn io(path: &Path) -> impl Fn(std::io::Error) -> BackupError + '_ {
    |why| BackupError::Io { path: path.to_owned(), why }
}

fn table_file(table: &str) -> String {
    format!("tables/{table}.jsonl.zst")
}

fn object_file(path: &str) -> String {
    format!("objects/{path}")
}
