//! The writing half of the log: one leader appends mutations, and readers see what is safe, and nothing else.
//!
//! In a folder lie the sealed segments `NNNN.SHA224.mutlog`, the last one `NNNN.growing.mutlog`, and beside each `NNNN.idx`
//! ([`idx`]), which vouches for every record. A [`Log`](crate::log::Log) reads the folder; so does a client of the original.
//!
//! What arrives within 20 ms, or 256 KiB of it, is written by one append and made safe by one sync. Only then it is
//! [`Committed`], and what is committed stays: when a leader comes up again it keeps all that was ever shown, byte for byte.
//! After a write that failed nobody knows what is safe; a journal takes nothing more then, and has to be opened again.
//!
//! The bytes of a segment are the original's, by its rule for their size (spec/maintner.md §2.1, §2.3).

mod copied;
mod disk;
mod folder;
pub mod follow;
mod growing;
pub mod idx;
mod lead;
#[cfg(feature = "objects")]
pub mod objects;
mod open;
pub mod recover;
pub mod storage;
mod writer;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

pub use self::disk::{Disk, System};
use self::folder::{Folder, Local, Safety};
pub use self::growing::SEGMENT;
use self::idx::{Damaged, IdxError};
use self::storage::{Storage, StorageError};
use self::writer::{Request, Rules, Writer};
use crate::check::check;
use crate::log::{LONGEST_RECORD, LogError};
use crate::mutation::MutationError;

/// What comes within this time is written together.
const GATHER: Duration = Duration::from_millis(20);
/// Less, where nothing comes for this long.
const QUIET: Duration = Duration::from_millis(1);
/// What comes beyond so many bytes does not wait.
const GATHERED: usize = 256 << 10;
/// Appends that wait to be written; the next one waits to wait.
const WAITING: usize = 256;

/// One segment of the log, as far as readers may see it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Segment {
    /// Its number, from 0.
    pub number: u32,
    /// Its bytes.
    pub size: u64,
    /// SHA-224 of them.
    pub sha224: [u8; 28],
    /// Whether it stays as it is.
    pub sealed: bool,
}

impl Segment {
    /// The name of its file: `NNNN.SHA224.mutlog`, `NNNN.growing.mutlog`.
    #[must_use]
    pub fn name(&self) -> String {
        if self.sealed {
            return format!("{:04}.{}.mutlog", self.number, hex::encode(self.sha224));
        }
        growing_name(self.number)
    }

    /// Opens its file in the folder of a journal; the first `size` bytes of it are the segment's. One shown as growing
    /// may have been sealed meanwhile.
    ///
    /// # Errors
    /// What can't be opened.
    pub fn open(&self, folder: &Path) -> io::Result<File> {
        match File::open(folder.join(self.name())) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !self.sealed => {}
            other => return other,
        }
        let prefix = format!("{:04}.", self.number);
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            let named =
                path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(&prefix));
            if named && matches!(crate::log::named(&path), Some((_, Some(_)))) {
                return File::open(path);
            }
        }
        File::open(folder.join(self.name()))
    }
}

fn growing_name(number: u32) -> String {
    format!("{number:04}.growing.mutlog")
}

fn idx_name(number: u32) -> String {
    format!("{number:04}.idx")
}

/// What readers may see.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Committed {
    /// The segments from 0 on; all but the last are sealed, and none is empty.
    pub segments: Vec<Segment>,
    /// Bytes of all of them.
    pub total: u64,
}

impl Committed {
    fn of(sealed: &[Segment], growing: Segment) -> Self {
        let mut segments = sealed.to_vec();
        if growing.size > 0 {
            segments.push(growing);
        }
        let total = segments.iter().map(|segment| segment.size).sum();
        Self { segments, total }
    }
}

/// How a journal is written.
#[derive(Clone)]
pub struct Options {
    /// Who this is, for whoever finds the journal taken: a name of the machine, say. The process's number is added.
    pub holder: String,
    /// What segments grow to: [`SEGMENT`], but in tests.
    pub segment: u64,
    /// The file system's ways: [`System`], but in tests.
    pub disk: Arc<dyn Disk>,
}

