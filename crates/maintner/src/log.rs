//! The files of a log, in order, as one run of bytes that is read where it lies.
//!
//! Two layouts of a folder are known: day files `maintner-YYYY-MM-DD.mutlog`, and segments as godata keeps them,
//! `NNNN.SHA224.mutlog` and a last one `NNNN.growing.mutlog`. Source: spec/maintner.md §2.2, §2.5.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use crate::mapped::Mapped;
use crate::mutation::MutationError;
use crate::reclog::{Broken, Records};
use crate::text::{Source, Text};

/// A record may have this many bytes, four times what writers let a segment grow to. The original has no such limit.
pub const LONGEST_RECORD: usize = Text::LONGEST;

/// How often a file may have another name when it is opened than when it was listed.
const RENAMED: usize = 3;

/// Why a log can't be read. All before the place that is named was good.
#[derive(Debug, Error)]
pub enum LogError {
    /// The folder or a file can't be read.
    #[error("{}: {why}", path.display())]
    Io {
        /// Which one.
        path: PathBuf,
        /// The system's word.
        why: io::Error,
    },
    /// There is no file of a log in the folder.
    #[error("{}: no log is here: no file maintner-YYYY-MM-DD.mutlog, none 0000.….mutlog", path.display())]
    Nothing {
        /// The folder.
        path: PathBuf,
    },
    /// Segments follow one another without a gap, from 0.
    #[error("{}: segment {missing:04} is missing or not whole, and there are later ones: fetch it again", path.display())]
    Gap {
        /// The folder.
        path: PathBuf,
        /// The first that is not there.
        missing: u64,
    },
    /// What was read is not how the files begin now.
    #[error("{}: the log has other bytes now than were read before: what was made of it has to be made anew", path.display())]
    Rewritten {
        /// The first file that is shorter, or that is no more.
        path: PathBuf,
    },
    /// More bytes than this program has positions for.
    #[error("{}: the log is longer than 256 GiB", path.display())]
    Long {
        /// The file that begins beyond it.
        path: PathBuf,
    },
    /// A record is cut, moved or without a header.
    #[error("{}: {why}", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// Where and what.
        why: Broken,
    },
    /// A record is longer than [`LONGEST_RECORD`].
    #[error("{}: record at offset {offset} ({offset:#x}) has {length} bytes; the limit is {LONGEST_RECORD}", path.display())]
    Large {
        /// The file.
        path: PathBuf,
        /// Where the record begins.
        offset: u64,
        /// Its length.
        length: usize,
    },
    /// A record's bytes are no mutation.
    #[error("{}: record at offset {offset} ({offset:#x}) is no mutation: {why}", path.display())]
    Undecodable {
        /// The file.
        path: PathBuf,
        /// Where the record begins.
        offset: u64,
        /// What is wrong.
        why: MutationError,
    },
}

/// One file of the log.
#[derive(Debug)]
pub struct LogFile {
    path: PathBuf,
    base: u64,
    bytes: Mapped,
}

impl LogFile {
    fn open(path: PathBuf, base: u64, longest: u64) -> Result<Self, LogError> {
        match Mapped::open(&path, longest) {
            Ok(bytes) => Ok(Self { path, base, bytes }),
            Err(why) => Err(LogError::Io { path, why }),
        }
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The SHA-224 that a sealed segment's name says its bytes have.
    #[must_use]
    pub fn digest(&self) -> Option<&str> {
        let name = self.path.file_name()?.to_str()?.strip_suffix(".mutlog")?;
        segment(name).map(|(_, rest)| rest).filter(|rest| *rest != "growing")
    }

    /// Says that all of it is going to be read.
    pub(crate) fn expect(&self) {
        self.bytes.populate();
    }

    /// Where its first byte is in the log.
    #[must_use]
    pub const fn base(&self) -> u64 {
        self.base
    }

    /// Visits its records in order: where each begins in the file, and its bytes with their position in the log.
    ///
    /// # Errors
    /// The first record that is broken or too long, and what the visitor says is no mutation.
    pub fn records<'a>(
        &'a self,
        visit: impl FnMut(Source<'a>) -> Result<(), MutationError>,
    ) -> Result<(), LogError> {
        self.records_from(0, visit)
    }

    /// As [`records`](Self::records), from an offset in the file at which a record begins.
    ///
    /// # Errors
    /// The same.
    pub fn records_from<'a>(
        &'a self,
        start: usize,
        mut visit: impl FnMut(Source<'a>) -> Result<(), MutationError>,
    ) -> Result<(), LogError> {
        for record in Records::new(self.bytes.get(start..).unwrap_or_default(), start as u64) {
            let record = record.map_err(|why| LogError::Broken { path: self.path.clone(), why })?;
            let (offset, length) = (record.offset, record.payload.len());
            if length > LONGEST_RECORD {
                return Err(LogError::Large { path: self.path.clone(), offset, length });
            }
            visit(Source { bytes: record.payload, position: self.base + record.start })
                .map_err(|why| LogError::Undecodable { path: self.path.clone(), offset, why })?;
        }
        Ok(())
    }
}

/// A whole log. Copies share it.
#[derive(Debug, Clone, Default)]
pub struct Log {
    files: Arc<Vec<Arc<LogFile>>>,
    length: u64,
}

impl Log {
    /// Opens the log in a folder, as long as it is now.
    ///
    /// # Errors
    /// What can't be read, no log, a gap in the segments, a log of over 256 GiB. What is in the files is looked at later.
    pub fn open(folder: &Path) -> Result<Self, LogError> {
        Self::default().grown(folder, u64::MAX)
    }

