//! A corpus in a file that maps into memory, so that a start is the checkpoint plus the tail of the log.
//!
//! The file is little-endian and as the corpus lies in memory: a head of 64 bytes, then sections one behind the other, each at
//! a multiple of 64, then a table in JSON: what version it is, of which log, and each section's place and CRC-32C. At a start
//! only head and table are read, and the ends of the log's files, by which it is known again; a page of a section is read when
//! somebody asks for what is in it. [`verify`] reads everything: a daemon does that when it has started, and throws a spoilt
//! checkpoint away. It is nothing but a copy of what the log says, so whatever is odd about it, the log is replayed.

mod keeper;
mod kept;
mod table;

use std::fs::File;
use std::io::{BufWriter, ErrorKind, Seek as _, SeekFrom, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::corpus::Corpus;
use crate::log::{Log, LogError};
use crate::mapped::{Mapped, Part};
use crate::rules::Rules;
use table::Table;

pub use crate::section::Unfit;
pub use keeper::{EVERY, Keeper};

/// The usual name of a checkpoint, in the folder of its log.
pub const NAME: &str = "corpus.checkpoint";

const MAGIC: [u8; 8] = *b"BWCORPUS";
/// A corpus of another version is made anew: to be raised with any change of what is in a section or of what it means.
const VERSION: u32 = 2;
/// The longest table that is read.
const LONGEST_TABLE: u64 = 16 << 20;
/// Where sections begin, so that any element does at a multiple of its size.
const ALIGNED: u64 = 64;

/// How old a part of one is that nobody writes any more.
const LEFT_OVER: Duration = Duration::from_secs(60 * 60);
/// Files that this process began to write: two may be written at once.
static WRITES: AtomicU64 = AtomicU64::new(0);

/// How a checkpoint begins.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Head {
    magic: [u8; 8],
    version: u32,
    table_crc: u32,
    table_start: u64,
    table_length: u64,
    spare: [u64; 4],
}

/// How a corpus came to be.
#[derive(Debug)]
pub enum Start {
    /// From a checkpoint, and so many records behind it.
    Checkpoint {
        /// Records of the tail.
        tail: u64,
        /// Bytes of the log that the checkpoint knows.
        covered: u64,
    },
    /// From the whole log, because of this.
    Replay(Unfit),
}

impl Corpus {
    /// The corpus of a log, by the checkpoint if there is one that fits, and how it was made.
    ///
    /// # Errors
    /// As of a replay.
    pub fn start(log: &Log, rules: Rules, checkpoint: &Path) -> Result<(Self, Start), LogError> {
        // What is in a section is believed before all of it was read; where it is so odd that it can't even be used, it goes.
        let started = catch_unwind(AssertUnwindSafe(|| read(checkpoint, log, rules)));
        let started = started.unwrap_or_else(|_| {
            // Where it can't be removed, the next start finds the same.
            let _ = std::fs::remove_file(checkpoint);
            Err(Unfit::Spoilt("what it says"))
        });
        match started {
            Ok(started) => Ok(started),
            // What is bad in the tail is bad.
            Err(Unfit::Tail(why)) => Err(why),
            Err(why) => {
                let corpus = Self::load(log.clone(), rules, crate::corpus::Replay::Parallel)?;
                Ok((corpus, Start::Replay(why)))
            }
        }
    }
}

/// Writes a checkpoint of a corpus; the one that was there stays until all of the new one is safe. Says how many bytes it has.
///
/// # Errors
/// What can't be written.
pub fn write(corpus: &Corpus, path: &Path) -> Result<u64, Unfit> {
    let failed = |why| Unfit::Io { path: path.to_path_buf(), why };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    remove_left_over(path);
    let nth = WRITES.fetch_add(1, Ordering::Relaxed);
    let new = path.with_file_name(format!("{name}.{}-{nth}.new", std::process::id()));
    let written = write_to(corpus, &new).map_err(failed);
    match written.and_then(|length| std::fs::rename(&new, path).map_err(failed).map(|()| length)) {
        Ok(length) => Ok(length),
        Err(why) => {
            // What is left of it is of no use; that it could not be removed is the smaller trouble.
            let _ = std::fs::remove_file(&new);
            Err(why)
        }
    }
}