impl Default for Options {
    fn default() -> Self {
        Self { holder: String::new(), segment: SEGMENT, disk: Arc::new(System) }
    }
}

/// What opening a journal found and mended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Opened {
    /// What was left out at the end, where something was. It was never shown.
    pub cut: Option<Cut>,
    /// Whole records at the end that were written and not yet in the index. They are kept.
    pub unvouched: u64,
    /// Sealed segments whose index was missing and is made again.
    pub indexed: u64,
}

/// What a leader had begun to write when it went down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// The file.
    pub path: PathBuf,
    /// Where it begins.
    pub offset: u64,
    /// How much it was.
    pub bytes: u64,
    /// Why it is no record.
    pub why: String,
}

/// Why a journal can't be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Another process leads.
    #[error("{place}: another leader has it: {holder}; there may be one: end that first")]
    Held {
        /// The folder or the store.
        place: String,
        /// Who has it.
        holder: String,
    },
    /// A file can't be read or written.
    #[error("{}: {why}", path.display())]
    Io {
        /// Which one.
        path: PathBuf,
        /// The system's word.
        why: io::Error,
    },
    /// The segments are no log.
    #[error("{why}; `bellwether log recover` keeps what is before it")]
    Log {
        /// Why.
        why: Box<LogError>,
    },
    /// Day files are another layout, which is read and not written.
    #[error("{}: day files are read and not written: begin in another folder", path.display())]
    Days {
        /// One of them.
        path: PathBuf,
    },
    /// A record that was committed is not as it was.
    #[error("{}: {why}; `bellwether log recover` keeps what is before it", path.display())]
    Damaged {
        /// The segment.
        path: PathBuf,
        /// Which record.
        why: Damaged,
    },
    /// A sealed segment is shorter or longer than its index says, or follows other segments than it did.
    #[error("{}: it has {size} bytes, and {want} by the .idx beside it, or follows other segments than it did; \
        `bellwether log verify` names the record", path.display())]
    Length {
        /// The segment.
        path: PathBuf,
        /// Its bytes.
        size: u64,
        /// By its index.
        want: u64,
    },
    /// A sealed segment without an index does not have the bytes of its name.
    #[error("{}: its bytes do not have the SHA-224 of its name; `bellwether log recover` keeps what is before it", path.display())]
    Name {
        /// The segment.
        path: PathBuf,
    },
    /// A file beside a segment is no index of it.
    #[error("{}: {why}; `bellwether log recover` makes it again", path.display())]
    Idx {
        /// The file.
        path: PathBuf,
        /// Why.
        why: IdxError,
    },
    /// A folder with a log of its own, which is to be a copy of a store's.
    #[error("{}: it has a log of its own, which would be lost: put its segments into the store, where they are taken over, and \
        name an empty folder", path.display())]
    Own {
        /// The folder.
        path: PathBuf,
    },
    /// An object store does not answer, or an object is not as it was written.
    #[error("{object}: {why}")]
    Store {
        /// Which object.
        object: String,
        /// What is wrong.
        why: String,
    },
    /// The task that opens was stopped.
    #[error("opening was stopped")]
    Stopped,
}

impl From<LogError> for OpenError {
    fn from(why: LogError) -> Self {
        Self::Log { why: Box::new(why) }
    }
}

/// Why records were not appended.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AppendError {
    /// Longer than anybody reads. None of the records was taken.
    #[error("a record has {length} bytes; the limit is {LONGEST_RECORD}")]
    Large {
        /// Its length.
        length: usize,
    },
    /// No reader could decode it, and the log would be none from there on. None of the records was taken.
    #[error("a record is no mutation: {0}")]
    Undecodable(MutationError),
    /// A write failed, this one or one before. The records may be in the log or not; opening it again tells.
    #[error("the log takes no more records: {why}")]
    Failed {
        /// What went wrong.
        why: Arc<str>,
    },
    /// The journal was closed.
    #[error("the log was closed")]
    Closed,
}