    /// The log in a folder, of which this is how it begins, up to a length at which a record ends. What is in memory already
    /// stays where it is; a file that was renamed when it was sealed is the same file. That the bytes are the same ones is for
    /// the caller to know: only their number is looked at.
    ///
    /// # Errors
    /// As [`open`](Self::open), and where the folder has less than was read.
    pub fn grown(&self, folder: &Path, until: u64) -> Result<Self, LogError> {
        // A writer that seals a segment gives its file another name.
        for _ in 0..RENAMED {
            match whole(folder).and_then(|paths| self.grown_of(&paths, until)) {
                Err(LogError::Io { why, .. }) if why.kind() == io::ErrorKind::NotFound && folder.is_dir() => {
                }
                Err(LogError::Gap { .. } | LogError::Rewritten { .. }) => {}
                done => return done,
            }
        }
        self.grown_of(&whole(folder)?, until)
    }

    /// The same of files that are named, the first one first, whatever else is beside them. Of each, no more is of the log
    /// than so many bytes: what a file has beyond them may be of another log.
    ///
    /// # Errors
    /// As [`grown`](Self::grown).
    pub fn grown_of(&self, paths: &[(PathBuf, u64)], until: u64) -> Result<Self, LogError> {
        let mut log = Self::default();
        let mut files: Vec<Arc<LogFile>> = Vec::new();
        for (path, size) in paths {
            if log.length >= until {
                break;
            }
            let file = match self.files.get(files.len()) {
                // Followed by another one, so it is whole.
                Some(known) if files.len() + 1 < self.files.len() => known.clone(),
                _ => Arc::new(LogFile::open(path.clone(), log.length, (until - log.length).min(*size))?),
            };
            log.length += file.bytes.len() as u64;
            if log.length >= Text::FARTHEST {
                return Err(LogError::Long { path: file.path.clone() });
            }
            files.push(file);
        }
        if log.length < self.length {
            let path = files
                .last()
                .map(|file| &file.path)
                .or(paths.last().map(|(path, _)| path))
                .cloned()
                .unwrap_or_default();
            return Err(LogError::Rewritten { path });
        }
        log.files = Arc::new(files);
        Ok(log)
    }

    /// How it begins: all up to the end of the record in which a byte is; all of it where there are not that many.
    ///
    /// # Errors
    /// A record before that place that is broken, and what can't be read any more.
    pub fn begin(&self, byte: u64) -> Result<Self, LogError> {
        let mut end = self.length;
        if let Some(file) = self.files.iter().rfind(|file| file.base <= byte) {
            for record in Records::new(&file.bytes, 0) {
                let record = record.map_err(|why| LogError::Broken { path: file.path.clone(), why })?;
                if file.base + record.end() > byte {
                    end = file.base + record.end();
                    break;
                }
            }
        }
        let sized = |file: &Arc<LogFile>| (file.path.clone(), file.bytes.len() as u64);
        Self::default().grown_of(&self.files.iter().map(sized).collect::<Vec<_>>(), end)
    }

    /// Its files, in order.
    #[must_use]
    pub fn files(&self) -> &[Arc<LogFile>] {
        &self.files
    }

    /// Its length in bytes, headers included.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.length
    }