/// Removes what writers left that were ended in the middle, an hour ago or more: none takes so long.
fn remove_left_over(path: &Path) {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return };
    let name = format!("{}.", name.to_string_lossy());
    // What can't be looked at or removed takes room, and no more.
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let found = entry.file_name().to_string_lossy().into_owned();
        let changed = entry.metadata().and_then(|metadata| metadata.modified());
        let old = changed.is_ok_and(|time| time.elapsed().is_ok_and(|age| age > LEFT_OVER));
        if old && found.starts_with(&name) && found.ends_with(".new") {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

fn write_to(corpus: &Corpus, path: &Path) -> std::io::Result<u64> {
    let mut options = File::options();
    options.write(true).create_new(true);
    // A log may have what is not for everybody.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    let mut writer = kept::Writer::new(BufWriter::with_capacity(1 << 20, file), size_of::<Head>() as u64)?;
    let mut copy = corpus.clone();
    copy.section(&mut writer).map_err(std::io::Error::other)?;
    let (mut file, table_start, sections) = writer.finish();
    let table = Table::of(corpus, sections).text();
    file.write_all(&table)?;
    let head = Head {
        magic: MAGIC,
        version: VERSION,
        table_crc: crc32c::crc32c(&table),
        table_start,
        table_length: table.len() as u64,
        spare: [0; 4],
    };
    file.seek(SeekFrom::Start(0))?;
    file.write_all(head.as_bytes())?;
    let file = file.into_inner()?;
    file.sync_all()?;
    Ok(head.table_start + head.table_length)
}

/// The mapped file and its table.
fn open(path: &Path) -> Result<(Arc<Mapped>, Table), Unfit> {
    if cfg!(target_endian = "big") {
        return Err(Unfit::Version("it is little-endian, and this machine is not".to_owned()));
    }
    let map = match Mapped::open(path, u64::MAX) {
        Ok(map) => Arc::new(map),
        Err(why) if why.kind() == ErrorKind::NotFound => return Err(Unfit::Missing),
        Err(why) => return Err(Unfit::Io { path: path.to_path_buf(), why }),
    };
    let (head, _) = Head::read_from_prefix(&map).map_err(|_| Unfit::Spoilt("its head"))?;
    if head.magic != MAGIC {
        return Err(Unfit::Version("it is no checkpoint".to_owned()));
    }
    if head.version != VERSION {
        return Err(Unfit::Version(format!(
            "it has version {}, this program writes {VERSION}",
            head.version
        )));
    }
    let table = head
        .table_start
        .checked_add(head.table_length)
        .filter(|_| head.table_length <= LONGEST_TABLE)
        .and_then(|end| map.get(usize::try_from(head.table_start).ok()?..usize::try_from(end).ok()?))
        .filter(|table| crc32c::crc32c(table) == head.table_crc)
        .ok_or(Unfit::Spoilt("its table"))?;
    let table = Table::read(table)?;
    Ok((map, table))
}

/// The corpus of a checkpoint and of what is behind it in the log, and how much that is.
///
/// # Errors
/// Why it can't be used. [`Unfit::Tail`] is an error of the log.
pub fn read(path: &Path, log: &Log, rules: Rules) -> Result<(Corpus, Start), Unfit> {
    let (map, table) = open(path)?;
    if table.original != (rules == Rules::Original) {
        return Err(Unfit::Version("it was made by other rules".to_owned()));
    }
    let covered = table.fits(log)?;
    let mut corpus = Corpus::nothing(rules);
    let mut reader = kept::Reader::new(&map, &table.sections);
    corpus.section(&mut reader)?;
    reader.finish()?;
    let before = corpus.records;
    corpus.take(log.clone(), covered)?;
    let tail = corpus.records - before;
    Ok((corpus, Start::Checkpoint { tail, covered }))
}

/// Reads all of a checkpoint and compares it with its sums.
///
/// # Errors
/// What is not as it was written, be it a single bit.
pub fn verify(path: &Path) -> Result<(), Unfit> {
    let (map, table) = open(path)?;
    let zero = |range: std::ops::Range<u64>| {
        let range = usize::try_from(range.start).ok()?..usize::try_from(range.end).ok()?;
        map.get(range)?.iter().all(|byte| *byte == 0).then_some(())
    };
    let (head, _) = Head::read_from_prefix(&map).map_err(|_| Unfit::Spoilt("its head"))?;
    let mut end = size_of::<Head>() as u64 - size_of_val(&head.spare) as u64;
    for section in &table.sections {
        // The end of the head, and what is between two sections.
        zero(end..section.start).ok_or(Unfit::Spoilt("what is between two sections"))?;
        let part: Part = section.part(&map)?;
        if crc32c::crc32c(&part) != section.crc {
            return Err(Unfit::Spoilt("a section"));
        }
        end = section.start + section.length;
    }
    let whole = end == head.table_start && head.table_start + head.table_length == map.len() as u64;
    if whole { Ok(()) } else { Err(Unfit::Spoilt("its length")) }
}