/// The log's one writer. Whoever drops it without [`close`](Self::close) gives up what was not answered yet, and leads until a
/// write that goes on is through.
#[derive(Debug)]
pub struct Journal {
    requests: mpsc::Sender<Request>,
    committed: watch::Receiver<Arc<Committed>>,
    opened: Opened,
    folder: PathBuf,
    /// How many segments have an object of their own, of a journal in an object store.
    stored: Option<watch::Receiver<usize>>,
    /// Ends when it was closed, or with what went wrong.
    writer: JoinHandle<Result<(), Arc<StorageError>>>,
}

impl Journal {
    /// Opens the journal in a folder, which is made where it is not there, and leads it from now on.
    ///
    /// # Errors
    /// That somebody else leads, or that committed bytes are not what they were.
    pub async fn open(folder: &Path, options: Options) -> Result<Self, OpenError> {
        let (path, found_options) = (folder.to_path_buf(), options.clone());
        let found = tokio::task::spawn_blocking(move || {
            let lead = open::lead(&path, &*found_options.disk, &holder(&found_options.holder))?;
            copied::clear(&path).map_err(|why| OpenError::Io { path: path.clone(), why })?;
            let found = open::find(&path, &*found_options.disk)?;
            Ok::<_, OpenError>((lead, found))
        });
        let (lead, found) = found.await.map_err(|_| OpenError::Stopped)??;
        let storage = Folder::new(folder.to_path_buf(), options.disk, lead, Safety::Synced);
        Ok(Self::begin(folder, found, Box::new(Local::new(storage)), options.segment, QUIET))
    }

    fn begin(
        folder: &Path,
        found: open::Found,
        storage: Box<dyn Storage>,
        segment: u64,
        quiet: Duration,
    ) -> Self {
        let (requests, waiting) = mpsc::channel(WAITING);
        let committed = Committed::of(&found.sealed, found.growing.segment(false));
        let (shown, committed) = watch::channel(Arc::new(committed));
        let writer = Writer {
            storage,
            growing: found.growing,
            sealed: found.sealed,
            rules: Rules { gather: GATHER, quiet, bytes: GATHERED, segment },
            requests: waiting,
            shown,
            unsettled: None,
        };
        let writer = tokio::spawn(writer.run());
        Self { requests, committed, opened: found.opened, folder: folder.to_path_buf(), stored: None, writer }
    }

    /// Appends serialized mutations, and says the length of the log with them when they are safe and shown.
    ///
    /// They follow one another in the log, and are not one whole: of a leader that goes down meanwhile the first of them may be
    /// there. Whoever does not wait for the end does not take them back.
    ///
    /// # Errors
    /// Records that no reader would take, and that a write failed.
    pub async fn append(&self, records: Vec<Vec<u8>>) -> Result<u64, AppendError> {
        for record in &records {
            if record.len() > LONGEST_RECORD {
                return Err(AppendError::Large { length: record.len() });
            }
            check(record).map_err(AppendError::Undecodable)?;
        }
        let (done, answer) = oneshot::channel();
        self.requests.send(Request { records, done }).await.map_err(|_| AppendError::Closed)?;
        answer.await.map_err(|_| AppendError::Closed)?
    }

    /// What readers may see, now and whenever there is more.
    #[must_use]
    pub fn committed(&self) -> watch::Receiver<Arc<Committed>> {
        self.committed.clone()
    }

    /// What was found when it was opened.
    #[must_use]
    pub const fn opened(&self) -> &Opened {
        &self.opened
    }

    /// Where its segments lie.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// How many segments, from the first on, lie in the object store under their own names; none of a journal in a folder.
    #[must_use]
    pub fn stored(&self) -> Option<watch::Receiver<usize>> {
        self.stored.clone()
    }

    /// Waits until all is written that was taken, and leads no more.
    ///
    /// # Errors
    /// The write that failed, this time or before.
    pub async fn close(mut self) -> Result<(), Arc<StorageError>> {
        // The last sender goes with this one; the task ends when it has written all.
        let (none, _) = mpsc::channel(1);
        self.requests = none;
        (&mut self.writer).await.unwrap_or_else(|_| Err(Arc::new(StorageError::Stopped)))
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.writer.abort();
    }
}

/// Who leads, for people.
fn holder(name: &str) -> String {
    let process = format!("process {}", std::process::id());
    if name.is_empty() { process } else { format!("{name}, {process}") }
}