    /// Whether it has no byte.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The bytes of a text; none of [`Text::NONE`].
    ///
    /// # Panics
    /// Where the text is of another log.
    #[inline]
    #[must_use]
    pub fn text(&self, text: Text) -> &[u8] {
        if text.is_empty() || text == Text::NONE {
            return &[];
        }
        let file = &self.files[self.files.partition_point(|file| file.base <= text.position()) - 1];
        let start = usize::try_from(text.position() - file.base).expect("a mapped file is within memory");
        &file.bytes[start..start + text.len()]
    }

    /// The bytes of a text with their position.
    #[must_use]
    pub fn source(&self, text: Text) -> Source<'_> {
        Source { bytes: self.text(text), position: text.position() }
    }
}

/// The files of the log in a folder, in the order of the log.
pub(crate) fn listed(folder: &Path) -> Result<Vec<PathBuf>, LogError> {
    let failed = |why| LogError::Io { path: folder.to_path_buf(), why };
    let mut all = segments_and_days(folder).map_err(failed)?;
    if all.is_empty() {
        return Err(LogError::Nothing { path: folder.to_path_buf() });
    }
    let number = |path: &PathBuf| named(path).map(|(number, _)| number);
    // One that is followed by others is sealed; a part of it would be a gap that nobody sees.
    let last = all.last().and_then(number);
    all.retain(|path| number(path) == last || !path.to_string_lossy().ends_with(".growing.mutlog"));
    let missing =
        (0..).zip(all.iter().filter_map(number)).find_map(|(want, have)| (want != have).then_some(want));
    match missing {
        Some(missing) => Err(LogError::Gap { path: folder.to_path_buf(), missing }),
        None => Ok(all),
    }
}

/// The same, each as long as it is.
fn whole(folder: &Path) -> Result<Vec<(PathBuf, u64)>, LogError> {
    Ok(listed(folder)?.into_iter().map(|path| (path, u64::MAX)).collect())
}

/// The day files of a folder, or else its segments, by number: gaps and parts of segments amid others included.
pub(crate) fn segments_and_days(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let (mut days, mut all) = (Vec::new(), Vec::new());
    for path in mutlogs(folder)? {
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("maintner-")) {
            days.push(path);
        } else if let Some((number, sha224)) = named(&path) {
            all.push((number, sha224.is_some(), path));
        }
    }
    if !days.is_empty() {
        days.sort();
        return Ok(days);
    }
    // Of two with a number the last by name counts, and one that is whole before one that grows.
    all.sort();
    let all: std::collections::BTreeMap<u64, PathBuf> =
        all.into_iter().map(|(number, _, path)| (number, path)).collect();
    Ok(all.into_values().collect())
}

/// All segments of a folder, in no order: two with a number, too.
#[cfg(feature = "objects")]
pub(crate) fn segments(folder: &Path) -> io::Result<Vec<PathBuf>> {
    Ok(mutlogs(folder)?.into_iter().filter(|path| named(path).is_some()).collect())
}

/// All files of a folder that end as those of a log.
fn mutlogs(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_none_or(|end| end != "mutlog") {
            continue;
        }
        // What is a link to a file is a file here, as for the original; one that leads nowhere is none. A file that is there no
        // more has another name now: whoever lists has to look again.
        match path.metadata() {
            Ok(metadata) if metadata.is_file() => found.push(path),
            Ok(_) => {}
            Err(why) if why.kind() == io::ErrorKind::NotFound && path.is_symlink() => {}
            Err(why) => return Err(why),
        }
    }
    Ok(found)
}

/// The number of a segment's file by its name, and its SHA-224 where it is sealed; none for other files.
pub(crate) fn named(path: &Path) -> Option<(u64, Option<[u8; 28]>)> {
    let (number, rest) = segment(path.file_name()?.to_str()?.strip_suffix(".mutlog")?)?;
    let mut sha224 = [0; 28];
    let sealed = hex::decode_to_slice(rest, &mut sha224).is_ok();
    Some((number, sealed.then_some(sha224)))
}

/// The number of a segment's name without its ending, and what follows it: a digest or `growing`.
fn segment(name: &str) -> Option<(u64, &str)> {
    let (number, rest) = name.split_once('.')?;
    let digest = rest.len() == 56 && rest.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if number.len() < 4 || !(digest || rest == "growing") || !number.bytes().all(|byte| byte.is_ascii_digit())
    {
        return None;
    }
    Some((number.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(names: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for name in names {
            std::fs::write(dir.path().join(name), "REC@0+0=").unwrap();
        }
        dir
    }

    fn names(dir: &tempfile::TempDir) -> Vec<String> {
        let log = Log::open(dir.path()).unwrap();
        log.files()
            .iter()
            .map(|file| file.path().file_name().unwrap().to_string_lossy().chars().take(24).collect())
            .collect()
    }

    #[test]
    fn the_files_are_in_the_order_of_the_log() {
        let days = folder(&[
            "maintner-2017-07-02.mutlog",
            "maintner-2016-12-31.mutlog",
            "other.mutlog",
            "maintner-x.txt",
        ]);
        assert_eq!(names(&days), ["maintner-2016-12-31.mutl", "maintner-2017-07-02.mutl"]);
        let (a, b) = (format!("0000.{}.mutlog", "a".repeat(56)), format!("0001.{}.mutlog", "b".repeat(56)));
        let segments = folder(&[&b, &a, "0001.growing.mutlog", "0002.growing.mutlog"]);
        assert_eq!(names(&segments), [&a[..24], &b[..24], "0002.growing.mutlog"]);
    }

    #[test]
    fn what_a_file_has_beyond_its_size_is_not_of_the_log() {
        let dir = tempfile::tempdir().unwrap();
        let paths = ["one", "two"].map(|name| dir.path().join(name));
        paths.iter().for_each(|path| std::fs::write(path, "REC@0+1=xREC@9+1=y").unwrap());
        let log = Log::default().grown_of(&paths.map(|path| (path, 9)), 18).unwrap();
        let files: Vec<_> = log.files().iter().map(|file| (file.base(), file.bytes().len())).collect();
        assert_eq!(files, [(0, 9), (9, 9)]);
    }

    #[test]
    fn how_it_begins_ends_with_a_record() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("maintner-1.mutlog"), "REC@0+1=xREC@9+1=y").unwrap();
        std::fs::write(dir.path().join("maintner-2.mutlog"), "REC@0+1=zREC@9+9=z").unwrap();
        let log = Log::open(dir.path()).unwrap();
        for (byte, length) in [(0, 9), (8, 9), (9, 18), (17, 18), (18, 27), (26, 27)] {
            assert_eq!(log.begin(byte).unwrap().len(), length, "{byte}");
        }
        assert!(matches!(log.begin(27), Err(LogError::Broken { .. })));
        assert_eq!(Log::default().begin(0).unwrap().len(), 0);
    }

    #[test]
    fn what_is_no_log_is_told() {
        let said = |names: &[&str]| Log::open(folder(names).path()).unwrap_err().to_string();
        assert!(said(&["x.mutlog"]).contains("no log is here"));
        let sealed = |number: u32| format!("{number:04}.{}.mutlog", "a".repeat(56));
        assert!(said(&[&sealed(0), "0002.growing.mutlog"]).contains("segment 0001 is missing or not whole"));
        assert!(
            said(&[&sealed(0), "0001.growing.mutlog", &sealed(2)])
                .contains("segment 0001 is missing or not whole")
        );
        assert!(matches!(Log::open(Path::new("/nowhere/at/all")), Err(LogError::Io { .. })));
    }

    #[test]
    fn a_text_is_found_in_its_file() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("maintner-1.mutlog"), "REC@0+3=abc").unwrap();
        std::fs::write(dir.path().join("maintner-2.mutlog"), "REC@0+3=defREC@b+2=gh").unwrap();
        let log = Log::open(dir.path()).unwrap();
        let mut texts = Vec::new();
        for file in log.files() {
            file.records(|source| {
                texts.push(source.text(&source.bytes[1..]));
                Ok(())
            })
            .unwrap();
        }
        let read: Vec<&[u8]> = texts.iter().map(|text| log.text(*text)).collect();
        assert_eq!(read, [&b"bc"[..], b"ef", b"h"]);
        assert_eq!((log.text(Text::EMPTY), log.text(Text::NONE), log.len()), (&b""[..], &b""[..], 32));
    }

    #[test]
    fn a_broken_record_is_named_with_its_file() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("maintner-1.mutlog"), "REC@0+0=REC@8+9=a").unwrap();
        let log = Log::open(dir.path()).unwrap();
        let mut good = 0;
        let why = log.files()[0].records(|_| {
            good += 1;
            Ok(())
        });
        let why = why.unwrap_err().to_string();
        assert_eq!(good, 1);
        assert!(why.ends_with("maintner-1.mutlog: record at offset 8 (0x8): it has 9 bytes and the file ends after 1 of them"), "{why}");
    }
}
